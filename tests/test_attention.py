import pytest
import torch
import torch.nn.functional as F

from avfusion.attention import ConcatAttention, UniformAttention


def tiled(attention, face_map, audio):
    """As the seed network computes it: the voice beside every position, then convolutions."""
    tiles = audio[:, :, None, None, None].expand(-1, -1, *face_map.shape[2:])
    both = torch.cat([face_map, tiles], dim=1)
    hidden = torch.cat([attention.face_hidden.weight, attention.audio_hidden.weight], dim=1)
    hidden = F.conv3d(both, hidden[..., None, None, None], attention.face_hidden.bias).relu()
    logits = F.conv3d(hidden, attention.glimpse_logits.weight[..., None, None, None])
    weights = logits.flatten(2).softmax(dim=-1)
    return torch.einsum("bgp,bcp->bgc", weights, face_map.flatten(2)).flatten(1), weights


@pytest.mark.parametrize("size", [(1, 3, 5), (4, 2, 3)])
def test_equals_the_tiled_form_forward_and_backward(size):
    attention = ConcatAttention(channels=6, audio_dim=5, hidden=8, glimpses=3).double()
    torch.nn.init.normal_(attention.face_hidden.bias)
    face_map = torch.randn(2, 6, *size, dtype=torch.double, requires_grad=True)
    audio = torch.randn(2, 5, dtype=torch.double, requires_grad=True)
    inputs = [face_map, audio, *attention.parameters()]
    split, whole = attention(face_map, audio), tiled(attention, face_map, audio)
    likings = [torch.randn_like(output) for output in whole]
    for ours, theirs in zip(split, whole, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    for ours, theirs in zip(
        torch.autograd.grad(split, inputs, likings),
        torch.autograd.grad(whole, inputs, likings),
        strict=True,
    ):
        assert ours.abs().max() > 1e-3
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [ConcatAttention, UniformAttention])
@pytest.mark.parametrize("size", [(1, 1, 1), (1, 14, 14), (3, 2, 7)])
def test_each_glimpse_sums_to_one_on_maps_of_any_size(kind, size):
    attention = kind(channels=4, audio_dim=5, glimpses=3)
    face, weights = attention(torch.randn(2, 4, *size), torch.randn(2, 5))
    assert face.shape == (2, attention.face_dim) == (2, 12)
    assert weights.shape == (2, 3, size[0] * size[1] * size[2])
    assert (weights >= 0).all()
    torch.testing.assert_close(weights.sum(dim=-1), torch.ones(2, 3))


def test_the_voice_moves_the_glimpses():
    attention = ConcatAttention(channels=4, audio_dim=5, glimpses=1)
    face_map = torch.randn(1, 4, 1, 5, 5).expand(2, -1, -1, -1, -1)
    _, weights = attention(face_map, torch.randn(2, 5))
    assert (weights[0] - weights[1]).abs().max() > 1e-3


def test_a_glimpse_can_look_at_any_of_several_pictures():
    attention = ConcatAttention(channels=1, audio_dim=1, hidden=1, glimpses=1)
    for parameter in attention.parameters():
        torch.nn.init.constant_(parameter, 20.0)
    face_map = torch.zeros(1, 1, 3, 2, 2)
    face_map[0, 0, 2, 1, 0] = 1
    _, weights = attention(face_map, torch.zeros(1, 1))
    assert weights.unflatten(-1, (3, 2, 2))[0, 0, 2, 1, 0] > 0.99


def test_uniform_attention_is_the_mean_of_the_map():
    face_map = torch.randn(2, 4, 2, 3, 5)
    face, weights = UniformAttention(channels=4, audio_dim=1, glimpses=2)(
        face_map, torch.randn(2, 1)
    )
    mean = face_map.numpy().mean(axis=(2, 3, 4))
    torch.testing.assert_close(face, torch.from_numpy(mean).repeat(1, 2))
    torch.testing.assert_close(weights, torch.full((2, 2, 30), 1 / 30))


@pytest.mark.parametrize("kind", [ConcatAttention, UniformAttention])
def test_no_glimpses_are_refused(kind):
    with pytest.raises(ValueError, match="glimpses must be at least 1, got 0"):
        kind(channels=4, audio_dim=5, glimpses=0)
