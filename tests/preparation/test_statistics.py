"""Claims about mean and standard deviation of the clips that are trained on."""

import numpy as np
import pytest
from conftest import split_by

from avfusion.corpora import Manifest
from avfusion.data.store import Store
from avfusion.preparation import statistics
from avfusion.preparation import workers as work
from avfusion.preparation.description import describe_splits
from avfusion.preparation.executors.local import InProcess, Local
from avfusion.preparation.prepare import prepare
from avfusion.preparation.statistics import Moments, sum_moments


def test_moments_of_clips_in_several_shards_add_up_to_those_of_all_rows(monkeypatch):
    monkeypatch.setattr(statistics, "MAX_CHUNK_CLIPS", 3)
    table = np.random.default_rng(0).normal(3, 5, (100, 4)).astype(np.float32)
    clips = np.split(table, [1, 30, 30, 77, 80, 91])
    packed = np.stack([Moments.of(clip).pack() for clip in clips])
    shard, place = np.array([0, 0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 3, 0, 1, 2])
    found = sum_moments([packed[:4], packed[4:]], shard, place)
    assert found.rows == 100
    statistic = found.mean_and_deviation()
    np.testing.assert_allclose(statistic["mean"], table.mean(0, np.float64), rtol=1e-12)
    np.testing.assert_allclose(statistic["std"], table.std(0, dtype=np.float64), rtol=1e-12)
    some = np.array([True, False, True, False, False, True, False])
    rows = np.concatenate([clips[0], clips[2], clips[5]])
    found = sum_moments([packed[:4], packed[4:]], shard[some], place[some])
    np.testing.assert_allclose(found.mean_and_deviation()["mean"], rows.mean(0, np.float64))


def test_bytes_do_not_overflow():
    table = np.full((100_000, 3), 255, np.uint8)
    table[::2] = 1
    found = Moments.of(table).mean_and_deviation()
    assert found["mean"] == pytest.approx([128] * 3) and found["std"] == pytest.approx([127] * 3)


def test_a_scale_scales_both():
    moments = Moments.of(np.random.default_rng(0).integers(0, 256, (50, 3), np.uint8))
    plain, scaled = moments.mean_and_deviation(), moments.mean_and_deviation(scale=1 / 255)
    for name in ("mean", "std"):
        assert scaled[name] == pytest.approx([number / 255 for number in plain[name]])


def test_a_column_that_never_changes_can_be_divided_by():
    found = Moments.of(np.array([[7.1, 1.0], [7.1, 3.0], [7.1, 5.0]])).mean_and_deviation()
    assert found["std"] == pytest.approx([1.0, np.sqrt(8 / 3)])


def test_no_data_has_no_statistics():
    nothing = Moments.of(np.ones((0, 3)))
    assert nothing.mean_and_deviation() == {"mean": [], "std": []}
    assert Moments.unpack(nothing.pack()).rows == 0


def items_of(store, name, row):
    """What a stream holds of a clip, with its padding."""
    return store.shards(name)[store.shard[row]][store.place[row]]


PLANS = [(None, None), ({"folds": 3}, 0), ("subjects", "s3"), ({"train": [5, 17]}, None)]


@pytest.fixture(scope="module")
def sharded_store(recordings, long_features, tmp_path_factory):
    """The store of those recordings in four shards, written in small parts."""
    clip_bytes = sum(array.nbytes for array in long_features.arrays(1).values())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(work, "SHARD_BYTES", 7 * clip_bytes)
        patch.setattr(work, "CHUNK_CLIPS", 3)
        patch.setattr(Local, "run", InProcess.run)
        return prepare(Manifest(str(recordings)), long_features, tmp_path_factory.mktemp("stores"))


@pytest.mark.parametrize(("splits", "fold"), PLANS)
def test_statistics_of_any_plan_are_those_of_the_arrays_of_its_training_clips(
    recordings_store, sharded_store, splits, fold
):
    for path in (recordings_store, sharded_store):
        store = Store(path)
        chosen = split_by(store, splits, fold)
        rows = chosen.rows("train")
        assert 0 < len(rows) < len(store)
        lengths = store.lengths("mfcc")
        frames = np.concatenate([items_of(store, "mfcc", row)[: lengths[row]] for row in rows])
        pixels = np.concatenate([items_of(store, "frames", row).reshape(-1, 3) for row in rows])
        description = describe_splits(store, chosen)
        for name, table, scale in (("mfcc", frames, 1), ("frames", pixels, 255)):
            numbers = table.astype(np.float64) / scale
            mean, std, size = numbers.mean(0), numbers.std(0), (numbers**2).mean(0)
            found = {kind: np.array(description["streams"][name][kind]) for kind in ("mean", "std")}
            np.testing.assert_array_less(abs(found["mean"] - mean), 1e-12 * np.sqrt(size))
            varies = std > 1e-6  # the others are set to one
            difference = abs(found["std"] ** 2 - std**2)[varies]
            np.testing.assert_array_less(difference, 1e-12 * size[varies])
            assert (found["std"][~varies] == 1).all()


def test_the_moments_of_a_clip_are_those_of_its_true_frames(recordings_store):
    store = Store(recordings_store)
    packed = store.shards("moments/mfcc")[0]
    for row in range(len(store)):
        frames = store.shards("mfcc")[0][row, : store.lengths("mfcc")[row]].astype(np.float64)
        expected = [[len(frames)], frames.sum(0), (frames**2).sum(0)]
        np.testing.assert_allclose(packed[row], np.concatenate(expected), rtol=1e-12)
