"""AFEW: folders of splits and emotions, and a test whose labels are not published."""

import re
from collections import Counter
from pathlib import Path

import pytest
from published import prepare_by_command, prepare_by_training, preview, write_clip

from avfusion.corpora import Afew

FOLDERS = {"train": "Train", "val": "Val", "test": "Test"}
CLIPS = {
    "train": (
        *("Angry/000046280", "Angry/000053400", "Happy/000152880", "Happy/000201720"),
        *("Sad/000250440", "Sad/000305800"),
    ),
    "val": ("Angry/000149120", "Happy/003830280"),
    "test": ("000000001", "000000002"),
}


def write_afew(root: Path, folders=FOLDERS, clips=CLIPS) -> Path:
    for split, names in clips.items():
        for name in names:
            write_clip(root / folders[split] / f"{name}.avi")
    return root


@pytest.fixture(scope="module")
def afew(tmp_path_factory) -> Path:
    return write_afew(tmp_path_factory.mktemp("downloads") / "AFEW")


def test_folders_tell_split_and_emotion(afew):
    contents = Afew(str(afew)).read()
    assert {clip.clip_id: clip.label for clip in contents.recordings} == {
        "train_000046280": "angry",
        "train_000053400": "angry",
        "train_000152880": "happy",
        "train_000201720": "happy",
        "train_000250440": "sad",
        "train_000305800": "sad",
        "val_000149120": "angry",
        "val_003830280": "happy",
    }
    assert contents.output_names == ["angry", "happy", "sad"]
    assert {clip.subject for clip in contents.recordings} == {""}


def test_without_labels_of_the_test_the_official_validation_is_it_and_training_clips_validate(afew):
    contents = Afew(str(afew)).read()
    splits = {clip.clip_id: clip.split for clip in contents.recordings}
    assert {name for name, split in splits.items() if split == "test"} == {
        "val_000149120",
        "val_003830280",
    }
    held_out = Counter(clip.label for clip in contents.recordings if clip.split == "val")
    assert held_out == {"angry": 1, "happy": 1, "sad": 1}
    assert "the test is its official validation, and 0.1 of its training" in contents.faults[-1]

    again = {
        seed: [clip.split for clip in Afew(str(afew), split_seed=seed).read().recordings]
        for seed in range(8)
    }
    assert again[0] == [*splits.values()]
    assert len({tuple(drawn) for drawn in again.values()}) > 1
    with pytest.raises(ValueError, match=r"validation must lie between 0 and 1, got 0\."):
        Afew(str(afew), validation=0)


def test_clips_of_the_test_have_no_label_unless_its_folders_tell_them(afew, tmp_path):
    left_out = Afew(str(afew)).read().left_out
    assert [(clip.clip_id, clip.reason) for clip in left_out] == [
        ("test_000000001", "no label"),
        ("test_000000002", "no label"),
    ]
    write_afew(tmp_path, clips=CLIPS | {"test": ("Angry/000000001", "Sad/000000002")})
    contents = Afew(str(tmp_path)).read()
    assert Counter(clip.split for clip in contents.recordings) == {"train": 6, "val": 2, "test": 2}
    assert not contents.left_out


@pytest.mark.parametrize(
    "folders",
    [
        {"train": "Train_AFEW", "val": "Val_AFEW", "test": "Test_vid_Distribute"},
        {"train": "train", "val": "val", "test": "test"},
        {"train": "Train_AFEW/Video", "val": "Val_AFEW/Video", "test": "Test_AFEW/Video"},
    ],
)
def test_folders_in_circulation_are_the_same_corpus(afew, tmp_path, folders):
    write_afew(tmp_path, folders)
    told = [
        [(clip.clip_id, clip.label) for clip in Afew(str(root)).read().recordings]
        for root in (afew, tmp_path)
    ]
    assert told[0] == told[1]


def test_a_part_of_the_corpus_is_told_by_counts(afew):
    sentence = Afew(str(afew)).read().faults[0]
    assert sentence == (
        f"AFEW has 773 clips of train, 383 clips of val, and {afew} 6 of train, 2 of val. If that "
        "is not on purpose, download the rest."
    )


def test_what_is_wrong_with_a_folder_is_said_in_a_sentence(afew, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"found 8 files \(\.avi 8\).*expected Train/Angry"):
        Afew(str(write_afew(tmp_path / "a", {"train": "x", "val": "y"}, without_test()))).read()
    write_clip(tmp_path / "b" / "Train" / "Contempt" / "000.avi")
    with pytest.raises(FileNotFoundError, match=re.escape("(in no folder of an emotion)")):
        Afew(str(tmp_path / "b")).read()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "Train_AFEW.zip").write_bytes(b"PK")
    with pytest.raises(FileNotFoundError, match="unpack the archives"):
        Afew(str(tmp_path / "c")).read()


def without_test() -> dict:
    return {split: names for split, names in CLIPS.items() if split != "test"}


@pytest.mark.slow
def test_one_command_prepares_it_and_so_does_training(afew, tmp_path):
    given = ("corpus=afew", f"corpus.root={afew}", f"prepare.stores={tmp_path}")
    assert "2 clips left out, no label: test_000000001, test_000000002" in preview(*given)
    store = prepare_by_command(*given)
    assert Counter(store.texts("split")) == {"train": 3, "val": 3, "test": 2}
    assert len(prepare_by_training(tmp_path, "data=afew", f"data.corpus.root={afew}")) == 8
