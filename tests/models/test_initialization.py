import pytest
import torch
from torch import nn

from avfusion.models.audio_encoders import LSTM
from avfusion.models.initialization import (
    INITS,
    init_he,
    init_lecun,
    init_recurrent,
    init_side_by_side,
    initialize,
)


@pytest.mark.parametrize("layer", [nn.Linear(900, 400), nn.Conv2d(100, 400, 3, padding=1)])
def test_a_rectified_layer_keeps_the_mean_square_of_its_input(layer):
    init_he(layer)
    shape = (64, 900) if isinstance(layer, nn.Linear) else (1, 100, 32, 32)
    numbers = torch.randn(shape)
    inner = layer(numbers.relu() * 2**0.5)[..., 1:-1]
    assert inner.square().mean().item() == pytest.approx(2, rel=0.1)


def test_a_layer_that_no_rectifier_follows_keeps_the_mean_square_too():
    layer = nn.Linear(900, 400)
    init_lecun(layer)
    assert layer(torch.randn(64, 900)).square().mean().item() == pytest.approx(1, rel=0.1)
    assert not layer.bias.any()


def test_biases_are_zero_and_nested_parts_are_initialized():
    module = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 5, bias=False)))
    before = [parameter.clone() for parameter in module.parameters()]
    init_he(module)
    assert not module[0].bias.any()
    after = [parameter for parameter in module.parameters() if parameter.ndim > 1]
    assert all(not torch.equal(old, new) for old, new in zip(before[::2], after, strict=True))


def test_layers_of_other_kinds_keep_their_weights():
    norm, lstm = nn.GroupNorm(2, 4), nn.LSTM(3, 4)
    before = [parameter.clone() for parameter in lstm.parameters()]
    init_he(nn.ModuleList([norm, lstm]))
    assert (norm.weight == 1).all()
    assert all(torch.equal(old, new) for old, new in zip(before, lstm.parameters(), strict=True))


def layers() -> nn.Module:
    """Layers with values that no initialization draws."""
    module = nn.Sequential(nn.Linear(300, 200), nn.Conv2d(30, 40, 3), nn.GroupNorm(2, 4))
    for parameter in module.parameters():
        nn.init.constant_(parameter, 7.0)
    return module


DEVIATIONS = {  # of the linear map's weights, by their formulas
    "normal": 0.02,
    "uniform": 0.1 / 12**0.5,
    "xavier": (2 / (300 + 200)) ** 0.5,
    "kaiming": (2 / 300) ** 0.5,
    "orthogonal": 300**-0.5,
}


@pytest.mark.parametrize("init", INITS)
def test_weights_are_drawn_with_the_deviation_of_their_formula(init):
    module = layers()
    initialize(module, init)
    assert module[0].weight.std().item() == pytest.approx(DEVIATIONS[init], rel=0.03)
    assert module[1].weight.std() > 0
    vectors = [parameter for parameter in module.parameters() if parameter.ndim == 1]
    assert all((parameter == 7).all() for parameter in vectors)


def test_orthogonal_weights_are_orthogonal():
    module = layers()
    initialize(module, "orthogonal")
    weight = module[0].weight
    torch.testing.assert_close(weight @ weight.T, torch.eye(200), rtol=0, atol=1e-5)


def test_frozen_weights_and_those_of_the_default_stay():
    frozen, kept = layers().requires_grad_(False), layers()
    initialize(frozen, "xavier")
    initialize(kept, "default")
    assert all((p == 7).all() for module in (frozen, kept) for p in module.parameters())


def test_reset_initializes_layers_as_torch_does():
    module = layers()
    torch.manual_seed(3)
    new = nn.Sequential(nn.Linear(300, 200), nn.Conv2d(30, 40, 3), nn.GroupNorm(2, 4))
    torch.manual_seed(3)
    initialize(module, "reset")
    pairs = zip(module.parameters(), new.parameters(), strict=True)
    assert all(torch.equal(ours, theirs) for ours, theirs in pairs)


def test_an_unknown_initialization_is_refused_with_those_that_exist():
    with pytest.raises(ValueError, match=r"one of \['normal', 'uniform'.*got 'he'"):
        initialize(layers(), "he")


