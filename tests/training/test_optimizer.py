"""Claims about optimizers and the parts of a network."""

import copy

import pytest
import torch
from conftest import build
from lightning.pytorch.plugins import MixedPrecision
from torch import nn

from avfusion.training.optimizer import build_optimizer


@pytest.fixture
def network() -> nn.Module:
    parts = {
        "face_encoder": nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3)),
        "head": nn.Linear(4, 2),
    }
    return nn.ModuleDict(parts)


def rates(optimizer, network):
    """Return learning rate and decay of every parameter by its name."""
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    return {
        names[id(parameter)]: (group["lr"], group["weight_decay"])
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def test_the_longest_name_that_holds_a_parameter_decides_its_learning_rate(network):
    factors = {"face_encoder": 0.1, "face_encoder.1": 0.5}
    found = rates(build_optimizer(network, "SGD", lr=2.0, lr_scale=factors), network)
    expected = {"face_encoder.0": 0.2, "face_encoder.1": 1.0, "head": 2.0}
    for name, (rate, _) in found.items():
        assert rate == pytest.approx(expected[name.rpartition(".")[0]])
    assert len(found) == 6


def test_biases_have_no_weight_decay_in_any_group(network):
    optimizer = build_optimizer(network, "AdamW", lr=1.0, weight_decay=0.3, lr_scale={"head": 2.0})
    found = rates(optimizer, network)
    assert {name: decay for name, (_, decay) in found.items()} == {
        name: 0.3 if name.endswith("weight") else 0.0 for name, _ in network.named_parameters()
    }


def test_parameter_groups_have_names_for_their_curves(network):
    optimizer = build_optimizer(network, "AdamW", lr=1.0, weight_decay=0.3, lr_scale={"head": 0.1})
    names = [group["name"] for group in optimizer.param_groups]
    assert names == ["decaying", "others", "decaying_x0.1", "others_x0.1"]


def test_factors_that_are_nearly_equal_share_a_group(network):
    scale, own = {"face_encoder": 0.07, "head": 0.7}, {"head": 0.1}
    optimizer = build_optimizer(network, "SGD", lr=1.0, lr_scale=scale, model_lr_scale=own)
    assert [group["name"] for group in optimizer.param_groups] == ["others_x0.07"]


def test_a_factor_of_zero_freezes_a_part(network):
    before = [parameter.clone() for parameter in network["face_encoder"].parameters()]
    optimizer = build_optimizer(
        network, "AdamW", lr=1.0, weight_decay=0.3, lr_scale={"face_encoder": 0}
    )
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    after = network["face_encoder"].parameters()
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))
    assert rates(optimizer, network)["head.weight"] == (1.0, 0.3)


def test_an_unknown_part_is_refused_with_those_that_exist(network):
    with pytest.raises(ValueError, match="no part 'face': the network's are face_encoder, head"):
        build_optimizer(network, "SGD", lr=1.0, lr_scale={"face": 0.1})


@pytest.mark.parametrize("rate", [-1.0, float("nan"), float("inf")])
def test_impossible_learning_rates_are_refused(network, rate):
    with pytest.raises(ValueError, match=r"optimizer\.lr must be"):
        build_optimizer(network, "SGD", lr=rate)
    with pytest.raises(ValueError, match=r"optimizer\.lr_scale\.head must be at least 0"):
        build_optimizer(network, "SGD", lr=1.0, lr_scale={"head": rate})


def test_a_part_of_a_model_is_chosen_by_its_name_on_the_command_line():
    task = build("lowrank", "optimizer.lr_scale={face_encoder: 0.1}", "optimizer.lr=0.5")
    optimizer, _ = task.build_optimizer(10)
    found = {name: initial for name, (initial, _) in rates_of(optimizer, task.network).items()}
    assert {found[name] for name in found if name.startswith("face_encoder")} == {0.05}
    assert {found[name] for name in found if name.startswith("audio_encoder")} == {0.125}
    others = {name for name in found if not name.startswith(("face_encoder", "audio_encoder"))}
    assert {found[name] for name in others} == {0.5}


def rates_of(optimizer, network):
    """Return the rates before the schedule changed them."""
    for group in optimizer.param_groups:
        group["lr"] = group["initial_lr"]
    return rates(optimizer, network)


def take_steps(network, optimizer, steps):
    for step in range(steps):
        for place, parameter in enumerate(network.parameters()):
            generator = torch.Generator().manual_seed(100 * step + place)
            parameter.grad = torch.randn(parameter.shape, generator=generator)
        optimizer.step()


@pytest.mark.parametrize("name", ["AdamW", "Adam"])
def test_a_fused_optimizer_takes_the_same_steps(network, name):
    other = copy.deepcopy(network)
    for one, fused in ((network, True), (other, False)):
        optimizer = build_optimizer(one, name, lr=0.1, weight_decay=0.3, fused=fused)
        assert bool(optimizer.param_groups[0].get("fused")) == fused
        take_steps(one, optimizer, 5)
    for ours, theirs in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


def test_a_training_from_before_goes_on_as_it_would_have_without_a_fused_optimizer(network):
    before = build_optimizer(network, "AdamW", lr=0.1)
    take_steps(network, before, 2)
    resumed = copy.deepcopy(network)
    after = build_optimizer(resumed, "AdamW", lr=0.1, fused=True)
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    for one, optimizer in ((network, before), (resumed, after)):
        take_steps(one, optimizer, 3)
    for ours, theirs in zip(network.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_an_optimizer_without_fused_kernels_is_built_as_torch_has_it(network):
    optimizer = build_optimizer(network, "RAdam", lr=0.1, fused=True)
    take_steps(network, optimizer, 1)
    assert "fused" not in optimizer.param_groups[0]


def test_weights_of_a_device_without_fused_kernels_are_updated_as_torch_does_it(network):
    optimizer = build_optimizer(network.to("meta"), "AdamW", lr=0.1, fused=True)
    assert not optimizer.param_groups[0]["fused"]


def test_gradients_are_clipped_before_a_fused_optimizer_in_mixed_precision(network):
    optimizer = build_optimizer(network, "AdamW", lr=0.1, fused=True)
    for parameter in network.parameters():
        parameter.grad = torch.ones_like(parameter)
    precision = MixedPrecision("bf16-mixed", "cpu")
    precision.clip_gradients(optimizer, 0.5)
    norm = torch.stack([parameter.grad.norm() for parameter in network.parameters()]).norm()
    assert norm.item() == pytest.approx(0.5, rel=1e-4)
