"""Faults of the seed network, each shown by itself, and their repairs."""

import pytest
import torch
from conftest import build, build_task, doubled, load, toy_clips, toy_description
from hydra.errors import InstantiationException

from avfusion.models.cost import count_parameters
from avfusion.models.networks.seed2017 import REPAIRS

both = pytest.mark.parametrize("model", ["seed2017", "lowrank"])


def made(model: str):
    layers = ["model.network.num_layers=2", "data.batch_size=6"] if model == "seed2017" else []
    return build(model, *layers).eval()


def test_has_the_parameters_of_the_text():
    # But for the maps, of 64 channels instead of 512.
    network = build("seed2017", "data.batch_size=2").network
    counts = {
        name: sum(p.numel() for p in part.parameters()) for name, part in network.named_children()
    }
    layer = 4 * 256 * (256 + 256) + 2 * 4 * 256
    assert counts["lower"] == 48 * layer + 4 * 256 * (75 + 256) + 2 * 4 * 256
    assert counts["upper"] == 49 * layer
    assert counts["hidden"] == (64 + 512) * 512 + 512
    assert counts["glimpse_logits"] == 512 * 2 + 2
    assert counts["face_factors"] == 2 * 64 * 256 + 256
    assert counts["fused"] == 256 * 400 + 400


def test_has_52_420_344_parameters_on_maps_of_512_channels_and_six_classes():
    description = toy_description(classes=6)
    description["streams"]["face_map"]["shape"] = [1, 512, 14, 14]
    choices = ("model=seed2017", "model/face_encoder=precomputed", "data.batch_size=2")
    assert count_parameters(build_task(load("train", *choices), description).network) == 52_420_344


@both
def test_noise_makes_two_evaluations_differ(model):
    task, clips = made(model), toy_clips(6)
    same = torch.equal(task(clips).logits, task(clips).logits)
    assert same == (model == "lowrank")


@both
def test_glimpses_sum_to_one_over_the_batch_instead_of_the_positions(model):
    glimpses = made(model)(toy_clips(6)).glimpses.flatten(2)
    over_batch, over_positions = glimpses.sum(dim=0), glimpses.sum(dim=2)
    right = torch.ones_like(over_positions)
    assert torch.allclose(over_positions, right, atol=1e-5) == (model == "lowrank")
    assert torch.allclose(over_batch, torch.ones_like(over_batch)) == (model == "seed2017")


@both
def test_the_glimpses_of_a_clip_depend_on_the_others_of_its_batch(model):
    task, clips = made(model), toy_clips(6)
    others = clips.map(torch.clone)
    face = others.streams["frames"]
    face[1:] = torch.rand_like(face[1:])
    alone, beside = (task(some).glimpses[0] for some in (clips, others))
    assert torch.equal(alone, beside) == (model == "lowrank")


@both
def test_no_gradient_reaches_attention_and_face_encoder(model):
    task, clips = made(model), toy_clips(6)
    task.loss(task(clips).logits, clips.label).backward()
    learning = {
        name for name, p in task.network.named_parameters() if p.grad is not None and p.grad.any()
    }
    parts = {name.partition(".")[0] for name in learning}
    looking = {"face_encoder", "hidden", "glimpse_logits", "attention"}
    assert bool(parts & looking) == (model == "lowrank")
    assert parts >= ({"lower", "upper", "fused", "logits"} if model == "seed2017" else {"fusion"})


@both
def test_padding_changes_the_audio_vector(model):
    task, clips = made(model), toy_clips(6)
    longer = torch.nn.functional.pad(clips.streams["mfcc"], (0, 0, 0, 30))
    if model == "seed2017":
        short, long = (
            task.network.encode_audio(task.network.normalize(a))
            for a in (clips.streams["mfcc"], longer)
        )
    else:
        short, long = (
            task(clips.with_stream("mfcc", a)).logits for a in (clips.streams["mfcc"], longer)
        )
    assert torch.allclose(short, long, atol=1e-5) == (model == "lowrank")


def test_smaller_batches_are_padded_and_cropped_again():
    assert made("seed2017")(toy_clips(2)).logits.shape == (2, 3)


def test_larger_batches_than_it_was_built_for_are_refused():
    with pytest.raises(ValueError, match="batches of 6 clips, got 7"):
        made("seed2017")(toy_clips(7))
    with pytest.raises(InstantiationException, match=r"data\.batch_size of at least 2"):
        build("seed2017", "data.batch_size=1")


def repaired(*repairs: str):
    """The seed network with some repairs; its maps are pictures of three channels."""
    small = ("model.network.num_layers=2", "data.batch_size=6", "model/face_encoder=precomputed")
    return build("seed2017", *small, f"model.network.repairs=[{','.join(repairs)}]")


