"""Claims about the chunk of a store that one process writes."""

import multiprocessing
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import tone, write_picture, write_sound

from avfusion.corpora import Box, Manifest, Recording
from avfusion.features import Policies
from avfusion.features.audio import decode_audio
from avfusion.preparation import watchdog as watch
from avfusion.preparation import workers as work
from avfusion.preparation.shards import Chunk, copy_into_shards, decode_chunk, read_journal
from avfusion.preparation.statistics import Moments, count_packed, list_standardized
from avfusion.preparation.workers import allocate_shards


@pytest.fixture
def clips(tmp_path, small_features):
    """Recordings of a good training clip, a bad one, and a good one to test on."""
    write_picture(tmp_path / "a.png", (200, 60, 60), (48, 40))
    write_sound(tmp_path / "good.wav", tone(0.5))
    (tmp_path / "bad.wav").touch()
    for name, array in small_features.arrays(6).items():
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "00003.npy", array)
    for name, columns in list_standardized(small_features.streams).items():
        (tmp_path / "moments" / name).mkdir(parents=True)
        np.save(tmp_path / "moments" / name / "00003.npy", np.zeros((6, count_packed(columns))))
    picture, box = tmp_path / "a.png", Box(4.0, 4.0, 12.0, 12.0)
    return [
        Recording(
            f"{name}_{split}", "label", "s", split, None, picture, tmp_path / f"{name}.wav", box
        )
        for name, split in (("good", "train"), ("bad", "train"), ("good", "test"))
    ]


@pytest.fixture
def chunk(clips, small_features):
    """A chunk that starts at place two of shard three."""
    root = clips[0].image.parent
    (root / "parts").mkdir()
    return Chunk(root, root / "parts", 3, 2, clips, small_features, "skip")


def decode_and_copy(chunk):
    """As preparation does, which has a worker do the first."""
    decode_chunk(chunk)
    copy_into_shards(chunk)


def written(chunk):
    """Write a chunk, and read what its journal keeps."""
    decode_and_copy(chunk)
    return read_journal(chunk)


def test_every_recording_has_a_place_of_its_own(recordings, tmp_path, small_features, monkeypatch):
    clip_bytes = sum(array.nbytes for array in small_features.arrays(1).values())
    monkeypatch.setattr(work, "SHARD_BYTES", 10 * clip_bytes)
    monkeypatch.setattr(work, "CHUNK_CLIPS", 4)
    corpus = Manifest(str(recordings))
    chunks = allocate_shards(tmp_path, tmp_path / "parts", corpus, corpus.read(), small_features)
    places = [
        (chunk.shard, chunk.first + n) for chunk in chunks for n in range(len(chunk.recordings))
    ]
    assert places == [(number // 10, number % 10) for number in range(24)]
    assert [clip for chunk in chunks for clip in chunk.recordings] == corpus.read().recordings
    for name, array in small_features.arrays(1).items():
        shapes = [np.load(file).shape for file in sorted((tmp_path / name).iterdir())]
        assert shapes == [(clips, *array.shape[1:]) for clips in (10, 10, 4)]


def test_a_part_writes_its_own_places_and_leaves_those_of_bad_clips_empty(chunk, clips):
    decode_and_copy(chunk)
    clip = chunk.features(clips[0])
    for name in chunk.features.arrays(1):
        array = np.load(chunk.root / name / "00003.npy")
        assert [place for place in range(6) if array[place].any()] == [2, 4]
        for place in (2, 4):
            values = chunk.features.values(clip)[name]
            assert np.array_equal(array[place, : len(values)], values)


def test_the_record_says_where_a_clip_is_and_where_it_comes_from(chunk, clips):
    record = written(chunk)[2].record
    assert (record.clip_id, record.split) == ("good_test", "test")
    assert (record.shard, record.place) == (3, 4)
    assert (record.samples, record.frames) == (8000, 1 + (8000 - 960) // 480)
    assert record.face_source == str(clips[2].image)
    assert record.audio_source == str(clips[2].audio)
    assert record.box == pytest.approx((4 / 48, 8 / 48, 12 / 48, 16 / 48))
    assert record.crop == (0, -4, 48, 44) and record.picture_size == (48, 40)


def test_the_report_says_why_a_clip_was_skipped(chunk):
    results = written(chunk)
    reports = [o.to_report_row(clip) for o, clip in zip(results, chunk.recordings, strict=True)]
    assert [report["outcome"] for report in reports] == ["kept", "skipped", "kept"]
    assert reports[1]["reason"] == "empty file" and reports[1]["detail"] == "bad.wav: empty file"


def test_each_clip_that_can_be_used_has_its_moments_whatever_its_split(chunk, clips):
    decode_and_copy(chunk)
    clip = chunk.features(clips[0])
    for name, table in (("mfcc", clip.audio), ("frames", clip.face.reshape(-1, 3))):
        packed = np.load(chunk.root / "moments" / name / "00003.npy")
        assert [place for place in range(6) if packed[place].any()] == [2, 4]
        for place in (2, 4):
            moments = Moments.unpack(packed[place])
            assert moments.rows == len(table)
            np.testing.assert_allclose(moments.total, table.sum(0, dtype=float))
            np.testing.assert_allclose(moments.squares, (table.astype(float) ** 2).sum(0))


def test_a_clip_without_sound_has_moments_of_nothing(chunk, clips, small_features):
    masking = replace(small_features, policies=Policies(missing="mask"))
    silent = replace(clips[0], audio=None)
    decode_and_copy(chunk._replace(recordings=[silent], features=masking))
    assert np.load(chunk.root / "moments" / "frames" / "00003.npy")[2, 0] == 32 * 32
    assert not np.load(chunk.root / "moments" / "mfcc" / "00003.npy").any()


def test_a_bad_clip_ends_the_part_where_that_is_asked(chunk):
    with pytest.raises(ValueError, match=r"Clip bad_train cannot be used: bad\.wav: empty file\."):
        decode_chunk(chunk._replace(on_error="raise"))


def test_patience_is_with_what_comes_no_further_not_with_what_takes_long(tmp_path, monkeypatch):
    path = write_sound(tmp_path / "a.ogg", tone(4.0), codec="libopus")
    seconds, limits = [0.0], []  # the decoder takes 0.18 s for each packet of 0.02 s

    def arm(limit, **_options):
        assert not limits or seconds[0] < limits[-1], "ended while it came further"
        limits.append(seconds[0] + limit)

    fake = SimpleNamespace(dump_traceback_later=arm, cancel_dump_traceback_later=lambda: None)
    monkeypatch.setattr(watch, "faulthandler", fake)
    monkeypatch.setattr(watch, "monotonic", lambda: seconds[0])
    monkeypatch.setattr(multiprocessing, "parent_process", lambda: "there is one")
    listen_to_progress = watch.listen_to_progress

    def slowly(listener):
        def later():
            seconds[0] += 0.18
            listener()

        return listen_to_progress(later)

    monkeypatch.setattr(watch, "listen_to_progress", slowly)
    recording = Recording("a", "label", "s", "train", audio=path)
    with watch.watch_decoder(recording):
        sound = decode_audio(path, slice(0, 0))
        last = seconds[0]
    assert sound.total / 16_000 == pytest.approx(4.0, abs=0.1)
    assert last > watch.TIMEOUT_SECONDS + 5  # all of it took longer than one wait
    # A decoder that hangs from here on is ended after one wait.
    assert last < limits[-1] <= last + watch.TIMEOUT_SECONDS + 0.1
    assert len(limits) <= last / watch.REARM_SECONDS + 1
