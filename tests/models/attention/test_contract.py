"""Claims about every attention that the package offers."""

import inspect

import pytest
import torch

from avfusion.models import attention as package
from avfusion.models.attention import UniformAttention

KINDS = [kind for _, kind in inspect.getmembers(package, inspect.isclass)]
LOOKING = [kind for kind in KINDS if kind is not UniformAttention]  # it ignores the voice
each_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
each_looking = pytest.mark.parametrize("kind", LOOKING, ids=lambda kind: kind.__name__)


def inputs(batch: int = 2, size: tuple[int, ...] = (1, 3, 5)) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(batch, 4, *size), torch.randn(batch, 5)


def test_whatever_the_package_exports_is_tested():
    assert {kind.__name__ for kind in KINDS} == set(package.__all__)


@each_kind
@pytest.mark.parametrize("size", [(1, 1, 1), (1, 14, 14), (3, 2, 7)])
@pytest.mark.parametrize("glimpses", [1, 3])
def test_each_glimpse_sums_to_one_on_maps_of_any_size(kind, size, glimpses):
    attention = kind(channels=4, audio_dim=5, glimpses=glimpses)
    face, weights = attention(*inputs(2, size))
    assert face.shape == (2, attention.face_dim) == (2, 4 * glimpses)
    assert weights.shape == (2, glimpses, size[0] * size[1] * size[2])
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, glimpses))


@each_kind
def test_the_face_vector_is_a_weighted_mean_for_each_glimpse_in_turn(kind):
    attention, (face_map, audio) = kind(channels=4, audio_dim=5, glimpses=3), inputs()
    face, weights = attention(face_map, audio)
    expected = torch.einsum("bgp,bcp->bgc", weights, face_map.flatten(2)).flatten(1)
    torch.testing.assert_close(face, expected)


@each_kind
def test_a_clip_does_not_depend_on_the_others_of_its_batch(kind):
    attention, (face_map, audio) = kind(channels=4, audio_dim=5), inputs(3)
    together = attention(face_map, audio)
    for k in range(3):
        alone = attention(face_map[k : k + 1], audio[k : k + 1])
        for ours, theirs in zip(alone, together, strict=True):
            torch.testing.assert_close(ours, theirs[k : k + 1])


@each_kind
def test_positions_of_padding_have_no_weight_and_change_nothing(kind):
    attention, (face_map, audio) = kind(channels=4, audio_dim=5), inputs(2, (6, 1, 1))
    mask = torch.tensor([[True] * 6, [True, True] + [False] * 4])
    face, weights = attention(face_map, audio, mask)
    alone, its_weights = attention(face_map[1:, :, :2], audio[1:])
    torch.testing.assert_close(face[1:], alone)
    torch.testing.assert_close(weights[1:, :, :2], its_weights)
    assert not weights[1, :, 2:].any()
    torch.testing.assert_close(face[:1], attention(face_map[:1], audio[:1])[0])


@each_looking
def test_the_glimpses_depend_on_the_voice(kind):
    attention, (face_map, audio) = kind(channels=4, audio_dim=5), inputs()
    _, weights = attention(face_map[:1].expand_as(face_map), audio)
    assert (weights[0] - weights[1]).abs().max() > 1e-3


@each_looking
def test_glimpses_differ_from_each_other(kind):
    _, weights = kind(channels=4, audio_dim=5, glimpses=2)(*inputs(1))
    assert (weights[0, 0] - weights[0, 1]).abs().max() > 1e-3


@each_looking
def test_every_parameter_receives_a_gradient(kind):
    attention = kind(channels=4, audio_dim=5)
    attention(*inputs(8))[0].square().sum().backward()
    assert all(parameter.grad.abs().max() > 1e-6 for parameter in attention.parameters())


@each_kind
def test_half_precision_stays_near_full_precision(kind):
    attention, given = kind(channels=4, audio_dim=5), inputs()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        face, weights = attention(*given)
    full, full_weights = attention(*given)
    torch.testing.assert_close(face.float(), full, rtol=0.05, atol=0.05)
    torch.testing.assert_close(weights.float(), full_weights, rtol=0.1, atol=0.02)


@each_kind
def test_no_glimpses_are_refused(kind):
    with pytest.raises(ValueError, match="glimpses must be at least 1, got 0"):
        kind(channels=4, audio_dim=5, glimpses=0)
