"""RAVDESS: names, layouts in circulation, takes whose sound lies in two files, and one command."""

import re
from collections import Counter
from pathlib import Path

import pytest
from published import prepare_by_command, prepare_by_training, preview, write_clip, write_voice

from avfusion.corpora import Ravdess
from avfusion.preparation.prepare import limit_contents

TRIALS = ("01-01-01-01-01", "01-03-02-02-01", "01-08-01-02-02", "02-04-01-01-01")


def write_ravdess(
    root: Path, layout: str = "Actor_{actor}", modalities: str = "01", actors: str = "01 02"
) -> Path:
    """A few trials of speech and song, of each of them the files of some modalities."""
    for actor in actors.split():
        for trial in TRIALS:
            for modality in modalities.split():
                name = f"{modality}-{trial}-{actor}"
                folder, take = root / layout.format(actor=actor), f"{trial}-{actor}"
                if modality == "03":
                    write_voice(folder / f"{name}.wav", take)
                else:
                    write_clip(folder / f"{name}.mp4", take, sound=modality == "01")
    return root


@pytest.fixture(scope="module")
def ravdess(tmp_path_factory) -> Path:
    return write_ravdess(tmp_path_factory.mktemp("ravdess"))


def test_labels_subjects_and_attributes_are_those_of_the_naming_rule(ravdess):
    contents = Ravdess(str(ravdess)).read()
    assert contents.output_names == ["neutral", "happy", "surprised"]
    assert Counter(clip.subject for clip in contents.recordings) == {"01": 3, "02": 3}
    clips = {clip.clip_id: clip for clip in contents.recordings}
    strong = clips["01-03-02-02-01-02"]
    assert strong.label == "happy"
    assert dict(strong.attributes) == {
        "channel": "speech",
        "gender": "female",
        "intensity": "strong",
        "repetition": "01",
        "sentence": "dogs",
    }
    assert dict(clips["01-01-01-01-01-01"].attributes)["gender"] == "male"
    assert clips["01-08-01-02-02-01"].label == "surprised"


def test_speech_song_or_both_are_chosen(ravdess):
    labels = {
        channel: Counter(clip.label for clip in Ravdess(str(ravdess), channel).read().recordings)
        for channel in ("speech", "song", "both")
    }
    assert labels["song"] == {"sad": 2}
    assert labels["both"] == labels["speech"] + labels["song"]
    with pytest.raises(ValueError, match="channel must be one of speech, song, both, got 'sung'"):
        Ravdess(str(ravdess), "sung")


@pytest.mark.parametrize(
    "layout",
    [
        "Video_Speech_Actor_{actor}/Actor_{actor}",
        "Audio_Speech_Actors_01-24/Actor_{actor}",
        "Video_Song_Actor_{actor}/Actor_{actor}",
        "",
    ],
)
def test_folders_of_the_archives_and_files_in_one_folder_are_the_same_corpus(
    ravdess, tmp_path, layout
):
    write_ravdess(tmp_path, layout)
    told = [
        [(clip.clip_id, clip.label, clip.subject) for clip in Ravdess(str(root)).read().recordings]
        for root in (ravdess, tmp_path)
    ]
    assert told[0] == told[1]


def test_a_take_is_one_clip_whichever_of_its_three_files_are_there(tmp_path):
    every = write_ravdess(tmp_path / "every", modalities="01 02 03")
    pairs = write_ravdess(tmp_path / "pairs", modalities="02 03")
    chosen = {
        (root.name, modalities): {
            tuple(path.name[:2] for path in clip.sources)
            for clip in Ravdess(str(root), modalities=modalities).read().recordings
        }
        for root in (every, pairs)
        for modalities in ("both", "audio", "face")
    }
    assert chosen == {
        ("every", "both"): {("01",)},
        ("every", "audio"): {("03",)},
        ("every", "face"): {("02",)},
        ("pairs", "both"): {("02", "03")},
        ("pairs", "audio"): {("03",)},
        ("pairs", "face"): {("02",)},
    }
    assert len(Ravdess(str(every)).read().recordings) == 6


def test_voices_alone_are_also_the_sound_of_videos(ravdess):
    clips = Ravdess(str(ravdess), modalities="audio").read().recordings
    assert {clip.audio.name[:2] for clip in clips} == {"01"}
    assert {clip.video for clip in clips} == {None}


@pytest.mark.slow
def test_the_whole_corpus_has_1440_and_1012_trials(tmp_path):
    for channel, emotions in (("01", 8), ("02", 6)):
        for actor in range(1, 25):
            folder = tmp_path / f"Actor_{actor:02d}"
            folder.mkdir(exist_ok=True)
            for emotion in range(1, emotions + 1):
                for intensity in (1, 2) if emotion > 1 else (1,):
                    for statement, repetition in ((1, 1), (1, 2), (2, 1), (2, 2)):
                        numbers = (emotion, intensity, statement, repetition, actor)
                        name = "-".join(f"{number:02d}" for number in numbers)
                        if (channel, actor) != ("02", 18):
                            (folder / f"03-{channel}-{name}.wav").write_bytes(b"RIFF")
    for channel, size in (("speech", 1440), ("song", 1012), ("both", 2452)):
        contents = Ravdess(str(tmp_path), channel, modalities="audio").read()
        assert (len(contents.recordings), list(contents.faults)) == (size, [])
        few = limit_contents(contents, 60).recordings  # for a trial
        assert {clip.subject for clip in few} == {clip.subject for clip in contents.recordings}


def test_parts_and_numbers_out_of_range_are_told(ravdess, tmp_path):
    (fault,) = Ravdess(str(ravdess)).read().faults
    assert fault.startswith("RAVDESS has 1440 clips of 24 subjects, and ")
    assert "6 of 2: nothing of 03, 04, " in fault
    for name in ("01-01-09-01-01-01-01", "01-01-03-01-01-01-25", "01-01-03-01-01-01"):
        write_clip(tmp_path / f"{name}.mp4")
    with pytest.raises(FileNotFoundError, match=r"found 3 files \(.mp4 3\), such as .*") as error:
        Ravdess(str(tmp_path)).read()
    assert re.search(r"01-01-03-01-01-01-25.mp4 \(actor 25\)", str(error.value))


def test_one_command_prepares_it_and_so_does_training(ravdess, tmp_path, in_process):
    given = f"corpus.root={ravdess}"
    stores = f"prepare.stores={tmp_path}"
    assert "1440 clips of 24 subjects" in preview("corpus=ravdess", given, stores)
    store = prepare_by_command("corpus=ravdess", given, stores)
    assert len(store) == 6
    assert store.has_face.all()
    assert store.has_audio.all()
    assert store.attribute("intensity").count("strong") == 2
    again = prepare_by_training(tmp_path, "data=ravdess", f"data.{given}")
    assert again.root == store.root
