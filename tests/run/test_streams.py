"""Claims about which streams a configured model reads."""

import pytest
from conftest import MODELS, build, load
from omegaconf import OmegaConf

from avfusion.run import notebook
from avfusion.run.streams import find_streams
from avfusion.run.values import check_values

ONE = {"audio_only": ["mfcc"], "face_only": ["frames"], "lenet": ["frames"]}


@pytest.mark.parametrize("model", MODELS)
def test_every_model_names_what_its_network_reads(model):
    network = build(model).network
    of_parts = {part.stream for part in network.modules() if hasattr(part, "stream")}
    names = find_streams(load("train", f"model={model}").model)
    assert {*names} == of_parts == {*ONE.get(model, ["frames", "mfcc"])}


def test_streams_of_a_recipe_equal_those_of_its_configuration():
    overrides = ("model/face_encoder=precomputed", "model.network.audio_encoder.stream=wavlm")
    model = load("train", "model=lowrank", *overrides).model
    recipe = OmegaConf.to_container(model, resolve=False)
    assert find_streams(model) == ["face_map", "wavlm"] or find_streams(model) == [
        "wavlm",
        "face_map",
    ]
    assert find_streams(recipe) == find_streams(model)


def test_an_encoder_without_a_configured_stream_reads_that_of_its_class():
    model = load("train", "model=lowrank").model
    del model.network.face_encoder.stream
    assert {*find_streams(model)} == {"frames", "mfcc"}


def test_unimodal_networks_leave_the_stream_of_the_other_modality_out(caplog):
    both = ("audio=whisper", "face=clip")
    for model, streams in {
        "audio_only": {"whisper"},
        "face_only": {"clip"},
        "concat": {"whisper", "clip"},
    }.items():
        cfg = notebook.compose_config(f"model={model}", *both)
        assert {*find_streams(cfg.model)} == streams
        check_values(OmegaConf.to_container(cfg, resolve=False))
        assert ("it is left out" in caplog.text) == (len(streams) == 1)
        caplog.clear()
    with pytest.raises(ValueError, match=r"LeNet takes no model\.network\.face_encoder"):
        cfg = notebook.compose_config("model=lenet", *both)
        check_values(OmegaConf.to_container(cfg, resolve=False))


REFUSED = {
    "face_encoder.stream=mfcc": r"face_encoder reads mfcc, a stream of the audio: set .* frames\.",
    "audio_encoder.stream=frames": r"audio_encoder reads frames, a stream of the face: set .* mfcc",
    "face_encoder=precomputed": r"face_encoder hands on what is computed, and frames is as it was",
    "audio_encoder=precomputed": r"audio_encoder hands on what is computed, and waveform is as it",
}


@pytest.mark.parametrize(("override", "sentence"), REFUSED.items())
def test_streams_that_encoders_cannot_read_are_refused(recordings_store, override, sentence):
    """Of the other modality, or pictures and sounds where nothing encodes them."""
    base = ("model=lowrank", "data=store", f"data.store={recordings_store}", "data.batch_size=4")
    overrides = [f"model.network.{override}"]
    if "precomputed" in override:
        key, raw = override.partition("=")[0], "frames" if "face" in override else "waveform"
        overrides = [f"model/{override}", f"model.network.{key}.stream={raw}"]
    with pytest.raises(ValueError, match=sentence):
        notebook.build(load("train", *base, *overrides))


def test_a_network_that_reads_nothing_is_refused():
    network = {"_target_": "torch.nn.Identity"}
    with pytest.raises(ValueError, match=r"model\.network \(torch\.nn\.Identity\) reads no stream"):
        find_streams({"network": network})
