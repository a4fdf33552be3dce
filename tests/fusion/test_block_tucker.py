import numpy as np
import pytest
import torch

from avfusion.fusion.block_tucker import BlockTuckerFusion


def vectors(*leading: int) -> tuple[torch.Tensor, torch.Tensor]:
    return (
        torch.randn(*leading, 6, dtype=torch.double),
        torch.randn(*leading, 4, dtype=torch.double),
    )


def drawn(fuse: BlockTuckerFusion) -> dict[str, np.ndarray]:
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


CASES = [(8, 2), (7, 3), (10, 6), (7, 7), (5, 1)]  # even, uneven, as even as can be, many, one


def pieces(sizes: list[int], vector: np.ndarray) -> list[np.ndarray]:
    return np.split(vector, np.cumsum(sizes)[:-1], axis=-1)


def joined(chunks: list[np.ndarray], normalize: str) -> np.ndarray:
    chunks = [normal(chunk) for chunk in chunks] if normalize == "chunks" else chunks
    whole = np.concatenate(chunks, axis=-1)
    return normal(whole) if normalize == "whole" else whole


@pytest.mark.parametrize("normalize", ["chunks", "whole", "none"])
@pytest.mark.parametrize(("width", "chunks"), CASES)
def test_equals_one_core_with_blocks_on_its_diagonal(width, chunks, normalize):
    fuse = BlockTuckerFusion(6, 4, 5, width, chunks, normalize=normalize, eps=0)
    p, (face, audio) = drawn(fuse), vectors(2, 3)
    core, bias, start = np.zeros((width, width, width)), [], 0
    for k, size in enumerate(fuse.sizes):
        block = slice(start, start + size)
        core[block, block, block] = p[f"cores.{k}.weight"]
        bias.append(p[f"cores.{k}.bias"])
        start += size
    face_input = linear(p, "face_input", face.numpy())
    audio_input = linear(p, "audio_input", audio.numpy())
    z = np.einsum("kij,...i,...j->...k", core, face_input, audio_input) + np.concatenate(bias)
    fused = joined(pieces(fuse.sizes, z), normalize)
    assert_equal(fuse(face, audio), linear(p, "output", fused))


def test_has_a_map_per_modality_a_core_per_chunk_and_an_output_map():
    cores = sum(size**3 + size for size in (3, 3, 1))
    fuse = BlockTuckerFusion(6, 4, 5, width=7, chunks=3)
    assert count(fuse) == 7 * (7 + 5) + cores + 5 * (7 + 1)


def test_shared_maps_treat_both_modalities_alike():
    fuse = BlockTuckerFusion(6, 6, 5, width=7, chunks=3, shared=True)
    drawn(fuse)
    face, audio = vectors(3)[0], vectors(3)[0]
    for core in fuse.cores:
        core.weight.data += core.weight.data.mT.clone()
    torch.testing.assert_close(fuse(face, audio), fuse(audio, face))
    assert count(fuse) == 7 * (6 + 1) + 2 * (27 + 3) + 2 + 5 * (7 + 1)
    with pytest.raises(ValueError, match="one width"):
        BlockTuckerFusion(6, 4, shared=True)
