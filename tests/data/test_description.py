"""Claims about what a store says of itself."""

import json
from dataclasses import asdict

import pytest
from conftest import write_recordings

from avfusion.corpora import Contents, Manifest
from avfusion.data.description import describe, skipped_reasons, summary
from avfusion.data.part import Outcome
from avfusion.data.prepare import prepare
from avfusion.data.store import read_description


def outcome(label, split, reason=""):
    return Outcome({} if reason else {"label": label, "split": split, "box_left": ""}, reason)


OUTCOMES = [
    *[outcome("low", "train")] * 3,
    *[outcome("high", "train")] * 2,
    *[outcome("low", "train", "silent")] * 4,
    *[outcome("high", "test", "empty file")] * 5,
    outcome("high", "val"),
]


def test_only_clips_that_are_kept_are_counted(small_features):
    contents = Contents([], ["low", "none", "high"], ["Ann"])
    description = describe("corpus", contents, small_features, OUTCOMES)
    assert description["class_counts"] == [3, 0, 2]
    assert description["clips"] == {"train": 5, "val": 1, "test": 0}
    assert description["skipped"] == {"silent": 4, "empty file": 5}
    assert description["shared_subjects"] == ["Ann"] and not description["boxes"]


def test_a_description_is_plain_data_with_the_settings(small_features):
    description = describe("corpus", Contents([], [], []), small_features, OUTCOMES)
    assert json.loads(json.dumps(description)) == description
    assert description["features"] == asdict(small_features)


def test_reasons_are_listed_with_the_most_frequent_first():
    assert skipped_reasons(OUTCOMES) == "empty file (5), silent (4)"


def test_a_store_describes_its_classes_sizes_and_boxes(party_store, recordings_store):
    party, recordings = read_description(party_store), read_description(recordings_store)
    assert party["boxes"] and not recordings["boxes"]
    assert party["clips"] == {"train": 24, "val": 8, "test": 12}
    assert (len(party["class_names"]), sum(party["class_counts"])) == (8, 24)
    assert (recordings["class_names"], recordings["class_counts"]) == (["high", "low"], [8, 8])
    for description in (party, recordings):
        assert len(description["face"]["mean"]) == description["face"]["channels"] == 3
        assert len(description["audio"]["std"]) == description["audio"]["features"] == 75


def test_the_summary_ends_with_the_command_to_train(recordings_store):
    lines = summary(recordings_store).splitlines()
    assert lines[0].endswith(": 16 train, 4 val, 4 test clips, 2 classes.")
    assert lines[-1] == f"  python src/train.py data=store data.store={recordings_store}"
    assert len(lines) == 3


@pytest.fixture
def to_test_on(tmp_path, small_features, in_process):
    """A store of a subject to test on, one of whose clips is empty."""
    write_recordings(tmp_path, subjects=1)
    manifest = tmp_path / "manifest.csv"
    rows = manifest.read_text().replace("s0,train", "s0,test").splitlines()
    manifest.write_text("\n".join([*rows[:-1], rows[-1].replace("s0,test", "s0,val")]))
    (tmp_path / "s0_1.wav").write_bytes(b"")
    corpus = Manifest(str(tmp_path), allow_subject_overlap=True)
    return prepare(corpus, small_features, tmp_path / "stores")


def test_the_summary_says_what_is_unusual(to_test_on):
    text = summary(to_test_on)
    assert f"Skipped 1: empty file (1). Each is listed in {to_test_on}/report.csv." in text
    assert "1 subjects are in several splits" in text
    assert text.endswith(f"python src/eval.py ckpt_path=<run> data=store data.store={to_test_on}")


def test_a_store_to_test_on_has_no_statistics(to_test_on):
    description = read_description(to_test_on)
    assert description["audio"]["mean"] == description["face"]["std"] == []
