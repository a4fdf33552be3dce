import numpy as np
import pytest
import torch

from avfusion.fusion.film import FiLMFusion


def vectors(*leading: int) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.randn(*leading, 6, dtype=torch.double),
        torch.randn(*leading, 4, dtype=torch.double),
    )


def drawn(fuse: FiLMFusion) -> dict[str, np.ndarray]:
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


@pytest.mark.parametrize("condition", ["audio", "face"])
def test_equals_each_number_scaled_and_shifted(condition):
    fuse = FiLMFusion(6, 4, 5, condition)
    p, (face, audio) = drawn(fuse), vectors(2, 3)
    said, heard = (audio, face) if condition == "audio" else (face, audio)
    width = heard.shape[-1]
    both = linear(p, "scale_and_shift", said.numpy())
    modulated = np.empty((2, 3, width))
    for number in range(width):
        scale, shift = both[..., number], both[..., width + number]
        modulated[..., number] = scale * heard.numpy()[..., number] + shift
    assert_equal(fuse(face, audio), linear(p, "output", modulated))


def test_a_condition_of_zeros_changes_nothing_at_first():
    fuse, (face, audio) = FiLMFusion(6, 4, 5).double(), vectors(3)
    torch.testing.assert_close(fuse(face, torch.zeros_like(audio)), fuse.output(face))


def test_has_a_scale_and_a_shift_per_number_and_an_output_map():
    assert count(FiLMFusion(6, 4, 5)) == 2 * 6 * (4 + 1) + 5 * (6 + 1)
    assert count(FiLMFusion(6, 4, 5, condition="face")) == 2 * 4 * (6 + 1) + 5 * (4 + 1)


def test_a_condition_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="must be audio or face, got 'text'"):
        FiLMFusion(6, 4, condition="text")
