"""Claims about batches of corrupted clips, and the streams that are computed of them."""

import csv
import shutil

import numpy as np
import pytest
import torch
from conftest import write_manifest, write_recordings
from tiny_encoders import TARGETS, TinyFace, TinyVoice

from avfusion import checkpoint
from avfusion.corpora import Manifest
from avfusion.data.dataset import SplitDataset
from avfusion.data.store import Store
from avfusion.diagnostics.corrupted_clips import CorruptedClips
from avfusion.diagnostics.corruptions import CORRUPTIONS, TALKERS
from avfusion.features import AudioFeatures
from avfusion.features.encoders import Spectral
from avfusion.preparation.prepare import prepare
from avfusion.preparation.streams import add_stream
from avfusion.targets import choose_target

CPU = torch.device("cpu")
KNOWN = {one.name: one for one in CORRUPTIONS}
LOGMEL = Spectral("logmel", mels=20)
VOICE_STREAMS = ("waveform", "mfcc", "logmel", "layers", "vector")
FACE_STREAMS = ("frames", "maps", "vectors")


@pytest.fixture(scope="module")
def place(recordings_store, tmp_path_factory):
    """A store of 24 recordings of 0.8 to 1.5 s with streams of every kind."""
    root = shutil.copytree(recordings_store, tmp_path_factory.mktemp("place") / "store")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "ALLOWED_TARGETS", {*TARGETS})
        for encoder in (
            LOGMEL,
            TinyVoice("layers", layers=2),
            TinyVoice("vector", kind="vector", layers=2),
            TinyFace("maps", kind="maps"),
            TinyFace("vectors"),
        ):
            add_stream(root, encoder, CPU)
        yield root


def read(store, rows, streams):
    target = choose_target(store.description)
    dataset = SplitDataset(store, np.asarray(rows), target, streams)
    return dataset.__getitems__(list(range(len(rows))))


def same(ours, theirs):
    return all(torch.equal(ours.streams[name], part) for name, part in theirs.streams.items())


@pytest.fixture(scope="module")
def corrupter(place):
    store = Store(place)
    made = CorruptedClips(store, VOICE_STREAMS + FACE_STREAMS, np.arange(24))
    assert made.reasons == {}
    assert made.computed == {"face": ["maps", "vectors"], "audio": ["logmel", "layers", "vector"]}
    return made


def test_at_level_0_every_stream_has_the_bytes_of_the_store(corrupter):
    clean = read(corrupter.store, [1, 6, 11, 20], corrupter.streams)
    for one in (KNOWN["noise"], KNOWN["blur"]):
        made = corrupter.corrupt(clean, one, 0)
        assert same(made, clean)
        changed = VOICE_STREAMS if one.modality == "audio" else FACE_STREAMS
        for name in changed:  # they were computed again
            assert made.streams[name] is not clean.streams[name]


def test_streams_are_those_of_the_corrupted_sound_of_its_true_length(corrupter):
    rows = [0, 1, 2, 3]
    clean = read(corrupter.store, rows, corrupter.streams)
    before = read(corrupter.store, rows, corrupter.streams)
    for name in ("babble", "reverberation"):
        made = corrupter.corrupt(clean, KNOWN[name], 3)
        assert same(clean, before)  # never in place
        assert len({*clean.lengths["waveform"].tolist()}) > 1
        for place, samples in enumerate(clean.lengths["waveform"].tolist()):
            sound = made.streams["waveform"][place]
            assert not sound[samples:].any() and sound[samples - 200 : samples].any()
            assert (sound != clean.streams["waveform"][place]).any()
            for stream, expected in (
                ("mfcc", AudioFeatures()(sound[:samples])),
                ("logmel", LOGMEL.build()(sound[None] / 2**15, torch.tensor([samples])).values[0]),
            ):
                steps = int(clean.lengths[stream][place])
                values = made.streams[stream][place]
                assert torch.equal(values[:steps], expected.to(values.dtype))
                assert not values[steps:].any()
        for stream in ("layers", "vector"):
            assert (made.streams[stream] != clean.streams[stream]).any()
        for stream in FACE_STREAMS:
            assert made.streams[stream] is clean.streams[stream]


def test_a_clip_is_corrupted_alike_in_every_batch_and_otherwise_by_another_seed(corrupter):
    streams, pair, alone = ("waveform",), [3, 9], [9]
    first, second = (
        CorruptedClips(corrupter.store, streams, np.arange(24), seed) for seed in (0, 1)
    )
    for name in ("noise", "reverberation"):
        both, single, drawn = (
            by.corrupt(read(corrupter.store, rows, streams), KNOWN[name], 5).streams["waveform"]
            for by, rows in ((first, pair), (first, alone), (second, alone))
        )
        samples = single.shape[1]
        assert torch.equal(both[1, :samples], single[0]) and not torch.equal(single, drawn)


