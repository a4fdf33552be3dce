import numpy as np
import pytest
import torch

from avfusion.fusion.concat_mlp import ConcatMLPFusion


def vectors(*leading: int) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.randn(*leading, 6, dtype=torch.double),
        torch.randn(*leading, 4, dtype=torch.double),
    )


def drawn(fuse: ConcatMLPFusion) -> dict[str, np.ndarray]:
    """Draw every parameter anew, biases too; return them by name."""
    for parameter in fuse.double().parameters():
        torch.nn.init.normal_(parameter)
    return {name: parameter.detach().numpy() for name, parameter in fuse.named_parameters()}


def linear(p: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    return np.einsum("oi,...i->...o", p[f"{name}.weight"], x) + p[f"{name}.bias"]


def assert_equal(ours: torch.Tensor, by_hand: np.ndarray):
    torch.testing.assert_close(ours, torch.from_numpy(by_hand), rtol=1e-10, atol=1e-12)


def count(fuse: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in fuse.parameters())


@pytest.mark.parametrize("hidden", [[], [7], [7, 3]])
def test_equals_rectified_layers_in_turn_and_a_linear_one(hidden):
    fuse = ConcatMLPFusion(6, 4, 5, hidden)
    p, (face, audio) = drawn(fuse), vectors(2, 3)
    numbers = np.concatenate([face.numpy(), audio.numpy()], axis=-1)
    for k in range(len(hidden)):
        numbers = linear(p, f"layers.{k}", numbers).clip(min=0)
    assert_equal(fuse(face, audio), linear(p, f"layers.{len(hidden)}", numbers))


def test_has_a_layer_between_each_two_widths():
    assert count(ConcatMLPFusion(6, 4, 5, hidden=[7, 3])) == 11 * 7 + 8 * 3 + 4 * 5
