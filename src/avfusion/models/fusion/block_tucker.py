"""Block-superdiagonal fusion with full blocks."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import PositiveInt
from avfusion.models.initialization import init_lecun
from avfusion.models.layers.bilinear_map import BilinearMap
from avfusion.models.layers.chunks import chunk_norms, chunk_sizes
from avfusion.models.layers.input_maps import input_maps


class BlockTuckerFusion(nn.Module):
    """Map both modalities to ``width`` numbers and fuse them chunk by chunk, by a full tensor each.

    This is ``BlockFusion`` without the bound on the rank of the slices. Ben-younes et al., 2019,
    https://arxiv.org/abs/1902.00038; normalization and sharing as there. Departures: no chunk is
    ever empty; no dropout; the biases of the input maps start at one, so that an all-zero modality
    does not silence the other.
    """

    def __init__(
        self,
        face_dim: int,
        audio_dim: int,
        dim: PositiveInt = 256,
        width: int = 160,
        chunks: int = 16,
        shared: bool = False,
        normalize: str = "chunks",
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.sizes = chunk_sizes(width, chunks)
        self.chunk_norm, self.whole_norm = chunk_norms(normalize, eps)
        self.face_input, self.audio_input = input_maps(face_dim, audio_dim, width, shared)
        self.cores = nn.ModuleList(BilinearMap(size, size, size) for size in self.sizes)
        self.output = nn.Linear(width, dim)
        init_lecun(self)
        nn.init.ones_(self.face_input.bias)
        nn.init.ones_(self.audio_input.bias)

    def forward(
        self,
        face: Float[Tensor, "*batch face_dim"],
        audio: Float[Tensor, "*batch audio_dim"],
    ) -> Float[Tensor, "*batch dim"]:
        """Return the fused vector."""
        chunks = zip(
            self.cores,
            self.face_input(face).split(self.sizes, dim=-1),
            self.audio_input(audio).split(self.sizes, dim=-1),
            strict=True,
        )
        fused = [self.chunk_norm(core(f, a)) for core, f, a in chunks]
        return self.output(self.whole_norm(torch.cat(fused, dim=-1)))
