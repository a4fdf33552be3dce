"""Voice encoder of Resemblyzer, with weights that were drawn."""

import numpy as np
import pytest
import torch
from mel_reference import mel_energies
from speech_checkpoints import draw_sounds

from avfusion.features.encoders import Resemblyzer
from avfusion.features.streams import StreamEncoder


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    torch.manual_seed(0)
    lstm, linear = torch.nn.LSTM(40, 256, 3, batch_first=True), torch.nn.Linear(256, 256)
    state = {f"lstm.{name}": value for name, value in lstm.state_dict().items()}
    state |= {f"linear.{name}": value for name, value in linear.state_dict().items()}
    state |= {"similarity_weight": torch.ones(1)}
    path = tmp_path_factory.mktemp("voice") / "pretrained.pt"
    torch.save({"step": 1, "model_state": state}, path)
    return str(path)


def compute_mel(wave):
    """As ``audio.wav_to_mel_spectrogram`` of the package does."""
    mel = mel_energies(wave, fft=400, hop=160, mels=40)
    return torch.from_numpy(mel.astype(np.float32).T)


def load(file):
    state = torch.load(file, weights_only=True)["model_state"]
    lstm, linear = torch.nn.LSTM(40, 256, 3, batch_first=True), torch.nn.Linear(256, 256)
    lstm.load_state_dict({n[5:]: v for n, v in state.items() if n.startswith("lstm.")})
    linear.load_state_dict({n[7:]: v for n, v in state.items() if n.startswith("linear.")})
    return lstm, linear


@torch.no_grad()
def embed(file, wave):
    """Embed an utterance step by step, as ``VoiceEncoder.embed_utterance`` of the package does."""
    lstm, linear = load(file)
    frames = int(np.ceil((len(wave) + 1) / 160))
    step = int(np.round((16_000 / 1.3) / 160))
    starts = list(range(0, max(1, frames - 160 + step + 1), step))
    if (len(wave) - starts[-1] * 160) / (160 * 160) < 0.75 and len(starts) > 1:
        starts = starts[:-1]
    stop = (starts[-1] + 160) * 160
    if stop >= len(wave):
        wave = np.pad(wave, (0, stop - len(wave)))
    mel = compute_mel(wave)
    _, (hidden, _) = lstm(torch.stack([mel[start : start + 160] for start in starts]))
    raw = torch.relu(linear(hidden[-1]))
    partials = raw / torch.norm(raw, dim=1, keepdim=True)
    return partials.mean(0) / torch.norm(partials.mean(0), 2)


def raise_volume(wave):
    decibel = 20 * np.log10(np.sqrt(np.mean(wave.astype(np.float64) ** 2)))
    return wave * np.float32(10 ** (max(0.0, -30 - decibel) / 20))


@pytest.mark.parametrize("samples", [5_000, 25_600, 40_000, 62_345])
@pytest.mark.parametrize("gain", [1.0, 0.01])
def test_a_clip_is_embedded_as_by_the_package(file, samples, gain):
    sound, length = draw_sounds(samples)
    given = Resemblyzer(path=file).build()(gain * sound, length).values[0]
    expected = embed(file, raise_volume(gain * sound[0].numpy()))
    torch.testing.assert_close(given, expected, rtol=0, atol=1e-5)


@torch.no_grad()
def test_frames_are_states_after_each_stride(file):
    sound, length = draw_sounds(20_000)
    encoder = Resemblyzer(per="frame", stride=10, path=file).build()
    given = encoder(sound, length)
    lstm, linear = load(file)
    states = torch.relu(linear(lstm(compute_mel(raise_volume(sound[0].numpy()))[None])[0][0]))
    states = states / states.norm(dim=-1, keepdim=True)
    assert given.lengths.tolist() == [12] and encoder.rate == 10  # 126 frames of 10 ms
    torch.testing.assert_close(given.values[0, :12], states[9:120:10], rtol=0, atol=1e-5)
    assert encoder.offset == pytest.approx(0.09)


@pytest.mark.parametrize("per", ["clip", "frame"])
def test_padding_changes_nothing(file, per):
    lengths = (700, 9_000, 50_000)
    sound, length = draw_sounds(*lengths)
    encoder = Resemblyzer(per=per, path=file).build()
    together = encoder(sound, length)
    for place, samples in enumerate(lengths):
        alone = encoder(sound[place : place + 1, :samples], length[place : place + 1])
        if per == "clip":
            torch.testing.assert_close(together.values[place], alone.values[0], atol=1e-5, rtol=0)
            continue
        steps = int(alone.lengths[0])
        assert together.lengths[place] == steps
        torch.testing.assert_close(
            together.values[place, :steps], alone.values[0, :steps], atol=1e-5, rtol=0
        )


def test_silence_is_no_fault(file):
    encoder = Resemblyzer(path=file).build()
    assert encoder(torch.zeros(1, 9_000), torch.tensor([9_000])).values.isfinite().all()


def test_a_recipe_and_weights_make_the_same_encoder(file):
    recipe = Resemblyzer(path=file)
    assert isinstance(recipe, StreamEncoder) and recipe.weights == file
    encoder, plain = recipe.build(), recipe.recipe()
    assert plain.pop("_target_") == "avfusion.features.encoders.resemblyzer.Resemblyzer"
    sound, length = draw_sounds(9_000)
    again = Resemblyzer(**plain).build(encoder.state_dict())
    assert torch.equal(again(sound, length).values, encoder(sound, length).values)


def test_missing_weights_are_named_with_their_cure(monkeypatch):
    monkeypatch.setattr("avfusion.features.encoders.packages.find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match=r"pip install --no-deps resemblyzer==0\.1\.4"):
        Resemblyzer().build()
    with pytest.raises(FileNotFoundError, match=r"No weights at none\.pt: give a file, or null"):
        Resemblyzer(path="none.pt").build()
    with pytest.raises(ValueError, match=r"per must be clip or frame, and stride at least 1, got"):
        Resemblyzer(per="word")