def as_lowrank(seed):
    """model=lowrank with the parameters of the seed network, fully repaired."""
    task = build("lowrank", "model/face_encoder=precomputed")
    ours, theirs = task.network.state_dict(), seed.network.state_dict()
    same = {
        **{f"audio_encoder.{name}": name for name in theirs if name[:5] in ("lower", "upper")},
        **{f"audio_encoder.{name}": name for name in ("normalize.mean", "normalize.std")},
        **{f"head.logits.{kind}": f"logits.{kind}" for kind in ("weight", "bias")},
        **{f"head.hidden.{kind}": f"fused.{kind}" for kind in ("weight", "bias")},
        **{f"fusion.audio_factors.{kind}": f"audio_factors.{kind}" for kind in ("weight", "bias")},
        "fusion.face_factors.bias": "face_factors.bias",
        "attention.face_hidden.bias": "hidden.bias",
    }
    values = {name: theirs[other] for name, other in same.items()}
    both, channels = theirs["hidden.weight"][:, :, 0, 0], seed.network.face_encoder.channels
    values["attention.face_hidden.weight"] = both[:, :channels]
    values["attention.audio_hidden.weight"] = both[:, channels:]
    values["attention.glimpse_logits.weight"] = theirs["glimpse_logits.weight"][:, :, 0, 0]
    by_channel = theirs["face_factors.weight"].unflatten(1, (channels, 2))  # glimpses lie closer
    values["fusion.face_factors.weight"] = by_channel.transpose(1, 2).flatten(1)
    assert values.keys() == ours.keys()
    task.network.load_state_dict(values)
    return task


def test_fully_repaired_it_is_the_function_of_lowrank_with_as_many_parameters():
    seed = repaired(*REPAIRS).double()
    lowrank, clips = as_lowrank(seed).double(), toy_clips(5, frames=20)
    clips = doubled(clips)
    clips = clips._replace(has_face=clips.row != 1, has_audio=clips.row != 3)
    for mode in (True, False):
        ours, theirs = seed.train(mode)(clips), lowrank.train(mode)(clips)
        torch.testing.assert_close(ours.logits, theirs.logits)
        torch.testing.assert_close(ours.glimpses, theirs.glimpses)
    counts = [sum(part.numel() for part in task.parameters()) for task in (seed, lowrank)]
    assert counts[0] == counts[1]


def test_fully_repaired_it_is_initialized_as_lowrank():
    tasks = [repaired(*REPAIRS), build("lowrank", "model/face_encoder=precomputed")]
    theirs = tasks[1].network.state_dict()
    for name, value in as_lowrank(tasks[0]).network.state_dict().items():
        width = theirs[name].std().item()
        assert value.std().item() == pytest.approx(width, rel=0.15), name
        near = 0.2 * width + 1e-6
        assert value.mean().item() == pytest.approx(theirs[name].mean().item(), abs=near), name


def learning_parts(task) -> set[str]:
    clips = toy_clips(6)
    task.loss(task(clips).logits, clips.label).backward()
    return {
        name.partition(".")[0]
        for name, p in task.network.named_parameters()
        if p.grad is not None and p.grad.any()
    }


def state_dependent(task) -> bool:
    """Whether a clip's voice depends on its place in the batch."""
    clips = toy_clips(6)
    clips = clips.with_stream("mfcc", clips.streams["mfcc"][:1].expand(6, -1, -1))
    voices = []
    task.network.audio_factors.register_forward_hook(lambda _, given, out: voices.append(given[0]))
    task(clips._replace(lengths={"mfcc": clips.lengths["mfcc"][:1].expand(6)}))
    return not torch.allclose(voices[0][0], voices[0][5], atol=1e-6)


def over(task, dim: int) -> bool:
    weights = task(toy_clips(6)).glimpses.flatten(2).sum(dim=dim)
    return torch.allclose(weights, torch.ones_like(weights), atol=1e-5)


def equal_twice(task) -> bool:
    clips = toy_clips(6)
    return torch.equal(task(clips).logits, task(clips).logits)


REPAIRED = {  # by each repair alone, in evaluation
    "layers": lambda task: task.network.lower.num_layers == 1,
    "states": lambda task: not state_dependent(task),
    "noise": equal_twice,
    "gradients": lambda task: {"hidden", "glimpse_logits"} <= learning_parts(task),
    "softmax": lambda task: over(task, dim=2),
    "logits": lambda task: task.network.glimpse_logits.bias is None,
    "dropout": lambda task: task.network.drop.p == task.network.drop_maps.p == 0,
    "output": lambda task: (
        not torch.allclose(task(toy_clips(6)).logits.exp().sum(dim=1), torch.ones(6), atol=1e-4)
    ),
    "init": lambda task: bool((task.network.face_factors.bias == 1).all()),
}


@pytest.mark.parametrize("repair", REPAIRS)
@pytest.mark.slow
def test_each_repair_removes_its_fault_and_no_other(repair):
    task = repaired(repair).eval()
    assert {name for name, is_repaired in REPAIRED.items() if is_repaired(task)} == {repair}


def test_unknown_repairs_are_refused_with_those_there_are():
    with pytest.raises(InstantiationException, match=r"some of \['layers', .* got \['paint'\]"):
        repaired("paint")
