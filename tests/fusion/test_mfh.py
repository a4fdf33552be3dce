import numpy as np
import pytest
import torch

from avfusion.fusion.mfh import MFHFusion


def vectors(*leading: int) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.randn(*leading, 6, dtype=torch.double),
        torch.randn(*leading, 4, dtype=torch.double),
    )


def drawn(fuse: MFHFusion) -> dict[str, np.ndarray]:
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


@pytest.mark.parametrize("activation", ["none", "tanh"])
@pytest.mark.parametrize("normalize", [True, False])
def test_the_second_multiplies_the_unpooled_product_of_the_first(activation, normalize):
    fuse = MFHFusion(6, 4, 5, 7, 3, activation, normalize, eps=0)
    p, (face, audio) = drawn(fuse), vectors(2, 3)
    parts = [
        linear(p, f"{vector_of}_factors.{k}", vector.numpy())
        for k in (0, 1)
        for vector_of, vector in (("face", face), ("audio", audio))
    ]
    if activation == "tanh":
        parts = [np.tanh(part) for part in parts]
    first = parts[0] * parts[1]
    second = parts[2] * parts[3] * first
    pools = [product.reshape(2, 3, 7, 3).sum(axis=-1) for product in (first, second)]
    pools = [normal(pool) for pool in pools] if normalize else pools
    assert_equal(fuse(face, audio), linear(p, "output", np.concatenate(pools, axis=-1)))


def test_has_two_factor_maps_per_modality_and_one_output_map():
    assert count(MFHFusion(6, 4, 5, width=7, factor=3)) == 2 * 21 * (6 + 1 + 4 + 1) + 5 * (14 + 1)


def test_pools_without_factors_are_refused():
    with pytest.raises(ValueError, match="factor must be at least 1, got 0"):
        MFHFusion(6, 4, factor=0)
