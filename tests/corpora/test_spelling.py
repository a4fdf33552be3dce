"""Unicode normalization: names that look alike are one, for subjects, classes and splits."""

import unicodedata
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from conftest import (
    clip_record,
    indexed,
    single_label,
    split_by,
    write_manifest,
    write_picture,
)

from avfusion.corpora import Manifest
from avfusion.corpora.spelling import normalize_name
from avfusion.data.checks import check_labels
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.index import tabulate
from avfusion.data.store import Store
from avfusion.data.train_test_overlap import digest_training_clips, find_overlap
from avfusion.features import Policies
from avfusion.preparation.leakage import (
    describe_subject_overlap,
    find_repeats,
    find_shared_subjects,
    find_untrained_classes,
)
from avfusion.preparation.prepare import prepare
from avfusion.preparation.summary import summarize_store

SAME_NAMES = {
    "composed or combining accents": ("Jos\u00e9", "Jose\u0301"),
    "several accents in another order": ("a\u0323\u0302", "a\u0302\u0323", "\u1ead"),
    "zero-width space": ("Ann", "An\u200bn"),
    "joiners, marks of direction, soft hyphen": (
        "Ann",
        "A\u200dn\u200en",
        "An\u00adn",
        "\u2060Ann",
    ),
    "byte order mark": ("Ann", "\ufeffAnn"),
    "variation selectors and fillers": ("\u2764", "\u2764\ufe0f", "\u2764\u3164"),
    "full-width digits and letters": ("s12", "s\uff11\uff12", "\uff33\uff11\uff12"),
    "half-width katakana": ("\u30ab\u30bf\u30ca", "\uff76\uff80\uff85"),
    "ligatures": ("Steffi", "Ste\ufb03"),
    "case": ("ANN", "ann", "aNN"),
    "case of more letters than one": ("Stra\u00dfe", "STRASSE", "stra\u1e9ee"),
    "case of Greek": ("\u03c3\u03b1\u03c2", "\u03a3\u0391\u03a3"),
    "blanks around": ("Ann", " Ann ", "Ann\t", "\u00a0Ann\u3000"),
    "blanks within": ("Ann Lee", "Ann  Lee", "Ann\u00a0Lee", "Ann\u3000Lee", "Ann\u2003\tLee"),
    "symbols that are letters": ("\u03a9", "\u2126"),
    "all of it": ("Jos\u00e9 1", "\u200b\uff2aOSE\u0301\u00a0 \uff11\u200f"),
}
DIFFERENT_NAMES = [
    ("Ann", "Anna"),
    ("s1", "s11"),
    ("Ann Lee", "AnnLee"),
    ("Jose", "Jos\u00e9"),
    ("s1", "s 1"),
]


@pytest.mark.parametrize("names", SAME_NAMES.values(), ids=SAME_NAMES)
def test_names_that_look_alike_are_one(names):
    assert len({normalize_name(name) for name in names}) == 1


@pytest.mark.parametrize("names", DIFFERENT_NAMES)
def test_names_that_can_be_told_apart_are_two(names):
    assert len({normalize_name(name) for name in names}) == 2


def test_normalizing_twice_changes_nothing_more_for_any_character():
    changing = ((0, 0x3400), (0xA640, 0xAC00), (0xF900, 0x10000), (0x1D400, 0x1F300))
    for code in (code for span in changing for code in range(*span)):
        if unicodedata.category(chr(code)) not in ("Cn", "Co", "Cs"):
            for name in (chr(code), f"a{chr(code)}b"):
                assert normalize_name(normalize_name(name)) == normalize_name(name)


@pytest.mark.parametrize("names", SAME_NAMES.values(), ids=SAME_NAMES)
def test_one_person_in_two_splits_is_a_leak_however_it_is_spelled(names, tmp_path):
    def store_of(name, *subjects):
        clips = (clip_record(f"c{n}", subject=subject) for n, subject in enumerate(subjects))
        return indexed(tmp_path / name, clips)

    store = store_of("shared", "Bo", *names[:2])
    splits = split_by(store, {"train": [0, 1], "val": [1, 2], "test": [2, 3]})
    clips = splits.tabulate(store.columns("subject"))
    assert find_shared_subjects(clips) == [names[0]]
    refusal = describe_subject_overlap(clips)
    assert refusal.startswith("1 subject is in more than one split")
    assert names[0] in refusal and ascii(names[1]) in refusal
    store = store_of("many", *names, *map(str, range(20)))
    for seed in range(3):
        numbers = split_by(store, {"train": 0.5, "val": 0.25, "test": 0.25}, seed=seed).numbers
        assert len({*numbers[: len(names)].tolist()}) == 1


@pytest.fixture
def read(tmp_path):
    """Read a manifest of these labels, or splits; the first half of the clips is to train on."""
    (tmp_path / "a.wav").touch()

    def read(labels, splits=None, **options):
        half = len(labels) // 2
        splits = splits or ["train"] * half + ["test"] * (len(labels) - half)
        rows = [
            {
                "clip_id": f"c{number}",
                "audio_path": "a.wav",
                "label": label,
                "subject": f"s{number}",
                "split": split,
            }
            for number, (label, split) in enumerate(zip(labels, splits, strict=True))
        ]
        write_manifest(tmp_path, rows)
        return Manifest(str(tmp_path), **options).read()

    return read


