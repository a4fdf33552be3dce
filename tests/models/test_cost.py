"""Claims about what networks cost."""

import pytest
import torch
from conftest import MODELS, build, toy_clips
from torch import nn

from avfusion.benchmark.step import compute_loss
from avfusion.models import cost
from avfusion.models.cost import count_megaflops, count_parameters, count_step


def test_parameters_are_counted_once_where_parts_share_them():
    shared = nn.Linear(3, 4)
    assert count_parameters(nn.ModuleList([shared, shared, nn.Linear(4, 2, bias=False)])) == 16 + 8


def test_flops_are_those_of_the_formulas():
    task, clips = build("audio_only"), toy_clips(3, frames=12)
    # Two LSTMs, 75 -> 256 -> 256, then 512 -> 400 -> 3; a multiplication and an addition each.
    lstms = 12 * 4 * 256 * ((75 + 256) + (256 + 256))
    expected = 2 * (lstms + 512 * 400 + 400 * 3)
    assert count_megaflops(task.network, clips) == pytest.approx(expected / 1e6, rel=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_every_model_can_be_counted_and_is_left_as_it_was(model):
    task, clips = build(model, narrow=True).train(), toy_clips(2)
    before = {name: part.clone() for name, part in task.state_dict().items()}
    assert count_megaflops(task.network, clips) > 0.5
    assert task.network.training
    assert all(torch.equal(before[name], part) for name, part in task.state_dict().items())


class AskingForLengths(nn.Module):
    """A network that must know numbers, as speech networks do, which the meta device has not."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, clips):
        assert max(clips.lengths["mfcc"].tolist()) > 0
        return self.network(clips)


@pytest.mark.parametrize("model", ["lowrank", "bottleneck"])
def test_a_large_network_and_one_that_asks_for_numbers_are_counted_as_any_other(model, monkeypatch):
    network, clips = build(model).network, toy_clips(2)
    computed = count_megaflops(network, clips)
    monkeypatch.setattr(cost, "MAX_COMPUTED_PARAMETERS", 0)
    assert count_megaflops(network, clips) == computed
    assert count_megaflops(AskingForLengths(network), clips) == computed


def product_flops(*sizes):
    """Multiplications and additions of a product of matrices, whose sizes are multiplied."""
    return 2 * int(torch.tensor(sizes).prod())


def test_the_step_of_one_layer_costs_its_product_two_times():
    layer, clips = nn.Linear(75, 7), toy_clips(2, frames=12)
    step = count_step(layer, clips, lambda layer, clips: layer(clips.streams["mfcc"]).sum())
    # Nothing wants the gradient of the frames.
    assert step.flops == 2 * product_flops(2 * 12, 75, 7)
    # The frames are read twice, the outputs are written and summed.
    assert step.traffic > 4 * (2 * 2 * 12 * 75 + 2 * 75 * 7 + 2 * 2 * 12 * 7)
    assert layer.weight.grad is None and layer.weight.device.type == "cpu"


def test_the_step_of_lowrank_costs_its_products():
    batch, frames, classes, glimpses, width = 4, 12, 3, 2, 256
    task = build("lowrank", "model/face_encoder=precomputed").train()
    clips = toy_clips(batch, frames=frames, size=5)
    channels, positions, hidden = 3, 5 * 5, 512
    gates = 4 * width

    # Forward, weight gradients and gradients of the inputs, where these are wanted.
    lower = product_flops(batch * frames, 75, gates)
    upper = product_flops(batch * frames, width, gates)
    states = 2 * product_flops(batch, width, gates)  # of each of both LSTMs, per frame
    lstms = 2 * lower + 3 * upper + frames * 3 * states
    lstms -= states  # of the first states
    look = 2 * product_flops(batch * positions, channels, hidden)
    look += 3 * product_flops(batch, 2 * width, hidden)
    look += 3 * product_flops(batch * positions, hidden, glimpses)
    look += 2 * product_flops(batch, glimpses, positions, channels)
    face = product_flops(batch, glimpses * channels, 256)
    audio = product_flops(batch, 2 * width, 256)
    head = product_flops(batch, 256, 400) + product_flops(batch, 400, classes)
    answers = 1 + glimpses  # from both glimpses, and from each alone
    expected = lstms + look + 3 * answers * (face + audio + head)
    assert count_step(task, clips, compute_loss).flops == expected
