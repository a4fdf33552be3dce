"""Features of openSMILE."""

import sys

import numpy as np
import pytest
import torch
from speech_checkpoints import draw_sounds

from avfusion.features.encoders import OpenSmile
from avfusion.features.streams import StreamEncoder


def test_settings_that_cannot_be_are_refused(monkeypatch):
    assert isinstance(OpenSmile(), StreamEncoder)
    with pytest.raises(ValueError, match=r"level must be one of functionals, low_level, got words"):
        OpenSmile(level="words")
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(ValueError, match=r"egemaps needs openSMILE: pip install -e"):
        OpenSmile().build()


@pytest.mark.filterwarnings("ignore")  # of pandas and audformat
def test_features_are_those_of_the_library():
    opensmile = pytest.importorskip("opensmile", reason="openSMILE comes with .[opensmile]")
    lengths = (300, 16_000, 30_001)
    sound, length = draw_sounds(*lengths)
    for level, kind in (("functionals", "Functionals"), ("low_level", "LowLevelDescriptors")):
        encoder = OpenSmile(level=level).build()
        given = encoder(sound, length)
        smile = opensmile.Smile(
            opensmile.FeatureSet.eGeMAPSv02, getattr(opensmile.FeatureLevel, kind)
        )
        assert given.values.shape[-1] == {"functionals": 88, "low_level": 25}[level]
        for place, samples in enumerate(lengths):
            wave = np.pad(sound[place, :samples].numpy(), (0, max(0, 8000 - samples)))
            table = np.nan_to_num(smile.process_signal(wave, 16_000).to_numpy(np.float32))
            expected = torch.from_numpy(table)
            if level == "functionals":
                assert torch.equal(given.values[place], expected[0])
            else:
                assert given.lengths[place] == len(expected)
                assert torch.equal(given.values[place, : len(expected)], expected)
    with pytest.raises(ValueError, match=r"features must be one of .*eGeMAPSv02.*, got MFCC"):
        OpenSmile(features="MFCC").build()