@pytest.mark.parametrize("names", SAME_NAMES.values(), ids=SAME_NAMES)
def test_labels_that_look_alike_are_one_class_with_the_commonest_spelling(read, names, caplog):
    one, other = names[:2]
    found = read(["zzz", one, one, other, *names, "zzz"])
    assert found.output_names == sorted([one.strip(), "zzz"])
    counts = Counter(clip.label for clip in found.recordings)
    assert counts == {one.strip(): 3 + len(names), "zzz": 2}
    if one.strip() != other.strip():
        assert "look alike are one class" in caplog.text and ascii(other.strip()) in caplog.text


@pytest.mark.parametrize("names", SAME_NAMES.values(), ids=SAME_NAMES)
def test_given_classes_are_spelled_as_they_are_given(read, names):
    one, other = names[:2]
    found = read([one, other, "zzz", *names], classes=["zzz", other])
    assert found.output_names == ["zzz", other]
    assert {clip.label for clip in found.recordings} == {"zzz", other}


def test_classes_of_several_in_a_label_are_one_each(read):
    found = read(["happy|sad", "Sad | HAPPY", "\uff28appy\uff5csad\u200b", "sad", "happy", "Happy"])
    assert (found.labels, found.output_names) == ("multi_label", ["happy", "sad"])
    labels = Counter(clip.label for clip in found.recordings)
    assert labels == {"happy|sad": 3, "sad": 1, "happy": 2}
    with pytest.raises(ValueError, match=r"Line 2 of .*'sad\|SAD', which names sad twice"):
        read(["sad|SAD", "a", "b", "c"])


def test_given_classes_that_look_alike_are_refused(read):
    with pytest.raises(ValueError, match=r"corpus\.classes names 'a', 'A': each class needs one"):
        read(["a", "A"], classes=["a", "A"])


@pytest.mark.parametrize("empty", ["\u200b", "\u00a0", "\u3000 \u200d", "\u3164"])
def test_an_invisible_label_is_empty(read, empty):
    with pytest.raises(ValueError, match=r"Line 3 of .* has an empty label"):
        read(["a", empty, "a", "a"])


def test_splits_are_known_however_they_are_spelled(read):
    splits = ["Train ", "TRAIN", "\uff54rain", "va\u200bl", "Val", "te\u00adst", "TEST\u00a0"]
    found = read(["a"] * 7, splits)
    assert Counter(clip.split for clip in found.recordings) == {"train": 3, "val": 2, "test": 2}


def leaks_of(one, other):
    labels = {"a": one, "b": other}
    return find_repeats(
        tabulate(clip_record(n, label=x, audio_digest=7) for n, x in labels.items())
    )


@pytest.mark.parametrize("names", SAME_NAMES.values(), ids=SAME_NAMES)
def test_spellings_of_a_label_are_no_two_labels_of_a_recording(names):
    assert leaks_of(*names[:2])["two_labels_for_one_recording"] == []
    assert len(leaks_of(names[0], "zzz")["two_labels_for_one_recording"]) == 1
    clips = [
        clip_record(split=s, label=n) for s, n in zip(("train", "test"), names[:2], strict=True)
    ]
    assert find_untrained_classes(tabulate(clips)) == []


def test_a_network_knows_its_classes_however_a_store_spells_them(recordings_store):
    names = ["LOW\u200b", "Hi\uff47h"]
    data = FaceAudioDataModule(str(recordings_store), target=lambda _: single_label(*names))
    check_labels(data.store, data.splits, "test", data.target)
    assert set(data.store.texts("label")) == set(data.store.labels.names) == set(names)
    assert {record.label for record in data.store.records(range(24))} == set(names)
    there = FaceAudioDataModule(str(recordings_store), target=lambda _: single_label("low", "high"))
    assert (data.dataset("test").labels == there.dataset("test").labels).all()
    assert {*there.dataset("train").labels.tolist()} == {0, 1}


def test_the_store_counts_a_person_once_and_shows_what_was_written(
    tmp_path, small_features, in_process
):
    spellings = ("Jos\u00e9", "Jose\u0301", "JOS\u00c9 ")
    rows = []
    for number, subject in enumerate((*spellings, "Bo")):
        write_picture(tmp_path / f"{number}.png", (50 * number, 100, 100))
        row = {"clip_id": f"c{number}", "image_path": f"{number}.png", "label": "ab"[number % 2]}
        rows.append(row | {"subject": subject, "split": "train" if number < 3 else "test"})
    write_manifest(tmp_path, rows)
    features = replace(small_features, policies=Policies(missing="mask"))
    path = prepare(Manifest(str(tmp_path)), features, tmp_path / "stores")
    assert Store(path).texts("subject") == [*spellings[:2], "JOS\u00c9", "Bo"]
    (line,) = [line for line in summarize_store(path).splitlines() if line.startswith("subjects")]
    assert line.split() == ["subjects", "1", "0", "1"]
    training = np.array([True, True, True, False])
    digests = digest_training_clips(Store(path), training)
    assert len(digests["subjects"].split()) == 1
    seen = find_overlap(digests, Store(path), training)["subjects_seen_in_training"]
    assert seen == [spellings[0]]