def test_what_babbles_are_other_clips_of_the_split(place, monkeypatch):
    store = Store(place)
    corrupter = CorruptedClips(store, ("waveform",), np.array([2, 5, 9]))
    for row in (2, 5, 9):
        voices = corrupter._draw_voices(row, np.random.default_rng(0))
        theirs = [store.clip("waveform", other).numpy() for other in {2, 5, 9} - {row}]
        assert len(voices) == 2 < TALKERS
        assert {voice.tobytes() for voice in voices} == {one.tobytes() for one in theirs}

    alone = CorruptedClips(store, ("waveform",), np.array([2]))
    assert alone.find_reason(KNOWN["babble"]) == "the split has no other clip with sound"
    assert alone.find_reason(KNOWN["clipping"]) == ""


def test_pictures_keep_what_preparation_makes_of_them(corrupter):
    clean = read(corrupter.store, [4, 5], corrupter.streams)
    made = corrupter.corrupt(clean, KNOWN["darkness"], 1)
    frames = made.streams["frames"]
    assert torch.equal(frames, (clean.streams["frames"].float() * 0.5).round().byte())
    assert frames.stride() == clean.streams["frames"].stride()
    maps = TinyFace("maps", kind="maps").build()(frames / 255, None).values
    assert torch.allclose(made.streams["maps"].float(), maps, atol=1e-3)
    for name in VOICE_STREAMS:
        assert made.streams[name] is clean.streams[name]


def test_clips_without_the_modality_stay_as_they_are(place):
    store = Store(place).without("audio")
    corrupter = CorruptedClips(store, ("frames", "mfcc"), np.arange(24))
    assert corrupter.reasons == {"audio": "no clip has the audio"}
    both = CorruptedClips(Store(place), ("frames", "mfcc"), np.arange(24))
    clean = read(store, [0, 1], ("frames", "mfcc"))
    assert same(both.corrupt(clean, KNOWN["noise"], 7), clean)


def test_where_streams_cannot_be_computed_the_reason_says_so(
    place, tmp_path, monkeypatch, in_process, small_features
):
    monkeypatch.setattr(checkpoint, "ALLOWED_TARGETS", {*TARGETS})
    root = shutil.copytree(place, tmp_path / "store")
    file = tmp_path / "weights.pth"
    torch.save(TinyVoice().build().state_dict(), file)
    add_stream(root, TinyVoice("voice", file=str(file)), CPU)
    (root / "voice" / "encoder.pt").unlink()
    moved = file.rename(tmp_path / "moved.pth")
    store, rows = Store(root), np.arange(24)

    corrupter = CorruptedClips(store, ("frames", "voice"), rows)
    assert "which cannot be loaded: No weights at" in corrupter.find_reason(KNOWN["noise"])
    assert corrupter.find_reason(KNOWN["blur"]) == ""
    places = {"voice": {"file": str(moved)}}
    assert CorruptedClips(store, ("frames", "voice"), rows, locations=places).reasons == {}

    heard = CorruptedClips(store, ("mfcc",), rows)
    assert heard.find_reason(KNOWN["blur"]) == "the network does not read the face"
    shutil.rmtree(root / "waveform")
    deaf = CorruptedClips(Store(root), ("mfcc",), rows)
    assert deaf.find_reason(KNOWN["shift"]) == "the store has no waveform to corrupt"


def test_streams_that_are_not_what_the_store_would_make_are_not_measured(place, tmp_path):
    root = shutil.copytree(place, tmp_path / "store")
    for shard in (root / "mfcc").glob("*.npy"):
        np.save(shard, np.load(shard) + 20)
    corrupter = CorruptedClips(Store(root), ("mfcc",), np.arange(24))
    assert "mfcc, computed of the clean waveform again, is not what" in corrupter.reasons["audio"]


def test_precomputed_features_cannot_be_corrupted(tmp_path, in_process, small_features):
    folder = write_recordings(tmp_path / "few", subjects=1)
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        np.save(folder / f"{number}.npy", np.ones((number + 1, 3), np.float32))
        row |= {"audio_features": f"{number}.npy"}
    write_manifest(folder, rows)
    store = Store(prepare(Manifest(str(folder)), small_features, tmp_path / "stores"))
    corrupter = CorruptedClips(store, ("frames", "audio_features"), np.arange(4))
    assert corrupter.reasons == {
        "audio": "audio_features holds precomputed features, which cannot be computed here"
    }
