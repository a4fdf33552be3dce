"""Claims about reading a store."""

import json
import shutil

import numpy as np
import pytest
import torch

from avfusion.data.store import Store, locate_shard, read_description


def test_a_missing_store_says_how_to_make_one(tmp_path):
    sentence = rf"No store in {tmp_path}/none.*python src/prepare\.py corpus=manifest corpus\.root="
    with pytest.raises(FileNotFoundError, match=sentence):
        Store(tmp_path / "none")


@pytest.mark.parametrize("version", [0, 4])
def test_a_store_of_another_version_is_refused(party_store, tmp_path, version):
    description = read_description(party_store) | {"format": version}
    (tmp_path / "description.json").write_text(json.dumps(description))
    with pytest.raises(ValueError, match=rf"format {version}, this version reads 5: prepare"):
        Store(tmp_path)


def test_faces_are_those_of_the_files_with_their_channels_last_in_memory(party_store):
    rows = np.array([0, 3, 40])
    faces = Store(party_store).read("frames", rows)
    expected = np.load(party_store / "frames" / "00000.npy")[rows].transpose(0, 1, 4, 2, 3)
    assert faces.dtype == torch.uint8 and np.array_equal(faces, expected)
    assert faces.flatten(0, 1).is_contiguous(memory_format=torch.channels_last)


def test_audio_frames_end_with_the_longest_clip(recordings_store):
    store = Store(recordings_store)
    short, long = (int(pick(store.lengths("mfcc"))) for pick in (np.argmin, np.argmax))
    both = np.array(sorted((short, long)))
    assert store.read("mfcc", np.array([short])).shape[1] == store.lengths("mfcc")[short]
    assert (
        store.read("mfcc", both).shape[1]
        == store.lengths("mfcc")[long]
        > store.lengths("mfcc")[short]
    )


def test_a_batch_is_a_copy_that_may_be_changed(party_store):
    store, rows = Store(party_store), np.array([2])
    before = store.read("frames", rows).clone()
    store.read("frames", rows).zero_()
    store.read("mfcc", rows).zero_()
    assert torch.equal(store.read("frames", rows), before) and store.read("mfcc", rows).any()


def test_unknown_boxes_are_not_numbers(recordings_store, party_store):
    assert np.isnan(Store(recordings_store).boxes).all()
    boxes = Store(party_store).boxes
    assert ((boxes > -0.1) & (boxes < 1.1)).all() and (boxes[:, 0] < boxes[:, 2]).all()


@pytest.mark.parametrize(
    "rows", [[0], [9], [0, 1, 2], [4, 5], [3, 4, 8], [0, 9], [1, 3, 3, 4, 7, 9], list(range(10))]
)
def test_rows_are_gathered_across_shards(party_store, rows, tmp_path):
    sharded = shutil.copytree(party_store, tmp_path / "store")
    whole, sizes = Store(party_store), (4, 1, 5)
    for name in ("frames", "mfcc"):
        array, start = whole.shards(name)[0], 0
        for number, size in enumerate(sizes):
            np.save(locate_shard(sharded, name, number), array[start : start + size])
            start += size
    store = Store(sharded)
    store.shard[:10] = np.repeat([0, 1, 2], sizes)
    store.place[:10] = [0, 1, 2, 3, 0, 0, 1, 2, 3, 4]
    picked = np.array(rows)
    assert torch.equal(store.read("frames", picked), whole.read("frames", picked))
    assert torch.equal(store.read("mfcc", picked), whole.read("mfcc", picked))
