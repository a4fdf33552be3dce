"""Claims about stream encoders that are built again by what is recorded of them."""

import json
from pathlib import Path

import pytest
import torch
from conftest import write_recordings
from tiny_encoders import TARGETS, TinyFace, TinyVoice

from avfusion import checkpoint
from avfusion.corpora import Manifest, Recording
from avfusion.corpora.unlabeled import UnlabeledRecordings
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.store import Store
from avfusion.features import build_prediction_features
from avfusion.features.clip import Stream
from avfusion.features.recorded import RecordedEncoder
from avfusion.preparation import streams as computing
from avfusion.preparation.prepare import prepare
from avfusion.preparation.streams import add_stream
from avfusion.run.restore import check_same_features

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def allowed(monkeypatch):
    """Trust the tiny encoders."""
    monkeypatch.setattr(checkpoint, "ALLOWED_TARGETS", {*TARGETS})


@pytest.fixture
def folder(tmp_path):
    return write_recordings(tmp_path / "few", subjects=1)


@pytest.fixture
def store(folder, tmp_path, in_process, long_features):
    """A store of four recordings with a stream of the voice and one of the face."""
    root = prepare(Manifest(str(folder)), long_features, tmp_path / "stores")
    file = tmp_path / "weights.pth"
    module = TinyVoice().build()
    torch.nn.init.normal_(module.linear.weight)
    torch.save(module.state_dict(), file)
    add_stream(root, TinyVoice("voice", file=str(file)), CPU)
    add_stream(root, TinyFace("face", kind="maps"), CPU)
    return root


def record(root, **place):
    """What a checkpoint of a network on both streams knows of their encoders."""
    data = FaceAudioDataModule(str(root), streams=("face", "voice"), splits={"train": 1})
    description = json.loads(json.dumps(data.description))
    states, streams = data.state_dict().get("encoders", {}), description["streams"]
    encoders = {
        name: RecordedEncoder(name, Stream.from_plain(streams[name]), states.get(name), place)
        for name in ("face", "voice")
    }
    return description, encoders


def test_a_raw_file_gets_the_very_bytes_of_preparation(store, folder, tmp_path):
    description, encoders = record(store)
    (tmp_path / "weights.pth").unlink()  # they have travelled
    raw = Recording("any", "", "", image=folder / "s0_2.png", audio=folder / "s0_2.wav")
    corpus = UnlabeledRecordings([raw], description["output_names"], description["labels"])
    features = build_prediction_features(description["features"], None, encoders)
    ours, theirs = Store(prepare(corpus, features, tmp_path / "raw")), Store(store)
    for name in ("voice", "face"):
        assert torch.equal(ours.clip(name, 0), theirs.clip(name, 2))
        for key in ("encoder", "sha256", "rate", "offset"):
            assert getattr(ours.streams[name], key) == getattr(theirs.streams[name], key)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sequence", "vector"])
@pytest.mark.parametrize("layers", [0, 3])
def test_a_picture_alone_gets_no_voice_and_needs_no_weights_of_it(
    kind, layers, store, folder, tmp_path
):
    add_stream(store, TinyVoice("other", kind=kind, layers=layers), CPU)
    theirs = Store(store)
    recorded = RecordedEncoder("other", theirs.streams["other"], {"no": torch.zeros(1)})
    raw = Recording("any", "", "", image=folder / "s0_2.png")
    corpus = UnlabeledRecordings([raw], ["yes"], "single_label")
    features = build_prediction_features(theirs.description["features"], None, {"other": recorded})
    ours = Store(prepare(corpus, features, tmp_path / "raw"))
    values, expected = ours.clip("other", 0), theirs.clip("other", 2)
    if kind == "sequence":
        assert ours.lengths("other").tolist() == [1]
        expected = expected[:, :1] if layers else expected[:1]
    assert torch.equal(values, torch.zeros_like(expected))


def test_weights_that_did_not_travel_are_found_where_they_were_or_where_is_said(store, tmp_path):
    (store / "voice" / "encoder.pt").unlink()
    _, encoders = record(store)
    expected = torch.load(tmp_path / "weights.pth")["linear.weight"]
    assert torch.equal(encoders["voice"].build().linear.weight, expected)

    moved = (tmp_path / "weights.pth").rename(tmp_path / "elsewhere.pth")
    digest = Store(store).streams["voice"].sha256
    sentence = (
        rf"The stream voice was computed with the weights of {tmp_path}/weights\.pth \(sha256 "
        rf"{digest}\), which cannot be loaded: No weights at .* Say .* \+encoders\.voice\.file="
    )
    with pytest.raises(FileNotFoundError, match=sentence):
        encoders["voice"].build()
    _, encoders = record(store, file=str(moved))
    assert torch.equal(encoders["voice"].build().linear.weight, expected)

    torch.save(TinyVoice().build().state_dict(), moved)
    with pytest.raises(ValueError, match=rf"{moved} holds others \(sha256 .*\): give those"):
        encoders["voice"].build()


def test_an_encoder_from_elsewhere_is_refused(store, monkeypatch):
    _, encoders = record(store)
    monkeypatch.setattr(checkpoint, "ALLOWED_TARGETS", set())
    with pytest.raises(ValueError, match=r"calls 'tiny_encoders\.TinyVoice'"):
        encoders["voice"].build()


def test_a_store_whose_stream_came_from_other_weights_is_refused(
    store, folder, tmp_path, long_features
):
    description, _ = record(store)
    others = prepare(Manifest(str(folder)), long_features, tmp_path / "others")
    add_stream(others, TinyVoice("voice"), CPU)
    add_stream(others, TinyFace("face", kind="maps"), CPU)
    data = FaceAudioDataModule(str(others), streams=("face", "voice"), splits={"train": 1})
    with pytest.raises(ValueError, match=r"holds other features than best\.ckpt was trained on"):
        check_same_features(Path("best.ckpt"), data, description)
    same = FaceAudioDataModule(str(store), streams=("face", "voice"), splits={"test": 1})
    check_same_features(Path("best.ckpt"), same, description)


def test_a_store_of_longer_clips_has_the_same_stream(store):
    """How many steps the longest clip has is a property of the clips."""
    description, _ = record(store)
    description["streams"]["voice"]["shape"][0] += 100
    data = FaceAudioDataModule(str(store), streams=("face", "voice"), splits={"test": 1})
    check_same_features(Path("best.ckpt"), data, description)


def test_large_weights_stay_where_they_are(store, monkeypatch):
    monkeypatch.setattr(computing, "MAX_CARRIED_BYTES", 1)
    add_stream(store, TinyVoice("large"), CPU)
    data = FaceAudioDataModule(str(store), streams=("large", "voice"), splits={"train": 1})
    assert data.state_dict()["encoders"].keys() == {"voice"}
