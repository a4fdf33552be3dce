import numpy as np
import pytest
import torch

from avfusion.fusion.sum import SumFusion


def vectors(*leading: int) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.randn(*leading, 6, dtype=torch.double),
        torch.randn(*leading, 4, dtype=torch.double),
    )


def drawn(fuse: SumFusion) -> dict[str, np.ndarray]:
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


def normal(z: np.ndarray) -> np.ndarray:
    roots = np.sign(z) * np.sqrt(np.abs(z))
    return roots / np.linalg.norm(roots, axis=-1, keepdims=True)


ACTIVATIONS = {"none": lambda z: z, "relu": lambda z: z.clip(min=0), "tanh": np.tanh}


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("normalize", [True, False])
def test_equals_a_map_of_the_sum_of_two_activated_maps(activation, normalize):
    fuse = SumFusion(6, 4, 5, 7, activation, normalize, eps=0)
    p, (face, audio) = drawn(fuse), vectors(2, 3)
    z = ACTIVATIONS[activation](linear(p, "face_input", face.numpy()))
    z = z + ACTIVATIONS[activation](linear(p, "audio_input", audio.numpy()))
    assert_equal(fuse(face, audio), linear(p, "output", normal(z) if normalize else z))


def test_has_a_map_per_modality_and_an_output_map():
    assert count(SumFusion(6, 4, 5, width=7)) == 7 * (7 + 5) + 5 * (7 + 1)
