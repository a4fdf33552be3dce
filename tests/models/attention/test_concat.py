import numpy as np
import pytest
import torch

from avfusion.benchmark.tiled import TiledAttention
from avfusion.models.attention import ConcatAttention


@pytest.mark.parametrize("size", [(1, 3, 5), (4, 2, 3)])
def test_equals_the_tiled_form_forward_and_backward(size):
    attention = ConcatAttention(channels=6, audio_dim=5, hidden_dim=8, glimpses=3).double()
    torch.nn.init.normal_(attention.face_hidden.bias)
    face_map = torch.randn(2, 6, *size, dtype=torch.double, requires_grad=True)
    audio = torch.randn(2, 5, dtype=torch.double, requires_grad=True)
    inputs = [face_map, audio, *attention.parameters()]
    tiled = TiledAttention(channels=6, audio_dim=5, hidden_dim=8, glimpses=3).double()
    tiled.load_state_dict(attention.state_dict())
    split, whole = attention(face_map, audio), tiled(face_map, audio)
    cotangents = [torch.randn_like(output) for output in whole]
    for ours, theirs in zip(split, whole, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)
    for ours, theirs in zip(
        torch.autograd.grad(split, inputs, cotangents),
        torch.autograd.grad(whole, [face_map, audio, *tiled.parameters()], cotangents),
        strict=True,
    ):
        assert ours.abs().max() > 1e-3
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_a_glimpse_can_choose_one_of_several_pictures():
    attention = ConcatAttention(channels=1, audio_dim=1, hidden_dim=1, glimpses=1)
    for parameter in attention.parameters():
        torch.nn.init.constant_(parameter, 20.0)
    face_map = torch.zeros(1, 1, 3, 2, 2)
    face_map[0, 0, 2, 1, 0] = 1
    _, weights = attention(face_map, torch.zeros(1, 1))
    assert weights.unflatten(-1, (3, 2, 2))[0, 0, 2, 1, 0] > 0.99


def test_logit_relu_equals_a_softmax_of_logits_clipped_at_zero():
    plain = ConcatAttention(channels=4, audio_dim=5, hidden_dim=8, glimpses=3)
    cut = ConcatAttention(channels=4, audio_dim=5, hidden_dim=8, glimpses=3, logit_relu=True)
    cut.load_state_dict(plain.state_dict())
    face_map, audio = torch.randn(2, 4, 1, 3, 5), torch.randn(2, 5)
    weights = plain(face_map, audio)[1]
    positions = face_map.flatten(2).transpose(1, 2)
    hidden = plain.face_hidden(positions) + plain.audio_hidden(audio)[:, None]
    logits = plain.glimpse_logits(hidden.relu()).transpose(1, 2).detach().numpy()
    powers = np.exp(logits.clip(min=0))
    expected = torch.from_numpy(powers / powers.sum(axis=-1, keepdims=True))
    torch.testing.assert_close(cut(face_map, audio)[1], expected)
    assert (weights - expected).abs().max() > 1e-3


def test_logit_dropout_makes_a_fraction_of_glimpses_uniform_in_training_only():
    attention = ConcatAttention(4, 5, hidden_dim=8, glimpses=4, logit_dropout=0.25)
    face_map, audio = torch.randn(500, 4, 1, 3, 5), torch.randn(500, 5)
    weights = attention.eval()(face_map, audio)[1]
    uniform = (weights - 1 / 15).abs().amax(dim=-1) < 1e-6
    assert not uniform.any()
    dropped = attention.train()(face_map, audio)[1]
    uniform = (dropped - 1 / 15).abs().amax(dim=-1) < 1e-6
    assert uniform.float().mean().item() == pytest.approx(0.25, abs=0.04)
    louder = (weights ** (4 / 3) / (weights ** (4 / 3)).sum(-1, keepdim=True))[~uniform]
    torch.testing.assert_close(dropped[~uniform], louder)
