"""SAVEE: names and folders, 120 clips of each speaker, and one command."""

from collections import Counter
from pathlib import Path

import pytest
from published import prepare_by_command, prepare_by_training, write_clip, write_voice

from avfusion.corpora import Savee

SPEAKERS = ("DC", "JE", "JK", "KL")
COUNTS = {"a": 15, "d": 15, "f": 15, "h": 15, "n": 30, "sa": 15, "su": 15}
LABELS = {"a": "anger", "n": "neutral", "sa": "sadness", "su": "surprise"}


@pytest.fixture(scope="module")
def savee(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("savee")
    for speaker in SPEAKERS[:2]:
        for name in ("a1", "n30", "sa15", "su02"):
            write_clip(root / "AudioVisualClip" / speaker / f"{name}.avi", f"{speaker}{name}")
            write_voice(root / "AudioData" / speaker / f"{name}.wav", f"{speaker}{name}")
    return root


def test_labels_and_subjects_are_those_of_names_and_folders(savee):
    contents = Savee(str(savee)).read()
    assert contents.output_names == list(LABELS.values())
    labels = {clip.clip_id: (clip.label, clip.subject) for clip in contents.recordings}
    assert labels["DC_a01"] == ("anger", "DC")
    assert labels["JE_sa15"] == ("sadness", "JE")
    assert labels["JE_su02"] == ("surprise", "JE")
    assert len(labels) == 8
    (fault,) = contents.faults
    assert fault.startswith("SAVEE has 480 clips of 4 subjects, and ")
    assert "8 of 2: nothing of JK, KL." in fault


@pytest.mark.parametrize("layout", ["AudioData/{speaker}/{name}.wav", "ALL/{speaker}_{name}.wav"])
def test_the_whole_corpus_has_120_clips_of_each_man_in_both_layouts(tmp_path, layout):
    for speaker in SPEAKERS:
        for emotion, count in COUNTS.items():
            for number in range(1, count + 1):
                name = f"{emotion}{number:02d}" if "_" in layout else f"{emotion}{number}"
                path = tmp_path / layout.format(speaker=speaker, name=name)
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"RIFF")
    contents = Savee(str(tmp_path), modalities="audio").read()
    assert Counter(clip.subject for clip in contents.recordings) == dict.fromkeys(SPEAKERS, 120)
    assert Counter(clip.label for clip in contents.recordings)["neutral"] == 120
    assert not contents.faults


def test_numbers_that_no_sentence_has_are_told(tmp_path):
    for name in ("a16", "n31", "x1", "su0"):
        write_clip(tmp_path / "DC" / f"{name}.avi")
    with pytest.raises(FileNotFoundError, match=r"found 4 files \(.avi 4\), such as .*\(sentence"):
        Savee(str(tmp_path)).read()


@pytest.mark.slow
def test_one_command_prepares_it_and_so_does_training(savee, tmp_path, in_process):
    given = f"corpus.root={savee}"
    store = prepare_by_command("corpus=savee", given, f"prepare.stores={tmp_path}")
    assert len(store) == 8
    assert store.has_face.all()
    assert store.has_audio.all()
    assert store.attribute("sentence")[0] == "a01"
    assert prepare_by_training(tmp_path, "data=savee", f"data.{given}").root == store.root
