"""Reference implementations in numpy: the pieces of which fusions are made."""

import numpy as np
import torch


def random_vectors(*leading: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A face vector of 6 and an audio vector of 4 numbers, with leading axes."""
    return (
        torch.randn(*leading, 6, dtype=torch.double),
        torch.randn(*leading, 4, dtype=torch.double),
    )


def randomize_parameters(fuse: torch.nn.Module) -> dict[str, np.ndarray]:
    """Draw every parameter, biases too, from a normal distribution; they are given by name."""
    for parameter in fuse.double().parameters():
        torch.nn.init.normal_(parameter)
    return {name: parameter.detach().numpy() for name, parameter in fuse.named_parameters()}


def linear(p: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    return np.einsum("oi,...i->...o", p[f"{name}.weight"], x) + p[f"{name}.bias"]


def assert_equal(ours: torch.Tensor, reference: np.ndarray):
    torch.testing.assert_close(ours, torch.from_numpy(reference), rtol=1e-10, atol=1e-12)


def count_parameters(fuse: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in fuse.parameters())


def power_normalize(z: np.ndarray) -> np.ndarray:
    """Take signed square roots, then divide by their length."""
    roots = np.sign(z) * np.sqrt(np.abs(z))
    return roots / np.linalg.norm(roots, axis=-1, keepdims=True)


def split_chunks(sizes: list[int], vector: np.ndarray) -> list[np.ndarray]:
    return np.split(vector, np.cumsum(sizes)[:-1], axis=-1)


def join_chunks(chunks: list[np.ndarray], normalize: str) -> np.ndarray:
    chunks = [power_normalize(chunk) for chunk in chunks] if normalize == "chunks" else chunks
    whole = np.concatenate(chunks, axis=-1)
    return power_normalize(whole) if normalize == "whole" else whole


ACTIVATIONS = {"none": lambda z: z, "relu": lambda z: z.clip(min=0), "tanh": np.tanh}
