import numpy as np
import torch

from avfusion.fusion.gmu import GMUFusion


def vectors(*leading: int) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.randn(*leading, 6, dtype=torch.double),
        torch.randn(*leading, 4, dtype=torch.double),
    )


def drawn(fuse: GMUFusion) -> dict[str, np.ndarray]:
    """Draw every parameter anew, biases too; return them by name."""
    for parameter in fuse.double().parameters():
        torch.nn.init.normal_(parameter)
    return {name: parameter.detach().numpy() for name, parameter in fuse.named_parameters()}


def assert_equal(ours: torch.Tensor, by_hand: np.ndarray):
    torch.testing.assert_close(ours, torch.from_numpy(by_hand), rtol=1e-10, atol=1e-12)


def count(fuse: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in fuse.parameters())


def test_equals_the_mixture_of_the_paper():
    fuse = GMUFusion(6, 4, 5)
    p, (face, audio) = drawn(fuse), vectors(2, 3)
    face, audio = face.numpy(), audio.numpy()
    both = np.concatenate([face, audio], axis=-1)
    gate = 1 / (1 + np.exp(-(both @ p["gate.weight"].T)))
    by_hand = gate * np.tanh(face @ p["face_hidden.weight"].T)
    by_hand += (1 - gate) * np.tanh(audio @ p["audio_hidden.weight"].T)
    assert_equal(fuse(torch.from_numpy(face), torch.from_numpy(audio)), by_hand)


def test_has_three_maps_without_biases():
    assert count(GMUFusion(6, 4, 5)) == 5 * (6 + 4 + 6 + 4)
