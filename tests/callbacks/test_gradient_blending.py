"""Claims about losses that weigh as much as they generalize."""

import lightning as L
import pytest
import torch
import torch.nn.functional as F
from conftest import build_for, quiet_trainer
from lightning.pytorch.callbacks import Callback

from avfusion.callbacks.gradient_blending import GradientBlending, blend_losses
from avfusion.data.datamodule import FaceAudioDataModule

NAMES = ("face", "audio", "both")


@pytest.fixture
def data(party_store):
    return FaceAudioDataModule(str(party_store), batch_size=8)


def heads_task(data, *more):
    torch.manual_seed(0)
    return build_for(data, "lowrank", "remedy=auxiliary_heads", "scheduler=constant", *more)


def losses(*train_and_val):
    return torch.tensor(train_and_val, dtype=torch.float64)


def test_a_loss_weighs_its_gain_over_its_squared_overfitting():
    """By hand: G = 1/2, 1/4, 1/2 and O = 1/2, 1/4, 1 make ratios of 2, 4 and 1/2."""
    before = losses([2, 2, 2], [2, 2, 2])
    after = losses([1, 1.5, 0.5], [1.5, 1.75, 1.5])
    weights = blend_losses(before, after)
    assert weights.tolist() == pytest.approx([2 / 6.5, 4 / 6.5, 0.5 / 6.5])


def test_a_loss_that_rose_weighs_nothing_and_small_overfitting_is_not_divided_by():
    """By hand: of O = 0 the least that counts is 0.01, so 0.1 / 0.0001 = 1000 and 0.1 / 1 = 0.1."""
    before = losses([2, 2, 2], [2, 2, 2])
    after = losses([1.9, 0.9, 1.0], [1.9, 1.9, 2.5])
    assert blend_losses(before, after).tolist() == pytest.approx([1000 / 1000.1, 0.1 / 1000.1, 0])
    assert blend_losses(before, before) is None


class Watch(Callback):
    """Keep the weights of each epoch, and the losses of each moment."""

    def __init__(self, blending):
        self.blending, self.weights, self.losses = blending, [], []

    def on_train_epoch_start(self, trainer, pl_module):
        self.weights.append(pl_module.remedies["unimodal_heads"].weights.clone())
        self.losses.append(self.blending.losses)


@pytest.mark.slow
def test_weights_follow_from_the_losses_of_the_epochs_before(data):
    blending = GradientBlending(every_n_epochs=2)
    watch, task = Watch(blending), heads_task(data)
    trainer = quiet_trainer(max_epochs=5, num_sanity_val_steps=0, callbacks=[blending, watch])
    trainer.fit(task, datamodule=data)
    third = torch.full((3,), 1 / 3)
    assert all(torch.equal(weights, third) for weights in watch.weights[:2])
    for epoch in (2, 4):
        chosen = blend_losses(watch.losses[epoch - 2], watch.losses[epoch])
        expected = watch.weights[epoch - 2] if chosen is None else chosen.float()
        torch.testing.assert_close(watch.weights[epoch], expected)
    assert torch.equal(watch.weights[2], watch.weights[3])
    logged = [trainer.callback_metrics[f"train/blend_{name}"] for name in NAMES]
    torch.testing.assert_close(torch.stack(logged), watch.weights[4])


def test_losses_are_those_of_whole_splits_without_dropout_and_count_clips_alike(data):
    """Splits of 24 and 8 clips in batches of 5: the last batches are smaller."""
    data.batch_size = 5
    task = heads_task(data, "model.network.head.dropout=0.5")
    blending, trainer = GradientBlending(), quiet_trainer(max_steps=1, limit_val_batches=0)
    trainer.fit(task, datamodule=data)
    before = torch.get_rng_state()
    measured = blending.measure(trainer, task.train())
    assert task.training and torch.equal(torch.get_rng_state(), before)
    task.eval()
    for found, split in zip(measured, ("train", "val"), strict=True):
        dataset = data.dataset(split)
        clips = dataset.__getitems__(list(range(len(dataset)))).with_floats()
        scores, heads = task(clips), task.remedies["unimodal_heads"].heads
        outputs = (
            heads["face"](scores.unimodal.face),
            heads["audio"](scores.unimodal.audio),
            scores.logits,
        )
        expected = torch.stack([F.cross_entropy(one, clips.label) for one in outputs])
        torch.testing.assert_close(found.float(), expected.detach(), rtol=1e-4, atol=1e-5)


def test_what_cannot_be_blended_is_refused_in_a_sentence(data):
    with pytest.raises(ValueError, match=r"unimodal heads, which this task does not have"):
        GradientBlending().check(build_for(data, "lowrank"), data)
    task = heads_task(data, "model.unimodal_heads.face=0.5")
    with pytest.raises(ValueError, match=r"face, audio, both = \[0.5, 1.0, 1.0\]: leave them at 1"):
        GradientBlending().check(task, data)


def test_the_clips_of_the_test_are_not_learned_from(party_store):
    data = FaceAudioDataModule(str(party_store), batch_size=8, validation="test")
    with pytest.raises(ValueError, match=r"data\.validation=test makes those of the test: leave"):
        GradientBlending().check(heads_task(data), data)


def test_a_process_whose_part_of_the_clips_is_empty_adds_nothing(data, monkeypatch):
    task, trainer = heads_task(data), quiet_trainer(max_steps=1, limit_val_batches=0)
    trainer.fit(task, datamodule=data)
    monkeypatch.setattr(L.Trainer, "global_rank", 1)
    monkeypatch.setattr(L.Trainer, "world_size", 2)
    found = GradientBlending(clips=1).sum_losses(trainer, task, data.dataset("val"))
    assert found.tolist() == [[0, 0, 0], [0, 0, 0]]
