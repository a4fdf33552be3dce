"""Claims about which streams a configured model reads."""

import pytest
from conftest import MODELS, build, load
from hydra.errors import InstantiationException
from omegaconf import OmegaConf

from avfusion.run import notebook
from avfusion.run.streams import find_streams

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


def test_streams_that_encoders_cannot_read_are_refused(recordings_store):
    """Where a face encoder is given audio frames, or an audio encoder pictures."""
    base = ("model=lowrank", "data=store", f"data.store={recordings_store}", "data.batch_size=4")
    with pytest.raises(InstantiationException, match=r"three colors, .* mfcc has 75 features: set"):
        notebook.build(load("train", *base, "model.network.face_encoder.stream=mfcc"))
    cfg = load("train", *base, "model.network.audio_encoder.stream=frames")
    task, data = notebook.build(cfg)
    with pytest.raises(ValueError, match=r"The stream frames has no time axis, .* such as mfcc"):
        task(next(iter(data.val_dataloader())).with_floats())


def test_a_network_that_reads_nothing_is_refused():
    network = {"_target_": "torch.nn.Identity"}
    with pytest.raises(ValueError, match=r"model\.network \(torch\.nn\.Identity\) reads no stream"):
        find_streams({"network": network})
