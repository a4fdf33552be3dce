"""Encoder of Moonshine, by a stand-in for ONNX Runtime, and by the real one where it is there."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from speech_checkpoints import draw_sounds

from avfusion.features.encoders import Moonshine
from avfusion.features.encoders.moonshine import MoonshineEncoder, count_frames
from avfusion.features.streams import StreamEncoder


class Session:
    """Convolutions of 127, 7 and 3 steps, as those of Moonshine, by means."""

    def get_inputs(self):
        return [SimpleNamespace(name="input_values"), SimpleNamespace(name="attention_mask")]

    def run(self, outputs, inputs):
        wave = torch.from_numpy(inputs["input_values"])
        assert inputs["attention_mask"].all()
        for kernel, stride in ((127, 64), (7, 3), (3, 2)):
            wave = wave.unfold(1, kernel, stride).mean(-1)
        return [wave[..., None].repeat(1, 1, 4).numpy()]


def test_sounds_in_a_batch_are_computed_alone_and_long_ones_in_windows():
    lengths = (500, 20_000, 70_001)
    sound, length = draw_sounds(*lengths)
    encoder = MoonshineEncoder(Session(), 1.0, 0.1)
    given = encoder(sound, length)
    for place, samples in enumerate(lengths):
        wave = sound[place : place + 1, :samples].numpy()
        wave = np.pad(wave, ((0, 0), (0, max(0, 895 - samples))))
        (expected,) = Session().run(
            None, {"input_values": wave, "attention_mask": np.ones(wave.shape)}
        )
        assert given.lengths[place] == expected.shape[1] == count_frames(samples)
        frames = given.values[place, : expected.shape[1]]
        torch.testing.assert_close(frames, torch.from_numpy(expected[0]), rtol=0, atol=1e-6)


def test_missing_weights_are_named_with_their_cure(monkeypatch):
    recipe = Moonshine()
    monkeypatch.setattr("avfusion.features.encoders.packages.find_spec", lambda name: None)
    assert isinstance(recipe, StreamEncoder)
    monkeypatch.setitem(sys.modules, "onnxruntime", SimpleNamespace(InferenceSession=None))
    with pytest.raises(FileNotFoundError, match=r"moonshine_voice is not on this machine: pip"):
        recipe.build()
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"moonshine needs ONNX Runtime: pip install -e"):
        recipe.build()
    with pytest.raises(ValueError, match=r"less than half of window=3"):
        Moonshine(window=3.0, context=2.0)


def test_the_real_encoder_gives_frames_of_its_clock():
    pytest.importorskip("onnxruntime", reason="ONNX Runtime comes with .[moonshine]")
    pytest.importorskip("moonshine_voice", reason="weights come with .[moonshine]")
    recipe = Moonshine()
    encoder = recipe.build()
    given = encoder(*draw_sounds(16_000, 895))
    assert given.values.shape == (2, 40, 288) and given.lengths.tolist() == [40, 1]
    assert recipe.sha256 is not None and recipe.build().rate == pytest.approx(41.667, abs=1e-3)
