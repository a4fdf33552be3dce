"""CREMA-D: names, votes of the crowd with ties, known-bad clips, folders, and one command."""

from collections import Counter
from pathlib import Path

import pytest
from published import (
    prepare_by_command,
    prepare_by_training,
    preview,
    report_of,
    write_clip,
    write_pointer,
    write_voice,
)

from avfusion.corpora import CremaD

NAMES = ("1001_DFA_ANG_XX", "1001_IEO_HAP_HI", "1001_IEO_SAD_LO", "1002_TIE_NEU_XX")
BAD = ("1076_MTI_SAD_XX", "1076_MTI_NEU_XX", "1064_TIE_SAD_XX", "1064_IEO_DIS_MD")
VOTES = """"","FileName","VoiceVote","VoiceLevel","FaceVote","FaceLevel","MultiModalVote","x"
"1","1001_DFA_ANG_XX","N","71.67","A","57","A","57.38"
"2","1001_IEO_HAP_HI","D","1","A:H","50:40","H","1"
"3","1001_IEO_SAD_LO","S","1","A:D","50:40","A:N","1"
"""
ACTORS = """"ActorID","Age","Sex","Race","Ethnicity"
1001,51,"Male","Caucasian","Not Hispanic"
1002,21,"Female","Caucasian","Not Hispanic"
"""


def write_crema_d(root: Path, folder: str = "VideoFlash", names=(*NAMES, *BAD[:2])) -> Path:
    suffix = {"VideoFlash": "flv", "VideoMP4": "mp4", "AudioWAV": "wav", "AudioMP3": "mp3"}[folder]
    for name in names:
        path = root / folder / f"{name}.{suffix}"
        write_clip(path, name) if folder.startswith("Video") else write_voice(path, name)
    (root / "processedResults").mkdir(exist_ok=True)
    (root / "processedResults" / "summaryTable.csv").write_text(VOTES)
    (root / "VideoDemographics.csv").write_text(ACTORS)
    return root


@pytest.fixture(scope="module")
def crema_d(tmp_path_factory) -> Path:
    return write_crema_d(tmp_path_factory.mktemp("CREMA-D"))


def labels(corpus: CremaD) -> dict[str, str]:
    return {clip.clip_id: clip.label for clip in corpus.read().recordings}


def test_labels_subjects_and_attributes_are_those_of_names_and_tables(crema_d):
    contents = CremaD(str(crema_d)).read()
    assert contents.output_names == ["angry", "happy", "neutral", "sad"]
    assert Counter(clip.subject for clip in contents.recordings) == {"1001": 3, "1002": 1}
    assert [clip.clip_id for clip in contents.recordings] == list(NAMES)
    assert dict(contents.recordings[1].attributes) == {
        "age": "51",
        "gender": "male",
        "intended": "happy",
        "level": "high",
        "sentence": "IEO",
    }


def test_the_crowd_labels_by_voice_face_or_both_and_ties_are_left_out(crema_d):
    voice, face, both = (CremaD(str(crema_d), label) for label in ("voice", "face", "both"))
    assert labels(voice) == dict(zip(NAMES[:3], ("neutral", "disgust", "sad"), strict=True))
    assert labels(face) == {NAMES[0]: "angry"}
    assert labels(both) == {NAMES[0]: "angry", NAMES[1]: "happy"}
    left = [(clip.clip_id, clip.reason, clip.detail) for clip in face.read().left_out]
    assert (NAMES[1], "tied votes", "A:H") in left
    assert (NAMES[3], "no votes", "") in left


def test_a_clip_is_left_out_once_however_many_of_its_files_are_there(tmp_path):
    for folder in ("VideoFlash", "AudioWAV", "AudioMP3"):
        write_crema_d(tmp_path, folder, NAMES)
    contents = CremaD(str(tmp_path), "face").read()
    assert [clip.clip_id for clip in contents.left_out] == [NAMES[1], NAMES[2], NAMES[3]]
    assert {clip.source.suffix for clip in contents.left_out} == {".wav"}


