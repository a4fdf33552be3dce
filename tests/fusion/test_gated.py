import numpy as np
import pytest
import torch

from avfusion.fusion.gated import GatedFusion


def vectors(*leading: int) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.randn(*leading, 6, dtype=torch.double),
        torch.randn(*leading, 4, dtype=torch.double),
    )


def drawn(fuse: GatedFusion) -> dict[str, np.ndarray]:
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


@pytest.mark.parametrize("gate", ["audio", "face"])
def test_equals_one_modality_times_the_sigmoid_of_the_other(gate):
    fuse = GatedFusion(6, 4, 5, 7, gate)
    p, (face, audio) = drawn(fuse), vectors(2, 3)
    inputs = {
        "face": linear(p, "face_input", face.numpy()),
        "audio": linear(p, "audio_input", audio.numpy()),
    }
    opening = 1 / (1 + np.exp(-inputs.pop(gate)))
    (passing,) = inputs.values()
    assert_equal(fuse(face, audio), linear(p, "output", opening * passing))


def test_has_a_map_per_modality_and_an_output_map():
    assert count(GatedFusion(6, 4, 5, width=7)) == 7 * (7 + 5) + 5 * (7 + 1)


def test_a_gate_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="must be audio or face, got 'text'"):
        GatedFusion(6, 4, gate="text")
