"""Block-superdiagonal fusion."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import PositiveInt
from avfusion.models.initialization import init_lecun
from avfusion.models.layers.chunks import chunk_norms, chunk_sizes
from avfusion.models.layers.input_maps import input_maps


class BlockFusion(nn.Module):
    """Map both modalities to ``width`` numbers and fuse them chunk by chunk, as MUTAN does.

    A Tucker decomposition whose core has blocks on its diagonal, with slices of ``rank``.
    Ben-younes et al., 2019, https://arxiv.org/abs/1902.00038. As in the published code, signed
    roots (but for ``eps``) and the L2 norm over the last axis follow, of each chunk or, with
    ``normalize="whole"``, of all side by side; ``shared`` gives both modalities the same maps.
    Departures: no chunk is ever empty; no dropout; the biases of the products start at one, so
    that an all-zero modality does not silence the other.
    """

    def __init__(
        self,
        face_dim: int,
        audio_dim: int,
        dim: PositiveInt = 256,
        width: int = 160,
        chunks: int = 20,
        rank: int = 5,
        shared: bool = False,
        normalize: str = "chunks",
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        if rank < 1:
            raise ValueError(f"rank must be at least 1, got {rank}.")
        self.dim, self.rank = dim, rank
        self.sizes = chunk_sizes(width, chunks)
        self.chunk_norm, self.whole_norm = chunk_norms(normalize, eps)
        self.face_input, self.audio_input = input_maps(face_dim, audio_dim, width, shared)
        factors = [input_maps(size, size, rank * size, shared) for size in self.sizes]
        self.face_factors = nn.ModuleList(face for face, _ in factors)
        self.audio_factors = nn.ModuleList(audio for _, audio in factors)
        self.output = nn.Linear(width, dim)
        init_lecun(self)
        for part in [*self.face_factors, *self.audio_factors]:
            nn.init.ones_(part.bias)

    def forward(
        self,
        face: Float[Tensor, "*batch face_dim"],
        audio: Float[Tensor, "*batch audio_dim"],
    ) -> Float[Tensor, "*batch dim"]:
        """Return the fused vector."""
        chunks = zip(
            self.face_factors,
            self.face_input(face).split(self.sizes, dim=-1),
            self.audio_factors,
            self.audio_input(audio).split(self.sizes, dim=-1),
            strict=True,
        )
        products = [of_face(f) * of_audio(a) for of_face, f, of_audio, a in chunks]
        sums = [product.unflatten(-1, (self.rank, -1)).sum(dim=-2) for product in products]
        fused = torch.cat([self.chunk_norm(chunk) for chunk in sums], dim=-1)
        return self.output(self.whole_norm(fused))
