import numpy as np
import pytest
import torch

from avfusion.fusion.mfb import MFBFusion


def vectors(*leading: int) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.randn(*leading, 6, dtype=torch.double),
        torch.randn(*leading, 4, dtype=torch.double),
    )


def drawn(fuse: MFBFusion) -> dict[str, np.ndarray]:
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
def test_equals_an_explicit_sum_over_factors(activation, normalize):
    fuse = MFBFusion(6, 4, 5, 7, 3, activation, normalize, eps=0)
    p, (face, audio) = drawn(fuse), vectors(2, 3)
    act = ACTIVATIONS[activation]
    pools = np.zeros((2, 3, 7))
    for number in range(7):
        for k in range(3 * number, 3 * number + 3):
            of_face = p["face_factors.weight"][k] @ face.numpy()[..., None]
            of_audio = p["audio_factors.weight"][k] @ audio.numpy()[..., None]
            pools[..., number] += act(of_face[..., 0] + p["face_factors.bias"][k]) * act(
                of_audio[..., 0] + p["audio_factors.bias"][k]
            )
    by_hand = linear(p, "output", normal(pools) if normalize else pools)
    assert_equal(fuse(face, audio), by_hand)


def test_has_a_factor_map_per_modality_and_an_output_map():
    assert count(MFBFusion(6, 4, 5, width=7, factor=3)) == 21 * (6 + 1 + 4 + 1) + 5 * (7 + 1)


def test_pools_without_factors_are_refused():
    with pytest.raises(ValueError, match="factor must be at least 1, got 0"):
        MFBFusion(6, 4, factor=0)
