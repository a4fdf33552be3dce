"""Claims about streams: what a store says of its arrays, and arrays that were added to it."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import quiet_trainer

from avfusion.corpora import Manifest
from avfusion.data.store import Store
from avfusion.evaluation.inference import collect_predictions
from avfusion.features import AudioFeatures, FaceFeatures, Features
from avfusion.features.clip import Stream
from avfusion.features.mfcc import SAMPLE_RATE
from avfusion.preparation.prepare import prepare
from avfusion.run.notebook import build, compose_config


def test_a_store_says_of_each_stream_what_its_files_hold(mapped_store):
    store = Store(mapped_store)
    modalities = {"frames": "face", "mfcc": "audio", "waveform": "audio", "face_map": "face"}
    assert {name: one.modality for name, one in store.streams.items()} == modalities
    for name, stream in store.streams.items():
        array = np.load(mapped_store / name / "00000.npy")
        assert array.shape == (len(store), *stream.shape) and array.dtype == stream.dtype
        assert Stream.from_plain(json.loads(json.dumps(stream.plain()))) == stream
        assert (stream.kind == "sequence") == (stream.rate is not None)


def test_rate_and_offset_put_the_streams_of_a_clip_on_one_clock(tmp_path):
    """A click is found at the same second in the waveform and in the audio frames."""
    audio = AudioFeatures(duration=1.0, window=400, hop=160)
    features = Features(FaceFeatures(size=32), audio)
    sound = np.zeros(SAMPLE_RATE, np.int16)
    sound[9_000:9_020] = 20_000
    heard, frames = features.streams["waveform"], features.streams["mfcc"]
    click = 9_010 / heard.rate + heard.offset
    energy = audio(torch.from_numpy(sound))[:, 0].numpy()
    middle = np.argmax(energy) / frames.rate + frames.offset
    assert abs(middle - click) <= 0.5 / frames.rate + 1e-9
    assert len(energy) == frames.shape[0]


def test_a_waveform_is_read_in_batches_with_its_true_lengths(recordings_store):
    store, rows = Store(recordings_store), np.array([1, 4, 7])
    samples = store.column("samples")[rows]
    waves = store.read("waveform", rows)
    assert waves.dtype == torch.int16 and waves.shape == (3, samples.max())
    for wave, row, length in zip(waves, rows.tolist(), samples.tolist(), strict=True):
        assert torch.equal(wave[:length], store.clip("waveform", row))
        assert not wave[length:].any() and store.lengths("waveform")[row] == length


def test_a_clip_without_sound_has_one_step_of_silence(recordings, tmp_path, in_process):
    folder = shutil.copytree(recordings, tmp_path / "recordings")
    manifest = folder / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("s0_1.wav", ""))
    features = Features(FaceFeatures(size=32), AudioFeatures(duration=0.6))
    masking = replace(features, policies=replace(features.policies, missing="mask"))
    store = Store(prepare(Manifest(str(folder)), masking, tmp_path / "stores"))
    (silent,) = np.flatnonzero(~store.has_audio).tolist()
    for name in ("mfcc", "waveform"):
        assert store.lengths(name)[silent] == 1
        assert store.clip(name, silent).shape[0] == 1 and not store.clip(name, silent).any()


@pytest.mark.parametrize("name", ["frames", "face_map", "a/b", ""])
def test_streams_that_would_share_a_folder_or_have_none_are_refused(name):
    audio = AudioFeatures()
    object.__setattr__(audio, "stream", name)
    if name == "face_map":
        assert Features(FaceFeatures(), audio).names == ["frames", "face_map", "waveform"]
        return
    with pytest.raises(ValueError, match=r"need names of their own, of letters.*got frames, "):
        Features(FaceFeatures(), audio)


def test_a_stream_of_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match=r"of the face or of the audio .* got smell and sequence"):
        Stream("smell", "sequence", (3,), "float32")
    with pytest.raises(ValueError, match=r"one of .*pictures.*maps.*sequence.* got face and video"):
        Stream("face", "video", (3,), "float32")


@pytest.fixture
def steps(recordings_store, tmp_path):
    """A store to which an audio stream was added, of six numbers at 50 steps per second."""
    store = shutil.copytree(recordings_store, tmp_path / "store")
    clips, generator = len(Store(store)), np.random.default_rng(0)
    lengths = generator.integers(3, 30, clips)
    values = generator.normal(size=(clips, 30, 6)).astype(np.float32)
    values[np.arange(30) >= lengths[:, None]] = 0
    (store / "made_up").mkdir()
    np.save(store / "made_up" / "00000.npy", values)
    np.save(store / "made_up" / "lengths.npy", lengths)
    zero, one = (0.0,) * 6, (1.0,) * 6
    stream = Stream("audio", "sequence", (30, 6), "float32", 50.0, 0.01, mean=zero, std=one)
    description = json.loads((store / "description.json").read_text())
    description["streams"]["made_up"] = stream.plain()
    (store / "description.json").write_text(json.dumps(description))
    return store


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_an_added_stream_is_read_by_the_encoder_that_names_it_and_nothing_else_has_to_know(steps):
    cfg = compose_config(
        "model=lowrank",
        "data=store",
        f"data.store={steps}",
        "data.batch_size=8",
        "model.network.audio_encoder.stream=made_up",
        "model.network.audio_encoder.hidden_dim=8",
    )
    for unread in ("mfcc", "waveform"):
        shutil.rmtree(steps / unread)
    task, data = build(cfg)
    assert data.streams == ("frames", "made_up")
    (batch,) = data.val_dataloader()
    rows = data.splits.rows("val")
    lengths = np.load(steps / "made_up" / "lengths.npy")[rows]
    assert batch.lengths["made_up"].tolist() == lengths.tolist()
    whole = np.load(steps / "made_up" / "00000.npy")[rows]
    assert np.array_equal(batch.streams["made_up"], whole[:, : lengths.max()])

    encoder = task.network.audio_encoder
    before = [parameter.clone() for parameter in encoder.parameters()]
    trainer = quiet_trainer(max_epochs=1, log_every_n_steps=1)
    trainer.fit(task, datamodule=data)
    assert trainer.global_step == 2
    assert not any(map(torch.equal, before, encoder.parameters()))
    predictions = collect_predictions(data, trainer.predict(task, datamodule=data), task.network)
    assert all(prediction.values.isfinite().all() for prediction in predictions)
