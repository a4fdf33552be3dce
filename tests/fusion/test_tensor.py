import numpy as np
import pytest
import torch

from avfusion.fusion.tensor import TensorFusion


def vectors(*leading: int) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.randn(*leading, 6, dtype=torch.double),
        torch.randn(*leading, 4, dtype=torch.double),
    )


def drawn(fuse: TensorFusion) -> dict[str, np.ndarray]:
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


def outer(face: np.ndarray, audio: np.ndarray) -> np.ndarray:
    rows = [np.outer([1, *f], [1, *a]).ravel() for f, a in zip(face, audio, strict=True)]
    return np.stack(rows)


def test_by_itself_equals_the_outer_product_row_by_row():
    fuse, (face, audio) = TensorFusion(6, 4).double(), vectors(3)
    assert fuse.dim == 7 * 5
    assert not list(fuse.parameters())
    assert_equal(fuse(face, audio), outer(face.numpy(), audio.numpy()))


def test_with_widths_equals_the_map_of_the_product_of_rectified_layers():
    fuse = TensorFusion(6, 4, dim=5, width=3)
    p, (face, audio) = drawn(fuse), vectors(3)
    face_input = linear(p, "face_input.0", face.numpy()).clip(min=0)
    audio_input = linear(p, "audio_input.0", audio.numpy()).clip(min=0)
    assert_equal(fuse(face, audio), linear(p, "output", outer(face_input, audio_input)))


@pytest.mark.parametrize(
    ("width", "dim", "parameters"),
    [(None, 5, 5 * (7 * 5 + 1)), (3, None, 3 * (7 + 5)), (3, 5, 3 * (7 + 5) + 5 * (4 * 4 + 1))],
)
def test_has_the_maps_whose_widths_are_given(width, dim, parameters):
    assert count(TensorFusion(6, 4, dim, width)) == parameters
