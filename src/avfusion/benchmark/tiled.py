"""Attention by concatenation in the form of the seed network."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from avfusion.models.attention import ConcatAttention


class TiledAttention(ConcatAttention):
    """A ``ConcatAttention`` with the same weights, computed as the seed network does.

    The audio vector is repeated beside every position of the map, then convolutions follow.
    """

    def forward(
        self,
        face_map: Float[Tensor, "batch channels pictures rows columns"],
        audio: Float[Tensor, "batch audio_dim"],
        mask: Bool[Tensor, "batch positions"] | None = None,
    ) -> tuple[Float[Tensor, "batch face_dim"], Float[Tensor, "batch glimpses positions"]]:
        """Collect a face vector with each glimpse, and the weights."""
        assert mask is None  # maps of pictures have no padding
        maps = face_map.flatten(2, 3)  # one picture below the other
        tiles = audio[:, :, None, None].expand(-1, -1, *maps.shape[2:])
        weight = torch.cat([self.face_hidden.weight, self.audio_hidden.weight], dim=1)
        both = torch.cat([maps, tiles], dim=1)
        hidden = F.conv2d(both, weight[..., None, None], self.face_hidden.bias).relu()
        logits = F.conv2d(hidden, self.glimpse_logits.weight[..., None, None])
        weights = logits.flatten(2).softmax(dim=-1)
        return torch.bmm(weights, maps.flatten(2).transpose(1, 2)).flatten(1), weights
