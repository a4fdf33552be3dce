"""Claims about what a store says of itself."""

import json
from types import SimpleNamespace

from conftest import clip_record, split_by

from avfusion.corpora import Contents
from avfusion.data.index import tabulate
from avfusion.data.store import Store
from avfusion.features.identity import identify_features
from avfusion.preparation.description import (
    StoreFacts,
    describe_splits,
    describe_store,
    list_skipped_reasons,
)

CLIPS = tabulate(clip_record(note=note) for note in ("", "quiet", "quiet; damaged: 3 s lost"))
SKIPPED = {"silent": 4, "empty file": 5}


def facts_of(features, *output_names):
    corpus = SimpleNamespace(name="corpus", on_error="skip", allowed_leaks=())
    corpus.read = lambda: None
    return StoreFacts.of(corpus, Contents([], [*output_names]), features)


def test_a_store_says_nothing_of_splits(small_features):
    description = describe_store(facts_of(small_features, "low", "none", "high"), CLIPS, SKIPPED)
    assert not {"clips", "class_counts", "shared_subjects", "splits"} & set(description)
    assert description["skipped"] == {"silent": 4, "empty file": 5}
    assert description["notes"] == {"quiet": 2, "damaged": 1} and not description["boxes"]


def test_a_description_is_plain_data_with_the_settings(small_features):
    description = describe_store(facts_of(small_features), CLIPS, SKIPPED)
    assert json.loads(json.dumps(description)) == description
    assert description["features"] == identify_features(small_features)


def test_reasons_are_listed_with_the_most_frequent_first():
    assert list_skipped_reasons(SKIPPED) == "empty file (5), silent (4)"


def test_a_store_by_its_splits_describes_classes_sizes_and_boxes(party_store, recordings_store):
    party, recordings = (
        describe_splits(store, split_by(store))
        for store in map(Store, (party_store, recordings_store))
    )
    assert party["boxes"] and not recordings["boxes"]
    assert party["clips"] == {"train": 24, "val": 8, "test": 12}
    assert (len(party["output_names"]), sum(party["class_counts"])) == (8, 24)
    assert (recordings["output_names"], recordings["class_counts"]) == (["high", "low"], [8, 8])
    for description in (party, recordings):
        for name, features in (("frames", 3), ("mfcc", 75)):
            stream = description["streams"][name]
            assert len(stream["mean"]) == len(stream["std"]) == stream["shape"][-1] == features
        assert json.loads(json.dumps(description)) == description


def test_a_store_to_test_on_has_no_statistics(recordings_store):
    store = Store(recordings_store)
    description = describe_splits(store, split_by(store, {"test": 1}))
    assert description["streams"]["mfcc"]["mean"] == description["streams"]["frames"]["std"] == []
    assert description["class_counts"] == [0, 0]
