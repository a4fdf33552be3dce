"""Recordings without labels, as a command line names them."""

import csv
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import tone, write_picture, write_sound, write_video

from avfusion.corpora.unlabeled import UnlabeledRecordings, find_recordings
from avfusion.data.store import Store
from avfusion.features import Policies
from avfusion.preparation.prepare import prepare


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


COMPANIONS = (
    *("._a.mp4", "._b.png", ".DS_Store", ".hidden.wav", "Thumbs.db", "THUMBS.DB", "desktop.ini"),
    *("__MACOSX/a.mp4", "@eaDir/a.mp4/SYNOVIDEO.jpg", ".Trashes/old.mp4", "deep/._c.FLV"),
)


def write(folder, *names, content=b""):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def left_out(folder):
    with (folder / "left_out.csv").open(newline="", encoding="utf-8") as file:
        return {row["source"]: row["reason"] for row in csv.DictReader(file)}


def test_companion_files_are_ignored_in_folders_and_patterns(folder, caplog):
    before = [kinds(find_recordings(f"{folder}{rest}"), folder) for rest in ("", "/**/*.*")]
    caplog.clear()
    write(folder, *COMPANIONS)
    after = [kinds(find_recordings(f"{folder}{rest}"), folder) for rest in ("", "/**/*.*")]
    assert after == before
    assert "1 file is left out: notes.md" in caplog.text


def test_a_folder_within_a_hidden_one_is_searched_as_any_other(tmp_path):
    write(tmp_path, ".cache/clips/a.mp4", ".cache/clips/.b.mp4")
    for given in (".cache/clips", ".cache/clips/*", ".cache/**/*.mp4"):
        found = find_recordings(f"{tmp_path}/{given}")
        assert kinds(found, tmp_path) == {(".cache/clips/a.mp4", None, None)}


def test_every_file_of_a_folder_is_answered_for_or_listed_with_the_count(tmp_path, caplog):
    answered = {
        *("p.jfif", "q.HEIC", "r.gif", "s.avif", "t.jpe", "u.apng"),
        *("a.sph", "b.AMR", "c.caf", "d.au", "e.w64", "f.ac3", "g.mka", "h.m4b"),
        *("v.3gp", "w.m2ts", "x.MTS", "y.ogv", "z.divx", "0.mpe", "1.vob", "2.mxf", "3.3g2"),
    }
    text = {"table.csv", "words.srt", "notes.docx", "README", "sub/page.html", "photo.CR2"}
    folder = tmp_path / "clips"
    write(folder, *answered)
    write(folder, *text, content=b"The free text of MAC users, BM and P5 3.\n" * 9)
    (folder / "link.mp4").symlink_to(folder / "nowhere.mp4")
    found = find_recordings(str(folder), tmp_path)
    assert {recording.sources[0].name for recording in found} == answered
    assert left_out(tmp_path).keys() == {str(folder / name) for name in {*text, "link.mp4"}}
    assert "7 files are left out: " in caplog.text and f"{tmp_path}/left_out.csv" in caplog.text
    assert "beside 23 recordings" in caplog.text


SIGNATURES = {
    "image": [
        b"\xff\xd8\xff\xe0\x00\x10JFIF",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\x24\x00\x00\x00WEBPVP8 ",
        b"\x00\x00\x00\x20ftypheic\x00",
        b"\x00\x00\x00\x20ftypavif\x00",
    ],
    "audio": [
        b"RIFF\x24\x00\x00\x00WAVEfmt ",
        b"RF64\xff\xff\xff\xffWAVEds64",
        b"fLaC\x00",
        b"ID3\x04\x00",
        b"\xff\xfb\x90\x64",
        b"OggS" + bytes(24) + b"OpusHead",
        b"NIST_1A\n   1024\n",
        b"\x00\x00\x00\x20ftypM4A \x00",
    ],
    "video": [
        b"\x00\x00\x00\x20ftypisom\x00",
        b"\x00\x00\x00\x14ftypqt  \x00",
        b"\x1a\x45\xdf\xa3\x01",
        b"RIFF\x24\x00\x00\x00AVI LIST",
        b"\x00\x00\x00\x01\x67\x42\x00\x1e",
        b"OggS" + bytes(24) + b"\x80theora",
        (b"\x47" + bytes(187)) * 2,
        (bytes(4) + b"\x47" + bytes(187)) * 2,
    ],
}


