"""Claims about shorthands of the command line."""

import pytest
from conftest import load

from avfusion.run.notebook import compose_config
from avfusion.run.shorthands import expand_shorthands
from avfusion.run.streams import find_streams

PRECOMPUTED = {
    modality: f"avfusion.models.{modality}_encoders.Precomputed" for modality in ("face", "audio")
}


def test_a_stream_of_each_modality_is_read_by_a_precomputed_encoder():
    model = compose_config("audio=wavlm", "face=clip", "model=concat").model
    assert {*find_streams(model)} == {"wavlm", "clip"}
    assert model.network.audio_encoder._target_ == PRECOMPUTED["audio"]
    assert model.network.face_encoder._target_ == PRECOMPUTED["face"]
    assert "concat" in model.network.fusion._target_


def test_another_encoder_may_read_it():
    arguments = ["model/audio_encoder=lstm", "audio=wavlm"]
    model = load("train", *arguments).model
    assert {*find_streams(model)} == {"wavlm", "frames"}
    assert model.network.audio_encoder._target_.endswith("LSTM")


def test_streams_of_a_sweep_are_its_values():
    expanded = expand_shorthands(["-m", "audio=wavlm,whisper", "seed=1"])
    assert expanded == [
        "-m",
        "model/audio_encoder=precomputed",
        "model.network.audio_encoder.stream=wavlm,whisper",
        "seed=1",
    ]


@pytest.mark.parametrize("argument", ["audio=", "face=null"])
def test_a_shorthand_without_a_stream_is_refused(argument):
    with pytest.raises(ValueError, match=f"{argument} names no stream: give one of the store"):
        expand_shorthands([argument])


def test_a_protocol_is_a_file_of_its_group_by_its_name_alone():
    assert expand_shorthands(["data.protocol=hicmae_6,fixed", "seed=1"]) == [
        "data/protocol=hicmae_6,fixed",
        "seed=1",
    ]
    kept = ["data.protocol=null", "data.protocol.folds=3", "data.protocol={name: x}"]
    assert expand_shorthands(kept) == kept


def test_a_protocol_that_data_chooses_is_left_out_by_null():
    chosen = ("data=store", "data.store=x", "data.protocol=subject_k")
    assert load("train", *chosen).data.protocol.name == "subject_k"
    assert load("train", "data=ravdess", "data.protocol=null").data.protocol is None
