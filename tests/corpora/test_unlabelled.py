"""Claims about how a person names recordings."""

from dataclasses import replace

import numpy as np
import pytest

from avfusion.corpora.unlabelled import Unlabelled, find_recordings
from avfusion.data.prepare import prepare
from avfusion.data.store import Store
from avfusion.features import Policies


@pytest.fixture
def folder(tmp_path):
    """A folder with a video, a pair, frames with a sound, a loose picture and other files."""
    for name in ("a.mp4", "b.png", "b.wav", "frames/0.png", "frames/1.png", "frames.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("deep/c.FLV", "deep/d.jpg", "notes.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def kinds(recordings, folder):
    """Name the files of recordings, relative to a folder."""
    return {
        tuple(
            path and path.relative_to(folder).as_posix()
            for path in (recording.video, recording.image, recording.audio)
        )
        for recording in recordings
    }


def test_a_folder_is_searched_and_what_has_one_name_belongs_together(folder):
    found = find_recordings(str(folder))
    assert kinds(found, folder) == {
        ("a.mp4", None, None),
        (None, "b.png", "b.wav"),
        (None, "frames", "frames.wav"),
        ("deep/c.FLV", None, None),
        (None, "deep/d.jpg", None),
    }
    assert len({recording.clip_id for recording in found}) == 5


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.mp4", ("a.mp4", None, None)),
        ("b.png", (None, "b.png", None)),
        ("b.wav", (None, None, "b.wav")),
        ("notes.md", ("notes.md", None, None)),
    ],
)
def test_a_file_is_what_its_name_says_and_else_a_video(folder, name, kind):
    assert kinds(find_recordings(f"{folder}/{name}"), folder) == {kind}


@pytest.mark.parametrize("given", ["{0}/b.png + {0}/b.wav", "{0}/b.wav+{0}/b.png"])
def test_picture_and_sound_are_told_apart_in_either_order(folder, given):
    assert kinds(find_recordings(given.format(folder)), folder) == {(None, "b.png", "b.wav")}


def test_a_folder_of_frames_is_a_picture_where_a_sound_is_named(folder):
    given = f"{folder}/frames + {folder}/b.wav"
    assert kinds(find_recordings(given), folder) == {(None, "frames", "b.wav")}


def test_a_pattern_names_files(folder):
    found = find_recordings(f"{folder}/**/*.[mF]*")
    assert kinds(found, folder) == {
        ("a.mp4", None, None),
        ("deep/c.FLV", None, None),
        ("notes.md", None, None),
    }


def test_a_list_names_anything_relative_to_itself(folder):
    (folder / "list.txt").write_text("a.mp4\n\nb.png + frames.wav\ndeep\na.mp4\n")
    found = find_recordings(f"{folder}/list.txt")
    assert kinds(found, folder) == {
        ("a.mp4", None, None),
        (None, "b.png", "frames.wav"),
        ("deep/c.FLV", None, None),
        (None, "deep/d.jpg", None),
    }
    assert len({recording.clip_id for recording in found}) == len(found) == 5


@pytest.mark.parametrize("given", ["none.mp4", "*.xyz", "a.mp4 + none.wav", "empty"])
def test_what_is_not_there_is_refused_by_its_name(folder, given):
    (folder / "empty").mkdir()
    entry = " + ".join(str(folder / part.strip()) for part in given.split("+"))
    with pytest.raises(FileNotFoundError, match=r"none|xyz|empty"):
        find_recordings(entry)


def test_recordings_have_the_features_bit_by_bit_that_training_gave_them(
    recordings, recordings_store, long_features, tmp_path, in_process
):
    answering = replace(long_features, policies=Policies.answering())
    corpus = Unlabelled(find_recordings(str(recordings)), ["high", "low"])
    ours, theirs = Store(prepare(corpus, answering, tmp_path)), Store(recordings_store)
    places = {clip["audio_source"]: row for row, clip in enumerate(theirs.index)}
    rows = [places[clip["audio_source"]] for clip in ours.index]
    assert sorted(rows) == list(range(24))
    for name in ("face", "audio"):
        assert np.array_equal(getattr(ours, name)[0], getattr(theirs, name)[0][rows])
    assert (ours.frames == theirs.frames[rows]).all()
