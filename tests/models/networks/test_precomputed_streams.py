"""Claims about every network on two streams that frozen encoders have computed."""

from functools import cache
from operator import itemgetter

import pytest
import torch
from conftest import MODELS, build_task, load, toy_description
from omegaconf import DictConfig

from avfusion.data.batch import Clips
from avfusion.features.clip import Stream
from avfusion.training.task import FusionTask

LENGTHS = {"voice": torch.tensor([7, 1, 4, 5]), "look": torch.tensor([2, 7, 1, 3])}
FEATURES = {"voice": 6, "look": 4}
MODALITIES = {"voice": "audio", "look": "face"}
AXES = {  # of a clip's item, before its features
    "vector": (),
    "layers of a vector": (3,),
    "sequence": (7,),
    "layers of a sequence": (3, 7),
}
# Others read what no frozen encoder computes: seed2017 has LSTMs of its own, lenet convolutions.
NETWORKS = [name for name in MODELS if name not in ("seed2017", "lenet")]
each_network = pytest.mark.parametrize("model", NETWORKS)


def describe(name: str, kind: str) -> dict:
    layers = 3 if "layers" in kind else 0
    numbers = (0.5,) * FEATURES[name], (2.0,) * FEATURES[name]
    mean, std = ((one,) * layers if layers else one for one in numbers)
    whole = "sequence" if "sequence" in kind else "vector"
    shape = (*AXES[kind], FEATURES[name])
    stream = Stream(MODALITIES[name], whole, shape, "float16", layers=layers, mean=mean, std=std)
    return stream.plain()


@cache
def compose(model: str, *overrides: str) -> DictConfig:
    slots = load("train", f"model={model}").model.network
    for name, modality in MODALITIES.items():
        if f"{modality}_encoder" in slots:
            overrides += (
                f"model/{modality}_encoder=precomputed",
                f"model.network.{modality}_encoder.stream={name}",
            )
    return load("train", f"model={model}", "model.network.head.hidden_dim=16", *overrides)


def build(model: str, audio: str, face: str, *overrides: str) -> FusionTask:
    description = toy_description()
    description["streams"] |= {"voice": describe("voice", audio), "look": describe("look", face)}
    return build_task(compose(model, *overrides), description).double()


def make_clips(audio: str, face: str) -> Clips:
    kinds = {"voice": audio, "look": face}
    return Clips(
        streams={
            name: torch.randn(4, *AXES[kind], FEATURES[name], dtype=torch.double)
            for name, kind in kinds.items()
        },
        lengths={name: LENGTHS[name] for name, kind in kinds.items() if "sequence" in kind},
        has_face=torch.ones(4, dtype=torch.bool),
        has_audio=torch.ones(4, dtype=torch.bool),
        label=torch.arange(4) % 3,
        box=torch.full((4, 4), torch.nan),
        row=torch.arange(4),
    )


def assert_same(ours, theirs) -> None:
    torch.testing.assert_close(ours.logits, theirs.logits, rtol=0, atol=1e-10)


@pytest.mark.slow
@each_network
@pytest.mark.parametrize(
    ("audio", "face"),
    [
        ("sequence", "sequence"),
        ("vector", "vector"),
        ("layers of a sequence", "layers of a vector"),
        ("layers of a vector", "layers of a sequence"),
    ],
)
def test_a_clip_in_a_batch_equals_the_same_clip_alone_without_padding(model, audio, face):
    task, clips = build(model, audio, face).eval(), make_clips(audio, face)
    together = task(clips)
    assert together.logits.shape == (4, 3)
    for k in range(4):
        clip = clips.map(itemgetter(slice(k, k + 1)))
        for name, lengths in clip.lengths.items():
            cut = clip.streams[name][..., : int(lengths), :]
            clip = clip.with_stream(name, cut)
        alone = task(clip)
        torch.testing.assert_close(alone.logits[0], together.logits[k], rtol=0, atol=1e-10)


@each_network
def test_values_in_the_padding_of_both_streams_change_nothing(model):
    task, clips = (
        build(model, "sequence", "layers of a sequence").eval(),
        make_clips("sequence", "layers of a sequence"),
    )
    noisy = clips
    for name, lengths in clips.lengths.items():
        is_true = (torch.arange(7) < lengths[:, None])[..., None]
        values = clips.streams[name]
        is_true = is_true[:, None] if values.ndim == 4 else is_true
        noisy = noisy.with_stream(
            name, torch.where(is_true, values, 1e3 * torch.randn_like(values))
        )
    assert_same(task(noisy), task(clips))


@each_network
def test_every_parameter_learns_from_steps_of_layers(model):
    kind = "layers of a sequence"
    task, clips = build(model, kind, kind), make_clips(kind, kind)
    scores = task(clips)
    task.minimized_loss(task.label_loss(scores.logits, clips), scores, clips).backward()
    assert all(part.grad is not None and part.grad.abs().max() > 0 for part in task.parameters())


@each_network
def test_the_glimpses_lie_on_the_true_steps(model):
    kind = "sequence"
    glimpses = build(model, kind, kind)(make_clips(kind, kind)).glimpses
    if glimpses is None:
        return
    assert glimpses.shape[2:] == (7, 1, 1)
    torch.testing.assert_close(glimpses.sum(dim=(2, 3, 4)), torch.ones(glimpses.shape[:2]).double())
    padding = torch.arange(7) >= LENGTHS["look"][:, None]
    assert not glimpses[..., 0, 0].transpose(1, 2)[padding].any()


@pytest.mark.parametrize("attention", ["concat", "mlb", "mcb", "uniform"])
def test_a_single_vector_is_all_that_attention_sees(attention, caplog):
    with caplog.at_level("INFO"):
        task = build("lowrank", "sequence", "vector", f"model/attention={attention}")
    assert "look is one vector per clip: attention has nothing to look at." in caplog.text
    clips = make_clips("sequence", "vector")
    glimpses = task(clips).glimpses
    assert torch.equal(glimpses, torch.ones_like(glimpses)) and glimpses.shape[2:] == (1, 1, 1)


@pytest.mark.slow
def test_another_voice_encoder_reads_the_stream_by_one_override():
    kind = "layers of a sequence"
    clips, description = make_clips(kind, "vector"), toy_description()
    description["streams"]["voice"] = describe("voice", kind)
    for encoder in ("lstm", "bilstm", "gru", "tcn", "transformer"):
        overrides = (f"model/audio_encoder={encoder}", "model.network.audio_encoder.stream=voice")
        task = build_task(load("train", "model=audio_only", *overrides), description).double()
        assert task(clips).logits.isfinite().all()
        assert task.network.audio_encoder.layer_weights.weights.tolist() == [1 / 3] * 3
