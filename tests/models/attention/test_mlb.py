import numpy as np
import pytest
import torch
from conftest import SHARED
from torch import Tensor

from avfusion.models.attention import MLBAttention

REFERENCE = SHARED / "reference" / "attention_mlb_2glimpse.npz"
NAMES = {  # ours to theirs
    "audio_factors": "fusion.linear0",
    "face_factors": "fusion.linear1",
    "layers.0": "fusion.linear_out",
    "layers.2": "linear0",
    "glimpse_logits": "linear1",
}


def test_equals_a_softmax_of_the_map_of_a_product_position_by_position():
    attention = MLBAttention(channels=4, audio_dim=5, hidden_dim=6, glimpses=3).double()
    face_map, audio = torch.randn(2, 4, 2, 3, 5).double(), torch.randn(2, 5).double()
    _, weights = attention(face_map, audio)
    face, face_bias, voice, voice_bias, rows = (part.detach() for part in attention.parameters())
    scores = torch.empty(2, 3, 2, 3, 5).double()
    for clip, *place in np.ndindex(2, 2, 3, 5):
        seen = torch.tanh(face @ face_map[clip, :, *place] + face_bias)
        heard = torch.tanh(voice @ audio[clip] + voice_bias)
        scores[clip, :, *place] = rows @ (seen * heard)
    powers = scores.flatten(2).exp()
    by_hand = powers / powers.sum(dim=-1, keepdim=True)
    torch.testing.assert_close(weights, by_hand, rtol=0, atol=1e-12)


def assert_equal(ours: Tensor, theirs: np.ndarray) -> None:
    expected = torch.from_numpy(theirs)
    assert (ours - expected).abs().max() <= 1e-10 * expected.abs().max()


@pytest.mark.skipif(not REFERENCE.exists(), reason=f"no {REFERENCE}")
def test_equals_published_code_of_cadenes_vqa_network():
    reference = np.load(REFERENCE)
    attention = MLBAttention(10, 12, hidden_dim=16, glimpses=2, activation="relu", layers=(9, 512))
    given = {
        name: torch.from_numpy(reference[f"param.{NAMES[part]}.{kind}"])
        for name, (part, _, kind) in ((n, n.rpartition(".")) for n in attention.state_dict())
    }
    attention.double().load_state_dict(given)
    audio = torch.from_numpy(reference["x"]).requires_grad_()
    regions = torch.from_numpy(reference["y"]).requires_grad_()
    face, _ = attention(regions.transpose(1, 2)[:, :, None, None], audio)
    assert_equal(face, reference["out"])
    inputs, parameters = [audio, regions], dict(attention.named_parameters())
    gradients = torch.autograd.grad(face.sum(), [*inputs, *parameters.values()], retain_graph=True)
    names = [f"grad_param.{NAMES[n.rpartition('.')[0]]}.{n.rpartition('.')[2]}" for n in parameters]
    for gradient, name in zip(gradients, ["grad_x", "grad_y", *names], strict=True):
        assert_equal(gradient, reference[name])
    products = torch.autograd.grad(face, inputs, torch.from_numpy(reference["cotangent"]))
    for product, name in zip(products, ["vjp_x", "vjp_y"], strict=True):
        assert_equal(product, reference[name])


def test_an_unknown_activation_is_refused():
    with pytest.raises(ValueError, match=r"activation must be one of \['none', 'relu', 'tanh'\]"):
        MLBAttention(4, 5, activation="gelu")
