"""Claims about what networks cost."""

import pytest
import torch
from conftest import MODELS, build, toy_clips
from torch import nn

from avfusion.models.cost import count_megaflops, count_parameters


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
def test_a_network_that_asks_for_numbers_is_counted_as_one_that_does_not(model):
    network, clips = build(model).network, toy_clips(2)
    assert count_megaflops(AskingForLengths(network), clips) == count_megaflops(network, clips)
