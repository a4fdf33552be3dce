"""CIFAR-10 and MNIST, from the official files to the scores of each class."""

import csv
import shutil

import numpy as np
import pytest
from conftest import build_for, events_of, load, quiet_trainer, results
from hydra.utils import instantiate
from lightning.pytorch.loggers import TensorBoardLogger
from tiny_datasets import BATCHES, write_cifar10, write_mnist

from avfusion.corpora import Mnist
from avfusion.dashboard import BatchGrid, ClipImages
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.preparation.prepare import prepare
from avfusion.run.restore import localize_paths
from avfusion.run.results import collect_results

CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck".split()


def data_of(name: str, root, *overrides: str) -> FaceAudioDataModule:
    """What ``data=<name>`` chooses, over files in a folder."""
    given = (f"data={name}", f"data.root={root}/files", f"data.store={root}/stores", *overrides)
    data = instantiate(load("train", *given).data, _convert_="all")
    data.prepare_data()
    return data


def test_a_store_of_cifar10_holds_the_pictures_of_the_batches(tmp_path, in_process):
    written = write_cifar10(tmp_path / "files")
    data = data_of("cifar10", tmp_path)
    store = data.store
    assert len(store) == 60
    for row, clip_id in enumerate(store.texts("clip_id")):
        batch, _, place = clip_id.rpartition("_")
        face = store.read("frames", np.array([row]))[0]
        assert np.array_equal(face[0].numpy(), written[batch][0][int(place)])
    training = np.concatenate(
        [
            written[clip.clip_id.rpartition("_")[0]][0][int(clip.clip_id[-5:])][None] / 255
            for clip in store.records(data.splits.rows("train"))
        ]
    )
    mean = training.mean(axis=(0, 2, 3))
    np.testing.assert_allclose(data.description["streams"]["frames"]["mean"], mean, rtol=1e-6)


def test_a_store_of_mnist_holds_the_digits_in_each_channel(tmp_path, in_process):
    written = write_mnist(tmp_path / "files")
    data = data_of("mnist", tmp_path)
    store = data.store
    for row in data.splits.rows("test"):
        place = int(store.record(int(row)).clip_id.removeprefix("test_"))
        (face,) = store.read("frames", np.array([row]))[0].numpy()
        assert face.shape == (3, 28, 28)
        assert all(np.array_equal(channel, written["t10k"][0][place]) for channel in face)


def test_ranges_of_rows_divide_the_training_pictures_and_leave_the_test(tmp_path, in_process):
    write_cifar10(tmp_path / "files")
    own = data_of("cifar10", tmp_path)
    data = data_of("cifar10", tmp_path, "data.splits={train: [0, 41], val: [41, 50]}")
    assert data.splits.counts() == {"train": 41, "val": 9, "test": 10}
    ids = data.store.texts("clip_id")
    assert {ids[row].rpartition("_")[0] for row in data.splits.rows("test")} == {"test_batch"}
    assert data.splits.rows("val").tolist() == list(range(41, 50))
    assert data.path == own.path and own.splits.counts() == {"train": 45, "val": 5, "test": 10}


def test_pictures_have_no_sound_and_nobody_is_known(tmp_path, in_process):
    write_mnist(tmp_path / "files")
    data = data_of("mnist", tmp_path, "data.batch_size=8")
    clips = next(iter(data.train_dataloader()))
    assert clips.has_face.all() and not clips.has_audio.any() and not clips.streams["mfcc"].any()
    assert data.description["shared_subjects"] is None
    assert data.description["streams"]["mfcc"]["mean"] == []


def test_a_picture_that_is_trained_and_tested_on_is_allowed_and_recorded(tmp_path, in_process):
    folder = tmp_path / "files" / "cifar-10-batches-py"
    write_cifar10(tmp_path / "files")
    shutil.copy(folder / "data_batch_1", folder / "test_batch")
    data = data_of("cifar10", tmp_path, "data.batch_size=8")
    task, trainer = build_for(data, "lenet"), quiet_trainer()
    trainer.test(task, datamodule=data, verbose=False)
    found = collect_results(trainer, task, data, {})
    assert found["data/same_picture_in_two_splits"] == 10
    assert found["data/shared_subjects"] is None


