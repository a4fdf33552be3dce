"""Sizes and normalization of chunks, for fusions that treat a vector chunk by chunk."""

from torch import nn

from avfusion.models.layers.power_norm import PowerNorm


def chunk_sizes(width: int, chunks: int) -> list[int]:
    """Divide ``width`` into sizes of chunks, none of them zero.

    As in the published code: equal sizes, and what is left for the last. Where that would be
    nothing (there: a chunk of size 0, or a shift), sizes differ by one, larger ones first.
    """
    if not 1 <= chunks <= width:
        raise ValueError(
            f"chunks must lie in 1 to {width}, the width that they share, got {chunks}."
        )

    size = -(-width // chunks)
    last = width - size * (chunks - 1)
    if last > 0:
        return [size] * (chunks - 1) + [last]

    larger = width - (size - 1) * chunks
    return [size] * larger + [size - 1] * (chunks - larger)


def chunk_norms(normalize: str, eps: float) -> tuple[nn.Module, nn.Module]:
    """Build the normalization of each chunk, and that of all chunks side by side.

    ``normalize`` is chunks, whole or none; the other one is the identity.
    """
    norms: dict[str, tuple[nn.Module, nn.Module]] = {
        "chunks": (PowerNorm(eps), nn.Identity()),
        "whole": (nn.Identity(), PowerNorm(eps)),
        "none": (nn.Identity(), nn.Identity()),
    }
    if normalize not in norms:
        raise ValueError(f"normalize must be one of {sorted(norms)}, got {normalize!r}.")
    return norms[normalize]
