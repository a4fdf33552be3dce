"""Claims about what ends a sweep before its first job."""

import pytest
from conftest import CONF, write_sound
from hydra import compose, initialize_config_dir
from tiny_encoders import TinyFace, TinyVoice

from avfusion.features import AudioFeatures, FaceFeatures, Features
from avfusion.run.checks import check_weights
from avfusion.run.sweep_check import CorpusCheck


def start(*overrides):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", ["sweep=folds", *overrides], return_hydra_config=True)
    CorpusCheck().on_multirun_start(cfg)


def test_a_corpus_that_cannot_be_read_ends_a_sweep_with_one_sentence(tmp_path):
    with pytest.raises(SystemExit, match=r"Error: corpus.root=.*none is no folder: name the one"):
        start("data=ravdess", f"data.corpus.root={tmp_path / 'none'}")


def test_a_sweep_on_a_store_or_without_a_value_that_is_named_later_goes_on(tmp_path):
    start("data=store", "data.store=x")
    start("data=ravdess")
    (tmp_path / "Actor_01").mkdir()
    write_sound(tmp_path / "Actor_01" / "03-01-01-01-01-01-01.wav", [0.1] * 100)
    start("data=ravdess", f"data.corpus.root={tmp_path}", "data.corpus.modalities=audio")


def test_all_encoders_that_are_not_there_are_named_in_one_sentence_with_what_goes_without():
    features = Features(
        FaceFeatures(),
        AudioFeatures(),
        audio_stream=TinyVoice("voice", file="no/voice.pt"),
        face_stream=TinyFace("face", file="no/face.pt"),
    )
    both = r"No weights at no/voice\.pt; No weights at no/face\.pt"
    with pytest.raises(FileNotFoundError, match=rf"{both}; streams=decoded goes without\.$"):
        check_weights(features, {"streams": "whisper_fer"})
    with pytest.raises(FileNotFoundError, match=rf"{both}\.$"):
        check_weights(features, {"streams": "decoded"})
    check_weights(Features(FaceFeatures(), AudioFeatures(), audio_stream=TinyVoice()), {})