def test_settings_that_would_skip_every_picture_are_refused(tmp_path, small_features):
    write_mnist(tmp_path)
    with pytest.raises(
        ValueError, match=r"mnist have no sound, .*=skip keeps .* features=images_only"
    ):
        prepare(Mnist(str(tmp_path)), small_features, tmp_path / "stores")


@pytest.mark.slow
def test_the_same_files_and_seed_have_one_store_and_another_seed_another(tmp_path, in_process):
    write_mnist(tmp_path / "files")
    places = [data_of("mnist", tmp_path, f"data.corpus.split_seed={s}").path for s in (0, 0, 1)]
    assert places[0] == places[1] != places[2]


def test_a_checkpoint_looks_for_files_where_they_were_and_else_where_this_machine_has_them(
    tmp_path, monkeypatch
):
    monkeypatch.setenv("AVFUSION_DATA", "home")
    corpus = {"_target_": "avfusion.corpora.Mnist", "root": str(tmp_path)}
    data = {"corpus": corpus, "root": str(tmp_path), "store": "elsewhere"}
    there = localize_paths(data, None)
    assert (there["root"], there["corpus"]["root"]) == (str(tmp_path),) * 2
    assert there["store"] == "home/stores"
    gone = f"{tmp_path}/gone"
    moved = localize_paths(data | {"root": gone, "corpus": corpus | {"root": gone}}, None)
    assert moved["root"] == moved["corpus"]["root"] == "home/mnist"


@pytest.mark.slow
def test_one_command_prepares_trains_and_tests_and_another_answers(run, tmp_path):
    write_cifar10(tmp_path / "files", each=20)
    where = ("data=cifar10", f"data.root={tmp_path}/files")
    brief = ("trainer=debug", "callbacks=minimal", f"hydra.run.dir={tmp_path}/run")
    run("train", *where, "model=lenet", *brief)
    found = results(tmp_path / "run")
    assert {f"test/accuracy_{name}" for name in CIFAR10} <= set(found)
    assert found["data/corpus"] == "cifar10" and found["parameters"] == 62_006
    run("predict", f"ckpt_path={tmp_path}/run", f"hydra.run.dir={tmp_path}/answers")
    with (tmp_path / "answers" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["clip_id"] for row in rows] == [f"{BATCHES[-1]}_{n:05d}" for n in range(20)]
    right = sum(row["label"] == row["predicted"] for row in rows) / len(rows)
    assert right == pytest.approx(found["test/accuracy"])


@pytest.mark.slow
def test_a_control_that_looks_learns_from_them_and_is_drawn_without_a_sound(tmp_path, in_process):
    write_mnist(tmp_path / "files")
    data = data_of("mnist", tmp_path, "data.batch_size=16")
    logger = TensorBoardLogger(tmp_path, name="", version="", default_hp_metric=False)
    looking = [BatchGrid(4), ClipImages(clips_per_class=1, every_n_epochs=1)]
    trainer = quiet_trainer(max_epochs=1, logger=logger, callbacks=looking, log_every_n_steps=1)
    task = build_for(data, "face_only")
    trainer.fit(task, datamodule=data)
    (scores,) = trainer.test(task, datamodule=data, verbose=False)
    assert {f"test/accuracy_{digit}" for digit in range(10)} <= set(scores)
    tags = events_of(tmp_path).Tags()
    assert tags["audio"] == [] and any(tag.startswith("clips/") for tag in tags["images"])


def test_a_network_that_listens_has_nothing_to_hear(tmp_path, in_process):
    write_mnist(tmp_path / "files")
    data = data_of("mnist", tmp_path)
    with pytest.raises(Exception, match=r"without \(model=face_only, model=audio_only\)"):
        build_for(data, "lowrank")