def test_of_tied_emotions_the_intended_one_may_count(crema_d):
    face = CremaD(str(crema_d), "face", ties="intended")
    assert labels(face) == {NAMES[0]: "angry", NAMES[1]: "happy"}  # the third is sad: not tied


def test_labels_of_the_crowd_need_the_table(crema_d, tmp_path):
    write_clip(tmp_path / "VideoFlash" / f"{NAMES[0]}.flv")
    with pytest.raises(FileNotFoundError, match=r"label=voice needs processedResults/summaryTable"):
        CremaD(str(tmp_path), "voice").read()
    (tmp_path / "summaryTable.csv").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(ValueError, match="has no column FileName, VoiceVote, but version"):
        CremaD(str(tmp_path), "voice").read()
    assert labels(CremaD(str(crema_d / "VideoFlash"), "voice"))  # in the folder above


def test_clips_that_are_known_to_be_bad_are_left_out_with_reason_and_source(tmp_path):
    write_crema_d(tmp_path, names=[*NAMES, *BAD])
    contents = CremaD(str(tmp_path)).read()
    assert len(contents.recordings) == len(NAMES)
    assert {clip.clip_id for clip in contents.left_out} == set(BAD)
    assert all(clip.detail.endswith("CREMA-D/issues/8") for clip in contents.left_out)
    everything = CremaD(str(tmp_path), include_known_bad=True).read()
    assert len(everything.recordings) == len(NAMES) + len(BAD)


def test_sounds_are_those_of_audiowav_rather_than_mp3_or_flv(crema_d, tmp_path):
    for folder in ("VideoFlash", "VideoMP4", "AudioWAV", "AudioMP3"):
        write_crema_d(tmp_path, folder, NAMES[:1])
    sources = {
        modalities: CremaD(str(tmp_path), modalities=modalities).read().recordings[0].sources
        for modalities in ("both", "audio", "face")
    }
    folders = {how: [path.parent.name for path in paths] for how, paths in sources.items()}
    assert folders == {"both": ["VideoFlash"], "audio": ["AudioWAV"], "face": ["VideoFlash"]}
    assert CremaD(str(crema_d), modalities="audio").read().recordings[0].audio.suffix == ".flv"


def test_a_clone_without_git_lfs_is_told(tmp_path):
    for name in NAMES:
        write_pointer(tmp_path / "VideoFlash" / f"{name}.flv")
    with pytest.raises(FileNotFoundError, match=r"4 of 4 clips .*git-LFS pointer.*git lfs pull"):
        CremaD(str(tmp_path)).read()


def test_names_that_break_the_rule_are_told_and_a_level_x_is_xx(crema_d, tmp_path):
    write_clip(tmp_path / "VideoMP4" / "1040_ITH_SAD_X.mp4")
    for name in ("1092_ITH_SAD_XX", "1001_ABC_SAD_XX", "1001_ITH_ODD_XX", "1001_ITH_SAD_ZZ"):
        write_clip(tmp_path / "VideoMP4" / f"{name}.mp4")
    contents = CremaD(str(tmp_path)).read()
    assert [clip.clip_id for clip in contents.recordings] == ["1040_ITH_SAD_XX"]
    assert contents.faults[0].startswith("4 files ")
    assert "(sentence ABC)" in contents.faults[0]
    assert contents.faults[1].startswith("CREMA-D has 7442 clips of 91 subjects, and ")


def test_one_command_prepares_it_and_so_does_training(crema_d, tmp_path, in_process):
    given, stores = f"corpus.root={crema_d}", f"prepare.stores={tmp_path}"
    text = preview("corpus=crema_d", given, stores)
    assert "1 clip left out, no sound and no face: 1076_MTI_SAD_XX (https://github.com/" in text
    store = prepare_by_command("corpus=crema_d", given, stores)
    assert len(store) == len(NAMES)
    assert store.has_face.all()
    assert store.has_audio.all()
    assert store.attribute("gender") == ["male"] * 3 + ["female"]
    assert report_of(store)["1076_MTI_NEU_XX"]["reason"] == "no sound"
    assert prepare_by_training(tmp_path, "data=crema_d", f"data.{given}").root == store.root
