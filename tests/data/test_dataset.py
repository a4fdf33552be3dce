"""Claims about batches."""

import numpy as np
import pytest
import torch
from conftest import single_label

from avfusion.data.dataset import SplitDataset, collate_nothing
from avfusion.data.store import Store
from avfusion.targets import choose_target

NAMES = ["high", "low"]
TARGET = single_label(*NAMES)
TRAIN, VAL = np.arange(16), np.arange(16, 20)  # rows of the splits in those recordings


@pytest.fixture(scope="module")
def store(recordings_store):
    return Store(recordings_store)


def test_a_batch_holds_the_rows_of_the_store(store):
    rows = TRAIN[[2, 5, 11]]
    clips = SplitDataset(store, TRAIN, TARGET).__getitems__([2, 5, 11])
    assert clips.row.tolist() == rows.tolist()
    assert np.array_equal(
        clips.streams["frames"], store.shards("frames")[0][rows].transpose(0, 1, 4, 2, 3)
    )
    frames = clips.streams["mfcc"].shape[1]
    assert np.array_equal(clips.streams["mfcc"], store.shards("mfcc")[0][rows][:, :frames])
    assert clips.lengths["mfcc"].tolist() == store.lengths("mfcc")[rows].tolist()
    assert [NAMES[label] for label in clips.label] == store.labels.texts(rows)


def test_a_batch_is_in_the_order_of_the_store_and_leaves_the_split_alone(store):
    dataset = SplitDataset(store, TRAIN, TARGET)
    rows = dataset.rows.copy()
    clips = dataset.__getitems__([9, 0, 4])
    assert clips.row.tolist() == rows[[0, 4, 9]].tolist()
    assert np.array_equal(dataset.rows, rows)


def test_a_batch_knows_whether_all_of_its_clips_have_a_face(store, monkeypatch):
    dataset = SplitDataset(store, TRAIN, TARGET)
    has_face = store.has_face.copy()
    has_face[TRAIN[3]] = False
    monkeypatch.setattr(store, "has_face", has_face)
    assert dataset.__getitems__([0, 2, 4]).all_have_face is True
    assert dataset.__getitems__([0, 3, 4]).all_have_face is False


def test_audio_frames_end_with_the_longest_clip_of_the_batch(store):
    dataset = SplitDataset(store, TRAIN, TARGET)
    for positions in ([0], [0, 4], [1, 3], list(range(16))):
        clips = dataset.__getitems__(positions)
        assert clips.streams["mfcc"].shape[1] == clips.lengths["mfcc"].max()
    short, long = (dataset.__getitems__(some).streams["mfcc"] for some in ([0], [0, 3]))
    assert short.shape[1] < long.shape[1]
    assert torch.equal(long[0, : short.shape[1]], short[0])
    assert not long[0, short.shape[1] :].any()


def test_pictures_have_their_channels_last_in_memory(store):
    face = SplitDataset(store, TRAIN, TARGET).__getitems__([0, 1]).streams["frames"]
    assert face.dtype == torch.uint8
    assert face.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("names", [["low", "high"], ["other", "high", "low"], ["low"]])
def test_labels_are_numbers_of_the_given_classes_and_negative_where_unknown(store, names):
    clips = SplitDataset(store, VAL, single_label(*names)).__getitems__([0, 1, 2, 3])
    truth = store.labels.texts(clips.row.tolist())
    expected = [names.index(label) if label in names else -1 for label in truth]
    assert clips.label.tolist() == expected


def test_a_data_set_is_as_long_as_its_split(store):
    assert [len(SplitDataset(store, rows, TARGET)) for rows in (TRAIN, VAL)] == [16, 4]


def test_boxes_come_with_their_clips(party_store):
    store = Store(party_store)
    clips = SplitDataset(store, np.arange(32, 44), choose_target(store.description)).__getitems__(
        [3, 8]
    )
    assert np.array_equal(clips.box, store.boxes[clips.row])
    assert collate_nothing(clips) is clips
