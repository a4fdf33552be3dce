"""MEAD: folders, pictures and sounds in two files, views, and one command."""

from pathlib import Path

import pytest
from published import prepare_by_command, prepare_by_training, write_clip, write_voice

from avfusion.corpora import Mead

TAKES = ("angry/level_1/001", "angry/level_3/001", "neutral/level_1/002")


@pytest.fixture(scope="module")
def mead(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("mead")
    for actor in ("M003", "W009"):
        for take in TAKES:
            for view in ("front", "left_30"):
                path = root / actor / "video" / view / f"{take}.mp4"
                write_clip(path, f"{actor}/{view}/{take}", sound=False)
            write_voice(root / actor / "audio" / f"{take}.m4a", f"{actor}/{take}")
    return root


def test_labels_subjects_and_attributes_are_those_of_the_folders(mead):
    contents = Mead(str(mead)).read()
    assert contents.output_names == ["angry", "neutral"]
    clips = {clip.clip_id: clip for clip in contents.recordings}
    assert len(clips) == 6
    strong = clips["W009_angry_3_001"]
    assert (strong.label, strong.subject) == ("angry", "W009")
    assert dict(strong.attributes) == {"gender": "female", "level": "3"}
    assert dict(clips["M003_neutral_1_002"].attributes)["gender"] == "male"


@pytest.mark.parametrize("view", ["front", "left_30"])
def test_a_clip_is_the_pictures_of_one_view_and_the_sound_beside_them(mead, view):
    clip = Mead(str(mead), view).read().recordings[0]
    assert clip.video is None
    assert clip.image == mead / "M003" / "video" / view / "angry" / "level_1" / "001.mp4"
    assert clip.audio == mead / "M003" / "audio" / "angry" / "level_1" / "001.m4a"


def test_archives_may_be_unpacked_into_folders_of_their_own(mead, tmp_path):
    for part, suffix in (("video/front", "mp4"), ("audio", "m4a")):
        for take in TAKES:
            source = mead / "M003" / part / f"{take}.{suffix}"
            copy = tmp_path / "M003" / f"{part[:5]}-001" / part / f"{take}.{suffix}"
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.symlink_to(source)
    ids = [clip.clip_id for clip in Mead(str(tmp_path)).read().recordings]
    assert ids == [clip.clip_id for clip in Mead(str(mead / "M003")).read().recordings]


def test_what_breaks_the_rule_or_lacks_the_sound_is_told(tmp_path):
    for path in ("bored/level_1/001", "angry/level_4/001", "happy/level_1/001"):
        write_clip(tmp_path / "M003" / "video" / "front" / f"{path}.mp4", sound=False)
    write_clip(tmp_path / "M003" / "video" / "behind" / "happy" / "level_1" / "001.mp4")
    with pytest.raises(FileNotFoundError, match=r"1 of 1 clip of MEAD .*\(no sound\)"):
        Mead(str(tmp_path)).read()
    contents = Mead(str(tmp_path), modalities="face").read()
    assert [clip.clip_id for clip in contents.recordings] == ["M003_happy_1_001"]
    for problem in ("3 files", "(emotion bored)", "(view behind)", "(level 4)"):
        assert problem in contents.faults[0]
    with pytest.raises(ValueError, match=r"view must be one of front, left_30, .*got 'side'"):
        Mead(str(tmp_path), "side")


def test_one_command_prepares_it_and_so_does_training(mead, tmp_path, in_process):
    given = f"corpus.root={mead}"
    store = prepare_by_command("corpus=mead", given, f"prepare.stores={tmp_path}")
    assert len(store) == 6
    assert store.has_face.all()
    assert store.has_audio.all()
    assert store.attribute("level") == ["1", "3", "1"] * 2
    assert prepare_by_training(tmp_path, "data=mead", f"data.{given}").root == store.root
