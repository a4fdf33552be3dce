"""Claims about the digests of files and their memory."""

import hashlib
import json
import os

import pytest

from avfusion.preparation import file_digests as contents
from avfusion.preparation.file_digests import FileDigests


@pytest.fixture
def old(tmp_path):
    """A file that was written long ago."""
    file = tmp_path / "clip.wav"
    file.write_bytes(b"sound")
    os.utime(file, (10, 10))
    return file


@pytest.fixture
def memory(tmp_path, monkeypatch):
    """The file of a memory that takes whatever was written until now."""
    monkeypatch.setattr(contents, "RECENT_NANOSECONDS", -(10**12))
    return tmp_path / "files.json"


def test_a_digest_is_that_of_the_content(old, memory):
    assert FileDigests().compute([old, old.parent / "none"]) == {
        old: hashlib.sha256(b"sound").hexdigest(),
        old.parent / "none": "missing",
    }


def test_an_unchanged_file_is_read_once(old, memory, monkeypatch):
    files = FileDigests(memory)
    digests = files.compute([old])
    files.save()
    monkeypatch.setattr(contents, "_digest", lambda path: pytest.fail("read again"))
    assert FileDigests(memory).compute([old]) == digests


def test_a_change_that_keeps_size_and_time_of_a_file_is_seen(old, memory):
    files = FileDigests(memory)
    before = files.compute([old])
    files.save()
    old.write_bytes(b"SOUND")
    os.utime(old, (10, 10))  # the time of the last change of the inode stays another
    assert FileDigests(memory).compute([old]) != before


def test_a_file_that_has_just_been_written_is_not_remembered(old, tmp_path):
    files = FileDigests(tmp_path / "files.json")
    files.compute([old])  # its inode was changed just now
    files.save()
    assert not (tmp_path / "files.json").exists()


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"a": 1}'])
def test_a_broken_memory_is_as_good_as_none(old, memory, text):
    memory.write_text(text, encoding="utf-8")
    files = FileDigests(memory)
    assert files.compute([old]) == FileDigests().compute([old])
    files.save()
    assert str(old) in json.loads(memory.read_text(encoding="utf-8"))


def test_what_is_not_remembered_has_to_be_read(old, memory):
    size = old.stat().st_size
    files = FileDigests(memory)
    assert files.count_unread_bytes([old, old, old.parent / "none"]) == size > 0
    files.compute([old])
    assert files.count_unread_bytes([old]) == 0
