"""Errors of a manifest: one exception names them all, with their lines."""

import csv
import logging

import pytest
from conftest import write_manifest, write_recordings

from avfusion.corpora import Manifest
from avfusion.data.store import Store
from avfusion.preparation.prepare import prepare


def rows(count=12):
    return [
        {
            "clip_id": f"c{number}",
            "image_path": "a.png",
            "audio_path": "a.wav",
            "label": "low",
            "subject": f"s{number}",
            "split": ("train", "val", "test")[number % 3],
            "box_left": "",
            "box_top": "",
            "box_right": "",
            "box_bottom": "",
        }
        for number in range(count)
    ]


@pytest.fixture
def read_error(tmp_path):
    """Read a manifest that has errors, and give the message."""
    (tmp_path / "a.png").touch()
    (tmp_path / "a.wav").touch()

    def read_error(table, **options):
        write_manifest(tmp_path, table)
        with pytest.raises((ValueError, FileNotFoundError)) as refused:
            Manifest(str(tmp_path), **options).read()
        assert "\n" not in str(refused.value)
        return str(refused.value)

    return read_error


def test_every_kind_of_error_is_named_with_its_line(read_error, tmp_path):
    table = rows()
    table[1]["clip_id"] = "c0"
    table[2]["label"] = ""
    table[3] |= {"box_left": "5", "box_top": "1", "box_right": "2", "box_bottom": "3"}
    table[4]["split"] = "dev"
    table[5] |= {"image_path": "", "audio_path": ""}
    table[6]["audio_path"] = "/etc/passwd"
    table[7]["image_path"] = "nope.png"
    table[10]["label"] = "hapy"
    message = read_error(table, on_error="raise")
    place = f"{tmp_path}/manifest.csv"
    assert message.startswith(f"{place} has 8 errors. (1) ")
    for sentence in (
        f"clip_id 'c0' stands in lines 2 and 3 of {place}: give each clip an id of its own.",
        f"Line 4 of {place} has an empty label.",
        f"Line 5 of {place} has the box 5, 1, 2, 3: give left",
        f"Line 7 of {place} names neither a video_path nor an image_path and an audio_path.",
        f"Line 8 of {place} names /etc/passwd, which is not in {tmp_path}: set corpus.media_root",
        "got dev (1 clip): correct the column",
        "See line 6.",
        "The label 'hapy' (1 clip) is not among the classes ['low']",
        "See line 12.",
        f"1 of the 21 files of {place} is missing: {tmp_path}/nope.png.",
    ):
        assert sentence in message


def test_a_missing_column_hides_no_error_of_another(read_error):
    table = rows()
    table[2]["label"] = ""
    for line in table:
        del line["subject"]
    message = read_error(table)
    assert "has no column subject" in message and "Line 4 of" in message and "2 errors" in message
    assert "empty subject" not in message


def test_of_a_kind_of_error_some_lines_are_named_and_the_rest_counted(read_error):
    table = rows(40)
    for line in table[:30]:
        line["label"] = ""
    for line in table[20:25]:
        line["box_left"] = "x"
    message = read_error(table)
    assert "has 35 errors" in message
    assert "Line 2 of" in message and "line 7 has an empty label and 24 more." in message
    assert "Line 22 of" in message and "line 26 has the box x, , , ." in message
    assert len(message) < 2000


def test_duplicate_ids_are_all_counted(read_error):
    table = rows(40)
    for line in table[20:]:
        line["clip_id"] = f"c{int(line['clip_id'][1:]) - 20}"
    message = read_error(table)
    assert "clip_id 'c0' stands in lines 2 and 22 of" in message
    assert "'c5' in lines 7 and 27 and 14 more." in message


def test_ids_are_duplicates_only_where_nobody_sees_a_difference(read_error, tmp_path):
    table = rows(4)
    for line, name in zip(table, ("dQw4", "dqw4", "Jos\u00e9", "s1"), strict=True):
        line["clip_id"] = name
    write_manifest(tmp_path, table)
    assert len(Manifest(str(tmp_path)).read().recordings) == 4
    table[3]["clip_id"] = "Jose\u0301\u200b"
    assert "stands in lines 4 and 5 of" in read_error(table)


@pytest.fixture
def incomplete(tmp_path):
    """Recordings of which one lacks its sound, one its picture, and one all that it names."""
    folder = write_recordings(tmp_path / "recordings")
    for name in ("s0_0.wav", "s1_1.png", "s2_2.wav", "s2_2.png"):
        (folder / name).unlink()
    return folder


INCOMPLETE_CLIPS = {"s0_0", "s1_1", "s2_2"}


def test_clips_whose_files_are_missing_are_skipped_and_listed(
    incomplete, small_features, tmp_path, in_process, caplog
):
    with caplog.at_level(logging.WARNING):
        corpus = Manifest(str(incomplete))
        path = prepare(corpus, small_features, tmp_path / "stores")
    assert "4 of the 48 files of" in caplog.text and "skipped for that: 3" in caplog.text
    store = Store(path)
    assert len(store) == 21 and store.description["skipped"] == {"no such file": 3}
    with (path / "report.csv").open(newline="", encoding="utf-8") as file:
        skipped = {
            row["clip_id"]: row for row in csv.DictReader(file) if row["outcome"] == "skipped"
        }
    assert skipped.keys() == INCOMPLETE_CLIPS
    assert {row["reason"] for row in skipped.values()} == {"no such file"}
    assert "s1_1.png" in skipped["s1_1"]["detail"]


@pytest.mark.slow
def test_a_file_that_comes_later_makes_another_store(
    incomplete, recordings, small_features, tmp_path, in_process
):
    corpus = Manifest(str(incomplete))
    before = prepare(corpus, small_features, tmp_path / "stores")
    (incomplete / "s0_0.wav").write_bytes((recordings / "s0_0.wav").read_bytes())
    after = prepare(corpus, small_features, tmp_path / "stores")
    assert before != after and len(Store(after)) == 22


def test_missing_files_are_an_error_where_that_is_asked_for(incomplete):
    with pytest.raises(
        FileNotFoundError, match=r"4 of the 48 files of .*, or to corpus\.media_root"
    ):
        Manifest(str(incomplete), on_error="raise").read()


def test_where_most_files_are_missing_the_sentence_says_what_paths_are_relative_to(
    incomplete, caplog
):
    for path in [*incomplete.glob("s[0-3]*.wav")]:
        path.unlink()
    Manifest(str(incomplete)).read()
    assert "16 of 24 clips lack theirs: set corpus.media_root=<folder" in caplog.text


def test_where_no_clip_has_its_files_nothing_is_begun(incomplete):
    for path in [*incomplete.glob("*.wav")]:
        path.unlink()
    with pytest.raises(FileNotFoundError, match=r"24 of 24 clips .* set corpus\.media_root="):
        Manifest(str(incomplete)).read()