@pytest.mark.parametrize(("kind", "gates"), [(nn.LSTM, 4), (nn.GRU, 3)])
def test_recurrent_layers_begin_with_lecun_inputs_and_orthogonal_gates(kind, gates):
    layer = kind(300, 64, num_layers=2, batch_first=True)
    init_recurrent(nn.ModuleList([layer]))
    assert layer.weight_ih_l0.std().item() == pytest.approx(300**-0.5, rel=0.05)
    assert layer.weight_ih_l1.std().item() == pytest.approx(64**-0.5, rel=0.05)
    for weight in (layer.weight_hh_l0, layer.weight_hh_l1):
        for gate in weight.split(64):
            torch.testing.assert_close(gate @ gate.T, torch.eye(64), rtol=0, atol=1e-5)
    bias = layer.bias_ih_l1.view(gates, 64)
    forget = torch.zeros(gates, 64)
    if kind is nn.LSTM:
        forget[1] = 1  # torch's order of gates is input, forget, cell, output
    assert torch.equal(bias, forget)
    assert not layer.bias_hh_l0.any()


def test_concatenated_inputs_are_initialized_by_a_fan_in_each():
    layer = nn.Linear(128 + 512, 2000)
    init_side_by_side(layer, (128, 512))
    narrow, wide = layer.weight.split([128, 512], dim=1)
    assert narrow.std().item() == pytest.approx((2 / 128) ** 0.5, rel=0.02)
    assert wide.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.02)
    assert not layer.bias.any()


def test_audio_vectors_of_an_untrained_lstm_differ_between_voices():
    """With torch's own first values the deviation between voices would be below 0.06."""
    torch.manual_seed(0)
    encoder = LSTM([0.0] * 75, [1.0] * 75)
    voices = torch.randn(64, 1, 75).expand(-1, 49, -1)  # each of its own, steady timbre
    _, vector = encoder(voices, torch.full((64,), 49))
    assert vector.std(dim=0).square().mean().sqrt() > 0.2


def parts() -> nn.Module:
    network = nn.Module()
    for name in ("face_encoder", "head"):
        network.add_module(name, layers())
    return network


@pytest.mark.parametrize(
    ("init", "deviation"),
    [
        ({"name": "normal", "std": 0.3}, 0.3),
        ({"name": "uniform", "range": 0.6}, 0.6 / 3**0.5),
        ({"name": "xavier", "gain": 2.0}, 2 * (2 / 500) ** 0.5),
        ({"name": "kaiming", "gain": 1.0}, 300**-0.5),
        ({"name": "orthogonal", "gain": 3.0}, 3 * 300**-0.5),
        ({"name": "normal"}, 0.02),
    ],
)
def test_an_option_scales_the_weights(init, deviation):
    module = layers()
    initialize(module, init)
    assert module[0].weight.std().item() == pytest.approx(deviation, rel=0.03)


def test_init_parts_override_the_initialization_of_the_network():
    network = parts()
    own = {"name": "normal", "std": 0.3}
    initialize(network, "xavier", {"face_encoder": "default", "head": own, "head.1": "orthogonal"})
    assert all((parameter == 7).all() for parameter in network.face_encoder.parameters())
    assert network.head[0].weight.std().item() == pytest.approx(0.3, rel=0.03)
    filters = network.head[1].weight.flatten(1)
    torch.testing.assert_close(filters @ filters.T, torch.eye(40), rtol=0, atol=1e-5)


def test_init_parts_leave_the_other_parts_as_they_are(seeded):
    network = parts()
    initialize(network, "default", {"head": "kaiming"})
    assert all((parameter == 7).all() for parameter in network.face_encoder.parameters())
    assert network.head[0].weight.std().item() == pytest.approx((2 / 300) ** 0.5, rel=0.03)


@pytest.mark.parametrize(
    ("init", "own", "sentence"),
    [
        ("xavier", {"face": "normal"}, r"init_parts has no part 'face': .* face_encoder, head"),
        ("xavier", {"head": "he"}, r"model\.init_parts\.head must be default.*got 'he'"),
        ({"name": "normal", "gain": 1.0}, None, r"model\.init: normal takes std, not gain"),
        ({"name": "default", "std": 1.0}, None, r"default takes no option, not std"),
        ({"name": "normal", "std": 0}, None, r"model\.init\.std must be a positive number, got 0"),
        ({"std": 0.1}, None, r"got None"),
    ],
)
def test_unknown_options_and_parts_are_refused(init, own, sentence):
    with pytest.raises(ValueError, match=sentence):
        initialize(parts(), init, own)
