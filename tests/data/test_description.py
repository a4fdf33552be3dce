"""Claims about what a store says of itself."""

import json

from conftest import clip_record, write_recordings

from avfusion.corpora import Contents, Manifest
from avfusion.data.description import describe, skipped_reasons
from avfusion.data.index import tabulate
from avfusion.data.prepare import prepare
from avfusion.data.store import read_description
from avfusion.features.identity import identify

CLIPS = [("low", "train")] * 3 + [("high", "train")] * 2 + [("high", "val")]
CLIPS = tabulate(clip_record(label=label, split=split) for label, split in CLIPS)
SKIPPED = {"silent": 4, "empty file": 5}


def test_only_clips_that_are_kept_are_counted(small_features):
    contents = Contents([], ["low", "none", "high"], ["Ann"])
    description = describe("corpus", contents, small_features, CLIPS, SKIPPED)
    assert description["class_counts"] == [3, 0, 2]
    assert description["clips"] == {"train": 5, "val": 1, "test": 0}
    assert description["skipped"] == {"silent": 4, "empty file": 5}
    assert description["shared_subjects"] == ["Ann"] and not description["boxes"]


def test_a_description_is_plain_data_with_the_settings(small_features):
    description = describe("corpus", Contents([], [], []), small_features, CLIPS, SKIPPED)
    assert json.loads(json.dumps(description)) == description
    assert description["features"] == identify(small_features, "features")


def test_reasons_are_listed_with_the_most_frequent_first():
    assert skipped_reasons(SKIPPED) == "empty file (5), silent (4)"


def test_a_store_describes_its_classes_sizes_and_boxes(party_store, recordings_store):
    party, recordings = read_description(party_store), read_description(recordings_store)
    assert party["boxes"] and not recordings["boxes"]
    assert party["clips"] == {"train": 24, "val": 8, "test": 12}
    assert (len(party["class_names"]), sum(party["class_counts"])) == (8, 24)
    assert (recordings["class_names"], recordings["class_counts"]) == (["high", "low"], [8, 8])
    for description in (party, recordings):
        for name, features in (("frames", 3), ("mfcc", 75)):
            stream = description["streams"][name]
            assert len(stream["mean"]) == len(stream["std"]) == stream["shape"][-1] == features


def test_a_store_to_test_on_has_no_statistics(tmp_path, small_features, in_process):
    write_recordings(tmp_path, subjects=1)
    corpus = Manifest(str(tmp_path), splits={"test": 1})
    description = read_description(prepare(corpus, small_features, tmp_path / "stores"))
    assert description["streams"]["mfcc"]["mean"] == description["streams"]["frames"]["std"] == []
