"""Every audio stream hears a recording as its mono sound at 16 kHz, in whatever format it comes."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import CONF, tone, write_manifest, write_sound
from hydra.utils import instantiate
from omegaconf import OmegaConf
from scipy.signal import resample_poly
from speech_checkpoints import write_checkpoint

from avfusion.corpora import Manifest
from avfusion.data.store import Store
from avfusion.preparation.executors.local import InProcess, Local
from avfusion.preparation.prepare import prepare
from avfusion.preparation.streams import add_stream

pytestmark = [
    pytest.mark.encoders,
    pytest.mark.filterwarnings("ignore"),  # of pandas, audformat and AST's own extractor
]
FORMATS = {"telephone": (8_000, 1), "disc": (44_100, 1), "video": (48_000, 1), "both": (48_000, 2)}
CHECKPOINTS = {"transformers": "hubert"}  # kind of the network; else that of the preset's name
PACKAGES = {"opensmile": "opensmile", "resemblyzer": "resemblyzer", "moonshine": "moonshine_voice"}
OTHERS = {"run"}  # which reads frames of MFCC
QUICK = {"logmel", "mfcc", "wavlm"}  # the others take ten seconds together
FOLDER = CONF / "features" / "audio_stream"
PRESETS = sorted({file.stem for file in FOLDER.glob("*.yaml")} - OTHERS)
EVERY = [pytest.param(p, marks=[] if p in QUICK else [pytest.mark.slow]) for p in PRESETS]


def write_sounds(root, waves, rates):
    """Write a corpus of voices alone."""
    root.mkdir()
    for name, wave in waves.items():
        write_sound(root / f"{name}.wav", wave, rates[name])
    rows = [
        {"clip_id": name, "audio_path": f"{name}.wav", "label": "a", "subject": name}
        for name in waves
    ]
    write_manifest(root, rows)
    return Manifest(str(root))


@pytest.fixture(scope="module")
def stores(long_features, tmp_path_factory):
    """A store of sounds in several formats, and one of what it has of them, at 16 kHz."""
    root = tmp_path_factory.mktemp("formats")
    features = replace(long_features, policies=replace(long_features.policies, missing="mask"))
    waves, rates = {}, {name: rate for name, (rate, _) in FORMATS.items()}
    for place, (name, (rate, channels)) in enumerate(FORMATS.items()):
        pitches = [200 + 60 * place + 90 * channel for channel in range(channels)]
        waves[name] = np.stack([tone(0.9, rate, pitch) for pitch in pitches])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Local, "run", InProcess.run)
        formats = Store(prepare(write_sounds(root / "a", waves, rates), features, root / "1"))
        plain = {}
        for row, name in enumerate(formats.texts("clip_id")):
            whole = formats.clip("waveform", row).numpy().astype(float)
            expected = resample_poly(waves[name].mean(axis=0), 16_000, rates[name])
            inner = slice(800, len(whole) - 800)
            np.testing.assert_allclose(whole[inner] / 2**15, expected[inner], atol=0.02)
            plain[name] = (whole + np.sign(whole) / 4) / 32767  # to be cut to whole numbers again
        corpus = write_sounds(root / "b", plain, dict.fromkeys(plain, 16_000))
        return formats, Store(prepare(corpus, features, root / "2"))


@pytest.mark.parametrize(
    "preset",
    [pytest.param(p, marks=() if p in QUICK else pytest.mark.slow) for p in sorted(PRESETS)],
)
def test_a_stream_is_that_of_the_mono_sound_at_16_khz(preset, stores, tmp_path):
    chosen = OmegaConf.to_container(OmegaConf.load(FOLDER / f"{preset}.yaml"))
    if preset in PACKAGES:
        pytest.importorskip(PACKAGES[preset])
    elif "name" in chosen:
        pytest.importorskip("transformers")
        chosen["name"] = str(write_checkpoint(tmp_path / "w", CHECKPOINTS.get(preset, preset)))
    encoder = instantiate(chosen)

    values = []
    for store in stores:
        add_stream(store.root, encoder, torch.device("cpu"))
        made = Store(store.root)
        assert made.texts("clip_id") == [*FORMATS]
        values.append([made.clip(encoder.stream, row).numpy() for row in range(len(FORMATS))])
    for ours, theirs in zip(*values, strict=True):
        assert ours.size and np.isfinite(ours).all() and np.array_equal(ours, theirs)
