"""Claims about the record of a clip."""

import hashlib
import json

import numpy as np
import pytest
from conftest import clip_record

from avfusion.corpora import Box, Recording
from avfusion.data.index import ClipRecord, Window, digest_content, format_digest
from avfusion.features import ClipFeatures
from avfusion.preparation.shards import DecodingResult


@pytest.fixture
def clip() -> ClipFeatures:
    """A face without sound."""
    face, audio = np.ones((1, 2, 2, 3), np.uint8), np.zeros((1, 75), np.float32)
    return ClipFeatures(face, np.zeros(0, np.int16), audio, None, None, "silent", True, False, 2.5)


def test_a_record_holds_what_was_decoded_and_nothing_of_what_is_not_there(clip, tmp_path):
    recording = Recording("a", "low", "s", "val", image=tmp_path / "a.png", window=(8000, 24_000))
    record = ClipRecord.of(recording, clip, 2, 7)
    assert record == clip_record(
        "a", label="low", subject="s", split="val", shard=2, place=7, window=Window(0.5, 1.5),
        seconds=2.5, samples=0, frames=1, has_face=True, has_audio=False, pictures=1,
        note="silent", face_source=str(tmp_path / "a.png"), face_digest=digest_content(clip.face),
    )  # fmt: skip


def test_a_digest_is_the_beginning_of_sha256(clip):
    expected = hashlib.sha256(clip.face.tobytes()).hexdigest()[:16]
    assert format_digest(digest_content(clip.face)) == expected
    assert format_digest(5) == "0000000000000005"


def test_text_that_utf_8_cannot_hold_is_spelled_out(clip, tmp_path):
    recording = Recording("caf\udce9", "l\udce9", "s\udce9", "val", image=tmp_path / "b\udce9.png")
    record = ClipRecord.of(recording, clip._replace(note="b\udce9: damaged"), 0, 0)
    assert record.clip_id == r"caf\udce9" and record.note == r"b\udce9: damaged"
    assert (record.label, record.subject) == (r"l\udce9", r"s\udce9")
    assert record.face_source == rf"{tmp_path}/b\udce9.png"
    json.dumps(record.to_row(), ensure_ascii=False).encode()


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"box": Box(0.1, 1 / 3, 0.5, 1.0), "window": Window(0.0, 0.1)},
        {"face_digest": 2**64 - 1, "audio_digest": 0, "note": "two\nlines \udce9"},
    ],
)
def test_a_journal_keeps_outcomes_exactly(known):
    for result in (
        DecodingResult(clip_record(**known), "note"),
        DecodingResult(None, "silent", "a.wav: \n"),
    ):
        assert DecodingResult.from_dict(json.loads(json.dumps(result.to_dict()))) == result
