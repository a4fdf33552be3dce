"""Feature-wise linear modulation."""

from jaxtyping import Float
from torch import Tensor, nn

from avfusion.bounds import PositiveInt
from avfusion.models.initialization import init_lecun


class FiLMFusion(nn.Module):
    """Let one modality scale and shift each number of the other, and map the result.

    Perez et al., 2018, https://arxiv.org/abs/1709.07871, there within convolutions; on vectors as
    in Peng et al., 2022, https://arxiv.org/abs/2203.15332. ``condition`` names the modality that
    scales and shifts. Scales start around one: a vector of zeros then changes nothing.
    """

    def __init__(
        self, face_dim: int, audio_dim: int, dim: PositiveInt = 256, condition: str = "audio"
    ) -> None:
        super().__init__()
        if condition not in ("audio", "face"):
            raise ValueError(f"condition must be audio or face, got {condition!r}.")
        self.dim = dim
        self.condition = condition
        widths = (audio_dim, face_dim) if condition == "audio" else (face_dim, audio_dim)
        self.scale_and_shift = nn.Linear(widths[0], 2 * widths[1])
        self.output = nn.Linear(widths[1], dim)
        init_lecun(self)
        nn.init.ones_(self.scale_and_shift.bias[: widths[1]])

    def forward(
        self,
        face: Float[Tensor, "*batch face_dim"],
        audio: Float[Tensor, "*batch audio_dim"],
    ) -> Float[Tensor, "*batch dim"]:
        """Return the fused vector."""
        by_audio = self.condition == "audio"
        condition, features = (audio, face) if by_audio else (face, audio)
        scale, shift = self.scale_and_shift(condition).chunk(2, dim=-1)
        return self.output(scale * features + shift)
