"""Claims about what makes a test score memory."""

import pytest
from conftest import clip_record, indexed, split_by

from avfusion.data.store import Store
from avfusion.preparation.description import describe_splits
from avfusion.preparation.leakage import (
    CONTENT_COLUMNS,
    describe_subject_overlap,
    find_leaks,
    find_repeats,
    find_shared_subjects,
    find_split_leaks,
    refuse_leaks,
    refuse_splits,
)


@pytest.fixture
def store(tmp_path):
    """Clips of four subjects: s0 and s2 share a sound, s1 and s3 a picture."""
    clips = [
        clip_record(
            f"s{subject}_{take}",
            label=("a", "b")[take],
            subject=f"s{subject}",
            session=f"x{take if subject == 3 else subject}",
            split="",
            has_face=True,
            audio_digest=10 * subject + take if (subject, take) != (2, 0) else 0,
            face_digest=100 + 10 * subject + take if (subject, take) != (3, 1) else 111,
        )
        for subject in range(4)
        for take in range(2)
    ]
    return indexed(tmp_path, clips)


def leaks_of(store, *plan):
    clips = split_by(store, *plan).tabulate(store.columns("subject", *CONTENT_COLUMNS))
    return find_leaks(clips), find_shared_subjects(clips)


def test_leaks_are_those_of_the_plan_in_use(store):
    """The same clips, by four plans."""
    none = {"same_sound_in_two_splits": [], "same_picture_in_two_splits": []}
    apart, shared = leaks_of(store, "subjects", "s0")  # val is s1
    assert apart == {
        "same_sound_in_two_splits": ["s0_0 (test) = s2_0 (train)"],
        "same_picture_in_two_splits": ["s1_1 (val) = s3_1 (train)"],
        "untrained_classes": [],
    }
    assert shared == []
    together, shared = leaks_of(store, {"train": [0, 8]})
    assert together == none | {"untrained_classes": []} and shared == []
    rows, shared = leaks_of(store, {"train": [0, 1], "test": [1, 6]})
    assert rows == none | {
        "same_sound_in_two_splits": ["s0_0 (train) = s2_0 (test)"],
        "untrained_classes": ["b"],
    }
    assert shared == ["s0"]
    _, shared = leaks_of(store, "sessions", "x0")  # the second occasion of s3 is x1, which is val
    assert shared == ["s3"]


def test_what_no_split_has_leaks_nothing(store):
    leaks, shared = leaks_of(store, {"train": [0, 4], "test": [6, 7]})
    assert leaks["same_sound_in_two_splits"] == [] and shared == []


def test_a_plan_that_leaks_is_refused_with_the_plan_and_what_allows_it(store):
    def refuse(allowed, *plan):
        splits = split_by(store, *plan)
        clips = splits.tabulate(store.columns(*CONTENT_COLUMNS))
        refuse_splits(store, splits, find_leaks(clips), allowed)

    kinds = ["same_sound_in_two_splits", "same_picture_in_two_splits"]
    with pytest.raises(
        ValueError, match=r"data\.splits=\{folds: subject\} data\.fold=s0 of .*"
    ) as e:
        refuse([], "subjects", "s0")
    assert "The same sound is in two splits" in str(e.value)
    assert all(f"set data.allow_{kind}=true, which every result" in str(e.value) for kind in kinds)
    refuse(kinds, "subjects", "s0")
    with pytest.raises(ValueError, match=r"1 subject is .*\(s3\).*data\.allow_subject_overlap=tr"):
        refuse(kinds, "sessions", "x0")
    refuse([*kinds, "subject_overlap"], "sessions", "x0")
    refuse([], {"train": [0, 8]})


FACE, VOICE = ({"has_face": face, "has_audio": not face} for face in (True, False))


def takes_of(folder, *clips, splits=("train", "test")):
    """Takes in two splits, of clips that are the one after the other in the first or the second."""
    records = [
        clip_record(clip_id, **{"subject": "s", "label": "a", "split": splits[n % 2]} | known)
        for n, (clip_id, known) in enumerate(clips)
    ]
    store = indexed(folder, records)
    return find_split_leaks(store, split_by(store))["same_take_in_two_splits"]


@pytest.mark.parametrize(
    ("face", "voice"),
    [
        ("02-01-06-01-02-01-12", "03-01-06-01-02-01-12"),  # of RAVDESS
        ("happy_07_video", "happy_07_audio"),
        ("Face 7", "voice-7"),
    ],
)
def test_face_and_voice_of_a_take_are_told_by_ids_but_for_the_modality(face, voice, tmp_path):
    pair = (face, FACE), (voice, VOICE)
    assert takes_of(tmp_path / "1", *pair) == [f"{face} (train) = {voice} (test)"]
    assert takes_of(tmp_path / "2", *pair, splits=("train", "train")) == []
    for other in ({"subject": "t"}, {"label": "b"}, {"has_face": True}):
        assert takes_of(tmp_path / str(other), pair[0], (voice, VOICE | other)) == []
    unknown = {"subject": ""}
    assert takes_of(tmp_path / "3", (face, FACE | unknown), (voice, VOICE | unknown)) == []


def test_face_and_voice_of_a_take_are_told_by_their_files(tmp_path):
    face = ("a", FACE | {"face_source": "VideoFlash/1001_IEO_HAP_HI.flv"})
    voice = ("b", VOICE | {"audio_source": "AudioWAV/1001_IEO_HAP_HI.wav"})
    assert takes_of(tmp_path / "1", face, voice) == ["a (train) = b (test)"]
    again = ("c", FACE | {"face_source": "other/1001_IEO_HAP_HI.flv"})
    assert takes_of(tmp_path / "2", face, voice, again) == []  # nobody knows which is meant
    other = ("b", VOICE | {"audio_source": "AudioWAV/1001_IEO_SAD_HI.wav"})
    assert takes_of(tmp_path / "3", face, other) == []


