"""Claims about what of a store does not fit."""

from dataclasses import replace

import pytest
from conftest import single_label, split_by

from avfusion.data.augmentation import AudioAugmentation, FaceAugmentation
from avfusion.data.checks import check_augmentation, check_batch, check_labels, check_splits
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.store import Store
from avfusion.features.clip import Stream


@pytest.fixture
def store(recordings_store):
    return Store(recordings_store)


def test_empty_splits_are_refused_with_those_that_there_are(store):
    check_splits(split_by(store), "train", "val", "test")
    half = split_by(store, {"train": 1.0})
    sentence = r"splits=\{train: 1\.0\} .* no val and no test clips, only \{'train': 24"
    with pytest.raises(ValueError, match=sentence):
        check_splits(half, "train", "val", "test")


def test_labels_that_a_network_does_not_know_are_refused(store):
    with pytest.raises(ValueError, match=r"test split of .* not know, high: it knows low, deep"):
        check_labels(store, split_by(store), "test", single_label("low", "deep"))
    check_labels(store, split_by(store), "test", single_label("a", "low", "high"))


def test_a_batch_that_no_epoch_fills_is_refused_with_both_numbers(store):
    check_batch(split_by(store), 16)
    with pytest.raises(ValueError, match=r"batch_size=17 is more than the 16 training clips"):
        check_batch(split_by(store), 17)


def test_bands_of_audio_frames_of_an_own_class_are_hidden_only_where_their_parts_are_named(store):
    check_augmentation(store, [FaceAugmentation(), AudioAugmentation()])
    store.description["features"]["audio"]["class"] = "mine.LogMel"
    store.streams["mfcc"] = replace(store.streams["mfcc"], shape=(49, 64))
    sentence = r"The mfcc of .*no MFCC of avfusion.*MFCC.*blocks=1 .*of 64 numbers.*, or .*band=0"
    with pytest.raises(ValueError, match=sentence):
        check_augmentation(store, [AudioAugmentation()])
    check_augmentation(store, [AudioAugmentation(band=0.0), AudioAugmentation(blocks=2)])
    with pytest.raises(ValueError, match=r"blocks=3 does not divide the 64 numbers"):
        check_augmentation(store, [AudioAugmentation(blocks=3)])


def test_hiding_stretches_of_a_stream_without_time_is_refused(store):
    store.streams["voice"] = Stream("audio", "vector", (256,), "float16")
    with pytest.raises(ValueError, match=r"The voice of .* has no time axis.*augmentation=none"):
        check_augmentation(store, [AudioAugmentation(stream="voice")])


def test_training_on_an_own_class_is_refused_before_a_network_is_built(store):
    store.description["features"]["audio"]["class"] = "mine.LogMel"
    data = FaceAudioDataModule(str(store.root), augmentation={"audio": AudioAugmentation()})
    data.opened = data._open_store()._replace(store=store)
    with pytest.raises(ValueError, match=r"The mfcc of .* are no MFCC of avfusion"):
        data.prepare_data()
