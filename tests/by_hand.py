"""What fusions are held to, in numpy."""

import numpy as np
import torch


def vectors(*leading: int) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.randn(*leading, 6, dtype=torch.double),
        torch.randn(*leading, 4, dtype=torch.double),
    )


def drawn(fuse: torch.nn.Module) -> dict[str, np.ndarray]:
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


def pieces(sizes: list[int], vector: np.ndarray) -> list[np.ndarray]:
    return np.split(vector, np.cumsum(sizes)[:-1], axis=-1)


def joined(chunks: list[np.ndarray], normalize: str) -> np.ndarray:
    chunks = [normal(chunk) for chunk in chunks] if normalize == "chunks" else chunks
    whole = np.concatenate(chunks, axis=-1)
    return normal(whole) if normalize == "whole" else whole


ACTIVATIONS = {"none": lambda z: z, "relu": lambda z: z.clip(min=0), "tanh": np.tanh}