def test_a_column_tells_takes_and_then_names_do_not(tmp_path):
    one, same, other = ({"attributes": (("take", name),)} for name in ("7", " 7", "8"))
    assert takes_of(tmp_path / "1", ("x", one), ("y", same)) == ["x (train) = y (test)"]
    assert takes_of(tmp_path / "2", ("x", one), ("y", same | {"subject": "t"})) == []
    assert takes_of(tmp_path / "3", ("face 1", FACE | one), ("voice 1", VOICE | other)) == []
    nobody = one | {"subject": ""}  # numbers of takes begin anew with each subject
    assert takes_of(tmp_path / "4", ("x", nobody), ("y", nobody)) == []


def test_a_take_in_two_splits_is_refused_unless_it_is_allowed(tmp_path):
    halves = (("face_1", "train", FACE), ("voice_1", "test", VOICE))
    clips = [clip_record(name, subject="s", split=split, **own) for name, split, own in halves]
    store = indexed(tmp_path, clips)
    splits = split_by(store)
    leaks, allowed = find_split_leaks(store, splits), ["subject_overlap"]
    with pytest.raises(ValueError, match=r"same take is in two splits.*face_1 \(train\) = voice_1"):
        refuse_splits(store, splits, leaks, allowed)
    refuse_splits(store, splits, leaks, [*allowed, "same_take_in_two_splits"])


def test_what_is_in_the_nature_of_a_corpus_is_allowed_in_its_store(store, tmp_path):
    kinds = ["same_sound_in_two_splits", "same_picture_in_two_splits"]
    other = indexed(tmp_path / "other", store.records(range(8)), allowed_leaks=kinds)
    splits = split_by(other, "subjects", "s0")
    refuse_splits(other, splits, find_leaks(splits.tabulate(other.columns(*CONTENT_COLUMNS))), [])


@pytest.mark.parametrize("second", ["Ann", "ann", " Ann", "ANN\t"])
def test_a_subject_in_two_splits_is_named_however_it_is_spelled(tmp_path, second):
    people = ("Ann", second, "Bob", "Cid")
    clips = (clip_record(name, subject=name) for name in people)
    store = indexed(tmp_path, clips)
    clips = split_by(store, {"train": [0, 1], "test": [1, 4]}).tabulate(store.columns("subject"))
    assert find_shared_subjects(clips) == ["Ann"]
    assert "1 subject is in more than one split (Ann)" in describe_subject_overlap(clips)
    alike = "(spellings that look alike are one" in describe_subject_overlap(clips)
    assert alike == (second != "Ann")


def test_every_pair_of_splits_is_compared(tmp_path):
    pairs = [("train", "val"), ("train", "test"), ("val", "test")]
    clips = [
        clip_record(f"{number}{split}", subject=f"s{number}", split=split)
        for number, pair in enumerate(pairs)
        for split in pair
    ]
    store = indexed(tmp_path, clips)
    clips = split_by(store).tabulate(store.columns("subject"))
    assert find_shared_subjects(clips) == ["s0", "s1", "s2"]


def test_where_nobody_is_named_nobody_knows_who_is_shared(tmp_path):
    store = indexed(
        tmp_path, (clip_record(f"c{n}", split=s) for n, s in enumerate(("train", "test")))
    )
    clips = split_by(store).tabulate(store.columns("subject"))
    assert find_shared_subjects(clips) is None and describe_subject_overlap(clips) == ""


def test_two_labels_for_one_recording_are_found_without_splits(store):
    assert find_repeats(store.columns(*CONTENT_COLUMNS)) == {
        "two_labels_for_one_recording": [],
        "same_sound_twice": ["s0_0 = s2_0"],
    }


def test_leaks_of_several_kinds_are_told_at_once():
    leaks = {
        "same_sound_in_two_splits": ["a = b"],
        "two_labels_for_one_recording": ["c = d"],
        "untrained_classes": ["x"],
        "same_sound_twice": ["a = b"],
    }
    with pytest.raises(ValueError, match=r"same sound .* more than one label") as refused:
        refuse_leaks(leaks, ["untrained_classes"])
    assert "corpus.allow_two_labels_for_one_recording=true" in str(refused.value)
    assert "untrained" not in str(refused.value)


def test_the_description_of_splits_counts_classes_and_clips(recordings_store, several_store):
    store = Store(recordings_store)
    own = describe_splits(store, split_by(store))
    assert own["clips"] == {"train": 16, "val": 4, "test": 4} and own["class_counts"] == [8, 8]
    assert own["shared_subjects"] == [] and own["splits"] == {"plan": "column"}
    few = describe_splits(store, split_by(store, {"train": [0, 3], "val": [3, 6], "test": [6, 9]}))
    assert few["class_counts"] == [1, 2]  # high; low, of takes 0 and 2
    assert few["clips"] == {"train": 3, "val": 3, "test": 3}
    assert few["shared_subjects"] == ["s0", "s1"]
    several = Store(several_store)
    counts = describe_splits(several, split_by(several, {"train": [0, 4]}))["class_counts"]
    assert dict(zip(several.description["output_names"], counts, strict=True)) == {
        "high": 2,
        "late": 2,
        "low": 2,
    }