@pytest.mark.parametrize(
    ("kind", "start"), [(kind, start) for kind in SIGNATURES for start in SIGNATURES[kind]]
)
def test_files_of_unknown_suffixes_are_what_they_begin_as(tmp_path, kind, start):
    for name in ("clip", "clip.part", "clip.0001"):
        write(tmp_path / name, name, content=start)
        for given in (tmp_path / name, tmp_path / name / name):
            (found,) = find_recordings(str(given))
            assert getattr(found, kind) == tmp_path / name / name and len(found.sources) == 1


def test_folders_behind_links_are_searched_once_and_rings_end(tmp_path):
    write(tmp_path, "elsewhere/a.mp4", "clips/b.mp4")
    (tmp_path / "clips" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "clips" / "ring").symlink_to(tmp_path / "clips")
    found = find_recordings(f"{tmp_path}/clips")
    assert {recording.video.name for recording in found} == {"a.mp4", "b.mp4"} and len(found) == 2


def test_folders_that_a_pattern_names_are_searched_and_no_file_is_found_twice(folder):
    direct = kinds(find_recordings(f"{folder}/dee*"), folder)
    assert direct == {("deep/c.FLV", None, None), (None, "deep/d.jpg", None)}
    found = find_recordings(f"{folder}/**")
    sources = [source for recording in found for source in recording.sources]
    assert len(sources) == len({*sources})


def test_a_folder_without_recordings_is_refused_with_what_it_has(tmp_path):
    write(tmp_path, "a.csv", "b.srt", ".c.mp4", content=b"text")
    sentence = r"No recording in .* \(2 files are left out: a\.csv \(no rec.*, b\.srt .*give a vid"
    with pytest.raises(FileNotFoundError, match=sentence):
        find_recordings(str(tmp_path))


def test_recordings_have_the_features_bit_by_bit_that_training_gave_them(
    recordings, recordings_store, long_features, tmp_path, in_process
):
    answering = replace(long_features, policies=Policies.for_prediction())
    corpus = UnlabeledRecordings(find_recordings(str(recordings)), ["high", "low"])
    ours, theirs = Store(prepare(corpus, answering, tmp_path)), Store(recordings_store)
    places = {source: row for row, source in enumerate(theirs.texts("audio_source"))}
    rows = [places[source] for source in ours.texts("audio_source")]
    assert sorted(rows) == list(range(24))
    for name in ("frames", "mfcc", "waveform"):
        assert np.array_equal(ours.shards(name)[0], theirs.shards(name)[0][rows])
    assert (ours.lengths("mfcc") == theirs.lengths("mfcc")[rows]).all()


def touch_bytes(folder: Path, name: bytes) -> Path:
    """Make a file whose name is not UTF-8, where the file system allows that."""
    path = folder / os.fsdecode(name)
    try:
        path.touch()
    except OSError:
        pytest.skip("this file system has names in UTF-8 only")
    return path


def test_names_that_are_not_utf_8_are_answered_for_and_listed_beside_others(
    small_features, tmp_path, in_process, caplog
):
    clips = tmp_path / "clips"
    clips.mkdir()
    pictures = [np.full((64, 64, 3), shade, np.uint8) for shade in (40, 90, 140)]
    write_video(touch_bytes(clips, b"caf\xe9.mp4"), pictures, [0.0, 0.4, 0.8], tone(1.2))
    write_picture(touch_bytes(clips, b"ann\xe9.png"), (200, 60, 60))
    write_sound(touch_bytes(clips, b"ann\xe9.wav"), tone(1.0))
    write_sound(clips / "good.wav", tone(1.0))
    touch_bytes(clips, b"empty\xe9.wav")
    touch_bytes(clips, b"left\xe9.txt").write_text("words")
    found = find_recordings(str(clips), tmp_path)
    ids = [f"{clips}/{name}" for name in (r"ann\udce9.wav", r"caf\udce9.mp4", "good.wav")]
    assert {r.clip_id for r in found} == {*ids, rf"{clips}/empty\udce9.wav"}
    assert list(left_out(tmp_path)) == [rf"{clips}/left\udce9.txt"]
    features = replace(small_features, policies=Policies.for_prediction())
    store = prepare(UnlabeledRecordings(found, ["a", "b"]), features, tmp_path / "stores")
    assert sorted(Store(store).texts("clip_id")) == sorted(ids)
    with (store / "report.csv").open(newline="", encoding="utf-8") as file:
        report = {row["clip_id"]: row for row in csv.DictReader(file)}
    empty = report[rf"{clips}/empty\udce9.wav"]
    assert (empty["outcome"], empty["detail"]) == ("skipped", r"empty\udce9.wav: empty file")
    assert report[ids[0]]["source"] == rf"{clips}/ann\udce9.png {ids[0]}"
    caplog.text.encode()  # as a log in UTF-8 does
