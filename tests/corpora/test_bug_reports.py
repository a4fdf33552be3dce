"""Inputs of public bug reports about other tools, read as they were meant."""

import shutil

import pytest
from conftest import SHARED

from avfusion.corpora import Manifest
from avfusion.corpora.unlabeled import find_recordings
from avfusion.features.picture import read_frame_folder
from avfusion.preparation.prepare import find_split_faults

REPORTED = SHARED / "bad" / "reported"
pytestmark = pytest.mark.skipif(
    not REPORTED.is_dir(), reason=f"no {REPORTED}: set AVFUSION_SHARED to what has reported inputs"
)


def test_subjects_in_two_splits_are_found_under_other_spellings():
    contents = Manifest(str(REPORTED / "subject_spelling")).read()
    (fault,) = find_split_faults(contents, [])
    assert fault.startswith("2 subjects are in more than one split (Ann, Jos\u00e9)")
    assert [clip.subject for clip in contents.recordings][2] == "Jose\u0301"


def test_a_blank_before_a_header_loses_no_sound():
    recordings = Manifest(str(REPORTED / "header_spelling")).read().recordings
    assert [clip.audio.name for clip in recordings] == [f"a{number}.wav" for number in range(6)]


def test_every_suffix_of_a_folder_is_a_recording(tmp_path):
    folder = REPORTED / "folder_of_suffixes"
    found = find_recordings(str(folder), tmp_path)
    assert {clip.sources[0].name for clip in found} == {path.name for path in folder.iterdir()}
    assert not (tmp_path / "left_out.csv").exists()


def test_companion_files_of_macos_are_no_frames(tmp_path):
    folder = REPORTED / "companion_files" / "frames"
    shutil.copytree(folder, tmp_path / "clean", ignore=shutil.ignore_patterns("._*"))
    with_them, without = (
        read_frame_folder(folder, [0.0, 0.4, 0.9]),
        read_frame_folder(tmp_path / "clean", [0.0, 0.4, 0.9]),
    )
    for one, other in zip(with_them.pictures, without.pictures, strict=True):
        assert (one == other).all()
