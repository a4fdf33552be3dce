"""Compact bilinear fusion."""

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from avfusion.bounds import PositiveInt
from avfusion.models.layers.count_sketch import CountSketch
from avfusion.models.layers.power_norm import PowerNorm


class MCBFusion(nn.Module):
    """Sketch the outer product of the two modalities in ``dim`` bins, without computing it.

    The sketch of an outer product is the circular convolution of two count sketches, a product
    after a Fourier transform. Fukui et al., 2016, https://arxiv.org/abs/1606.01847, with 16,000
    bins. As there, signed roots and the L2 norm over the last axis follow (``normalize``), except
    for ``eps`` in the root. Nothing is learned; ``seed`` draws the sketches. One departure: an
    all-zero modality counts as absent, and the result is the sketch of the other; in the paper it
    would be zero.
    """

    def __init__(
        self,
        face_dim: int,
        audio_dim: int,
        dim: PositiveInt = 4000,
        normalize: bool = True,
        eps: float = 1e-6,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.dim = dim
        self.face_sketch = CountSketch(face_dim, dim, seed=2 * seed)
        self.audio_sketch = CountSketch(audio_dim, dim, seed=2 * seed + 1)
        self.normalize = PowerNorm(eps) if normalize else nn.Identity()

    def forward(
        self,
        face: Float[Tensor, "*batch face_dim"],
        audio: Float[Tensor, "*batch audio_dim"],
    ) -> Float[Tensor, "*batch dim"]:
        """Return the fused vector."""
        face_spectrum = self.spectrum(face, self.face_sketch)
        return self.convolved(face_spectrum * self.spectrum(audio, self.audio_sketch))

    def convolved(
        self, spectrum: Complex[Tensor, "*batch frequencies"]
    ) -> Float[Tensor, "*batch dim"]:
        """Return the normalized bins of a product of spectra."""
        return self.normalize(torch.fft.irfft(spectrum, n=self.dim))

    def spectrum(
        self, vector: Float[Tensor, "*batch width"], sketch: CountSketch
    ) -> Complex[Tensor, "*batch frequencies"]:
        """Return the transform of a sketch, and ones for a vector of zeros: a factor of one.

        One transform per modality: to stack both for a single one copies them, and measured slower.
        """
        absent = ~vector.any(dim=-1, keepdim=True)
        # From a sketch on, which is in float32 or better, autocast lowers nothing here.
        return torch.fft.rfft(sketch(vector)) + absent
