"""Pointing game: attention measured against the box of the speaker."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import Metric

from avfusion.training.metrics.catalog import FACE_SIZES

SIZES = FACE_SIZES
SIZE_EDGES = (0.29, 0.385)  # widths of a face over that of the picture


class PointingGame(Metric):
    """Whether attention points at the speaker's face, wherever boxes are known.

    ``attention_hit``: the part of the clips where the mean of the glimpses is largest in a cell
    whose center lies in the box widened by half a cell (equal cells share the vote).
    ``attention_mass``: the attention inside that box. Both also for each size of face. A network
    that finds faces but does not listen hits half of the time where there are two.
    Zhang et al., 2018, https://arxiv.org/abs/1608.00507.
    """

    full_state_update = False
    higher_is_better = True
    hits: Tensor
    mass: Tensor
    clips: Tensor

    def __init__(self) -> None:
        super().__init__()
        for state in ("hits", "mass", "clips"):
            self.add_state(state, torch.zeros(len(SIZES)), dist_reduce_fx="sum")

    def update(
        self,
        glimpses: Float[Tensor, "batch glimpses pictures rows columns"] | None,
        box: Float[Tensor, "batch 4"],
    ) -> None:
        """Count the clips of a batch that have a box; maps of one cell point nowhere."""
        known = ~box.isnan().any(dim=1)
        if glimpses is None or glimpses.shape[-2:] == (1, 1) or not known.any():
            return
        box = box[known]
        hit, mass = pointing(glimpses[known], box)
        width = (box[:, 2] - box[:, 0]).contiguous()
        size = torch.bucketize(width, torch.tensor(SIZE_EDGES, device=box.device))
        # In single precision, as bf16-true casts the states and could not count beyond 256.
        self.hits = self.hits.float().index_add(0, size, hit)
        self.mass = self.mass.float().index_add(0, size, mass)
        self.clips = self.clips.float().index_add(0, size, torch.ones_like(hit))

    def compute(self) -> dict[str, Any]:
        """Compute hit and mass of all clips and of each size that occurs; none without boxes."""
        if not self.clips.any():
            return {}
        scores = {}
        for name, total in (("attention_hit", self.hits), ("attention_mass", self.mass)):
            scores[name] = total.sum() / self.clips.sum()
            for size, value, clips in zip(SIZES, total, self.clips, strict=True):
                if clips:
                    scores[f"{name}_{size}"] = value / clips

        return scores


def pointing(
    glimpses: Float[Tensor, "batch glimpses pictures rows columns"], box: Float[Tensor, "batch 4"]
) -> tuple[Float[Tensor, "batch"], Float[Tensor, "batch"]]:
    """Compute whether the attention of each clip peaks in its box, and how much lies there."""
    mean = glimpses.float().mean(dim=1)
    inside = cells_in(box, *mean.shape[2:])[:, None]
    largest = mean == mean.amax(dim=(1, 2, 3), keepdim=True)
    hit = (largest & inside).sum(dim=(1, 2, 3)).float() / largest.sum(dim=(1, 2, 3))
    return hit, (mean * inside).sum(dim=(1, 2, 3))


def cells_in(box: Float[Tensor, "batch 4"], rows: int, columns: int) -> Tensor:
    """Mark the cells, ``[batch, rows, columns]``, whose centers lie in the widened boxes."""
    x = (torch.arange(columns, device=box.device) + 0.5) / columns
    y = (torch.arange(rows, device=box.device) + 0.5) / rows
    left, top, right, bottom = (side[:, None] for side in box.unbind(dim=1))
    across = (x >= left - 0.5 / columns) & (x <= right + 0.5 / columns)
    down = (y >= top - 0.5 / rows) & (y <= bottom + 0.5 / rows)
    return down[:, :, None] & across[:, None, :]
