"""Claims about all of the callbacks that draw, together."""

import pytest
import torch
from conftest import build_for, events_of, load, quiet_trainer
from hydra.utils import instantiate
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from avfusion.dashboard import WeightHistograms
from avfusion.data.datamodule import FaceAudioDataModule


def dashboard():
    few = "callbacks.clip_images.clips_per_class=1"
    callbacks = instantiate(load("train", "callbacks=dashboard", few).callbacks).values()
    for callback in callbacks:
        if hasattr(callback, "every_n_epochs"):
            callback.every_n_epochs = 1
    return list(callbacks)


def train(store, folder, callbacks, logger="tensorboard", model="lowrank", epochs=1):
    """Train with all that is random, test, and return weights and random state."""
    torch.manual_seed(5)
    changes = instantiate(
        load("train", "data=store", "data/augmentation=default").data.augmentation
    )
    data = FaceAudioDataModule(str(store), augmentation=changes, batch_size=8)
    task = build_for(data, model)
    task.network.modality_dropout.p = 0.3
    if logger == "tensorboard":
        logger = TensorBoardLogger(folder, name="", version="", default_hp_metric=False)
    trainer = quiet_trainer(
        max_epochs=epochs,
        logger=logger,
        callbacks=callbacks,
        num_sanity_val_steps=1,
        log_every_n_steps=1,
    )
    trainer.fit(task, datamodule=data)
    weights = {name: value.clone() for name, value in task.state_dict().items()}
    trainer.test(task, datamodule=data, verbose=False)
    assert task.network._forward_hooks == {}
    return weights | {"random state": torch.get_rng_state()}


@pytest.mark.slow
def test_what_is_learned_and_drawn_at_random_is_the_same_with_and_without_them(
    party_store, tmp_path
):
    watched = train(party_store, tmp_path / "watched", dashboard(), epochs=2)
    alone = train(party_store, tmp_path / "alone", [], epochs=2)
    assert watched.keys() == alone.keys()
    assert [name for name in alone if not torch.equal(watched[name], alone[name])] == []
    assert events_of(tmp_path / "watched").Tags()["images"]
    assert events_of(tmp_path / "alone").Tags()["images"] == []


@pytest.mark.parametrize("model", ["audio_only", "face_only"])
@pytest.mark.slow
def test_networks_that_lack_parts_are_drawn_too(model, party_store, tmp_path):
    train(party_store, tmp_path, dashboard(), model=model)
    tags = events_of(tmp_path).Tags()
    assert {"val/confusion", "test/confusion"} <= set(tags["images"])
    assert any(tag.startswith("clips/") for tag in tags["images"])
    looks = any(tag == "val/attention_entropy" for tag in tags["scalars"])
    assert looks == (model == "face_only")


@pytest.mark.slow
def test_without_tensorboard_nothing_is_drawn(party_store, tmp_path):
    train(party_store, tmp_path, dashboard(), logger=CSVLogger(tmp_path, name="csv"))
    train(party_store, tmp_path, dashboard(), logger=False)
    assert {path.suffix for path in tmp_path.rglob("*.*")} <= {".csv", ".yaml"}


def test_processes_other_than_the_first_write_nothing(party_store, tmp_path, monkeypatch):
    monkeypatch.setattr("lightning.Trainer.is_global_zero", False)
    train(party_store, tmp_path, dashboard())
    tags = events_of(tmp_path).Tags()
    assert tags["images"] == tags["audio"] == tags["tensors"] == []


@pytest.mark.parametrize(
    "name", ["clip_images", "confusion_matrix", "precision_recall", "weight_histograms"]
)
def test_a_number_of_epochs_that_is_none_is_refused(name):
    with pytest.raises(Exception, match=rf"callbacks\.{name}\.every_n_epochs must be"):
        instantiate(
            load("train", "callbacks=dashboard", f"callbacks.{name}.every_n_epochs=-1")
            .callbacks[name]
        )  # fmt: skip


@pytest.mark.slow
def test_never_is_never(party_store, tmp_path):
    callbacks = dashboard()
    for callback in callbacks:
        if hasattr(callback, "every_n_epochs"):
            callback.every_n_epochs = 0
    train(party_store, tmp_path, callbacks)
    tags = events_of(tmp_path).Tags()
    assert tags["images"] == ["train/first_batch"] and tags["histograms"] == tags["audio"] == []


@pytest.mark.slow
def test_histograms_hold_every_weight_once(watched, party_store):
    events = events_of(watched)
    task = build_for(FaceAudioDataModule(str(party_store)), "lowrank")
    weights = sum(weight.numel() for weight in task.network.parameters())
    lasts = [events.Histograms(tag)[-1].histogram_value.num for tag in events.Tags()["histograms"]]
    assert sum(lasts) == weights


@pytest.mark.slow
def test_a_network_that_has_diverged_does_not_stop_the_drawing(party_store, tmp_path):
    data = FaceAudioDataModule(str(party_store), batch_size=8)
    task = build_for(data, "lowrank")
    with torch.no_grad():
        for weight in task.parameters():
            weight.fill_(float("nan"))
    logger = TensorBoardLogger(tmp_path, name="", version="", default_hp_metric=False)
    trainer = quiet_trainer(max_epochs=1, logger=logger, callbacks=dashboard(), log_every_n_steps=1)
    trainer.fit(task, datamodule=data)
    tags = events_of(tmp_path).Tags()
    assert "val/confusion" in tags["images"] and tags["histograms"] == []


def test_weights_are_not_histogrammed_unless_asked_for():
    (found,) = [
        callback
        for callback in instantiate(load("train", "callbacks=dashboard").callbacks).values()
        if isinstance(callback, WeightHistograms)
    ]
    assert found.every_n_epochs == 0
