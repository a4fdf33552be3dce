"""Spectral features of whole sounds."""

import numpy as np
import pytest
import torch
from mel_reference import mel_energies
from speech_checkpoints import draw_sounds

from avfusion.features import AudioFeatures
from avfusion.features.encoders import Spectral
from avfusion.features.streams import StreamEncoder


def test_mfcc_equal_those_of_decoding():
    lengths = (300, 9_000, 20_000)
    sound, length = draw_sounds(*lengths)
    sound = (sound * 2**15).round() / 2**15
    recipe = Spectral("mfcc_2", mels=40, window=960, hop=480, coefficients=25)
    encoder = recipe.build()
    given = encoder(sound, length)
    features = AudioFeatures()
    for place, samples in enumerate(lengths):
        expected = features((sound[place, :samples] * 2**15).to(torch.int16))
        assert given.lengths[place] == len(expected)
        assert torch.equal(given.values[place, : len(expected)], expected)
    assert isinstance(recipe, StreamEncoder) and encoder.rate == 16_000 / 480
    assert encoder.offset == 480 / 16_000


def test_mel_energies_equal_those_of_librosa():
    sound, length = draw_sounds(9_000)
    sound = (sound * 2**15).round() / 2**15
    given = Spectral("logmel").build()(sound, length)
    power = mel_energies(sound[0].double().numpy(), fft=400, hop=160, mels=80, center=False)
    expected = torch.from_numpy(10 * np.log10(np.maximum(power.T, 1e-10))).float()
    assert given.lengths.tolist() == [len(expected)]
    torch.testing.assert_close(given.values[0], expected, rtol=0, atol=2e-4)


def test_settings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"coefficients must lie between 1 and .*mels=40, got 41"):
        Spectral("s", mels=40, coefficients=41)
