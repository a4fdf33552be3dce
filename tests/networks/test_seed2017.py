"""The faults of the seed network, each by its nature; its repair is free of them."""

import pytest
import torch
from conftest import build, toy_clips
from hydra.errors import InstantiationException

from avfusion.data.clips import Clips

both = pytest.mark.parametrize("model", ["seed2017", "lowrank"])


def made(model: str):
    layers = ["model.network.layers=2", "data.batch_size=6"] if model == "seed2017" else []
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
def test_a_clip_changes_with_those_beside_it(model):
    task, clips = made(model), toy_clips(6)
    others = Clips(*(part.clone() for part in clips))
    others.face[1:] = torch.rand_like(others.face[1:])
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
def test_padding_changes_the_voice(model):
    task, clips = made(model), toy_clips(6)
    longer = torch.nn.functional.pad(clips.audio, (0, 0, 0, 30))
    if model == "seed2017":
        short, long = (
            task.network.listen(task.network.standardise(a)) for a in (clips.audio, longer)
        )
    else:
        short, long = (task(clips._replace(audio=a)).logits for a in (clips.audio, longer))
    assert torch.allclose(short, long, atol=1e-5) == (model == "lowrank")


def test_batches_that_are_not_full_are_filled_and_cut_again():
    assert made("seed2017")(toy_clips(2)).logits.shape == (2, 3)


def test_other_batches_than_it_was_made_for_are_refused():
    with pytest.raises(ValueError, match="batches of 6 clips, got 7"):
        made("seed2017")(toy_clips(7))
    with pytest.raises(InstantiationException, match=r"data\.batch_size of at least 2"):
        build("seed2017", "data.batch_size=1")
