"""What is reported of a stage beside torchmetrics' own."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torchmetrics import MeanMetric, Metric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
)

from avfusion.multilabel import AveragePrecisions, Decisions

SIZES = ("small", "medium", "large")
SIZE_EDGES = (0.29, 0.385)  # widths of a face over that of the picture
ATTENTION = ("attention_hit", "attention_mass")
OVERALL = ("loss", "accuracy", "balanced_accuracy", "macro_f1")
MULTILABEL = ("subset_accuracy", "mean_average_precision")
PER_CLASS = ("accuracy", "average_precision")  # the second one of multi-label data


def check_monitor(
    monitor: str,
    mode: str,
    description: dict[str, Any] | None = None,
    looks: bool = True,
    key: str = "monitor",
) -> None:
    """Refuse a monitor that no metric has; what the data decides is checked once it is known.

    ``looks`` says whether the network has glimpses, ``key`` where the monitor was chosen.
    """
    stage, _, name = monitor.partition("/")
    attention = [*ATTENTION, *(f"{score}_{size}" for score in ATTENTION for size in SIZES)]
    classes = [] if description is None else description["class_names"]
    multilabel = description is None or description.get("multilabel", False)
    scores = PER_CLASS if multilabel else PER_CLASS[:1]
    boxes = looks and (description is None or description["boxes"])
    known = [*OVERALL, *(MULTILABEL if multilabel else ()), *(attention if boxes else [])]
    known += [f"{score}_{label}" for score in scores for label in classes]
    guess = description is None and name.startswith(tuple(f"{score}_" for score in scores))
    if stage not in ("train", "val") or not (name in known or guess):
        raise ValueError(
            f"{key}={monitor} is no metric of this run: choose val/ or train/ and one of "
            f"{', '.join(known)}."
        )
    if mode not in ("min", "max"):
        raise ValueError(f"mode must be min or max, got {mode}, for {key}={monitor}.")
    if mode != ("min" if name == "loss" else "max"):
        raise ValueError(f"mode={mode} would keep the worst {monitor}: set mode to the other one.")


def stage_metrics(class_names: Sequence[str], multilabel: bool = False) -> MetricCollection:
    """Return every metric of a stage; names with the stage in front are those of the log."""
    if multilabel:
        return MetricCollection(
            {
                "loss": MeanMetric(nan_strategy="disable"),
                "decisions": Decisions(class_names),
                "average_precisions": AveragePrecisions(class_names),
                "pointing": PointingGame(),
            }
        )
    classes = len(class_names)
    return MetricCollection(
        {
            "loss": MeanMetric(nan_strategy="disable"),
            "accuracy": MulticlassAccuracy(classes, average="micro"),
            "recalls": Recalls(class_names),
            "macro_f1": MulticlassF1Score(classes, average="macro"),
            "pointing": PointingGame(),
        }
    )


class Recalls(MulticlassConfusionMatrix):
    """The accuracy within each class that occurs, and their mean: balanced accuracy, or UAR."""

    def __init__(self, class_names: Sequence[str]) -> None:
        super().__init__(len(class_names))
        self.class_names = list(class_names)

    def compute(self) -> dict[str, Tensor]:  # type: ignore[override]
        """Return ``balanced_accuracy`` and ``accuracy_<class>``."""
        confusion = super().compute()
        count = confusion.sum(dim=1)
        recall = confusion.diagonal() / count.clamp(min=1)
        each = zip(self.class_names, recall, count, strict=True)
        named = {f"accuracy_{name}": value for name, value, clips in each if clips}
        return {"balanced_accuracy": recall[count > 0].mean(), **named}


class PointingGame(Metric):
    """Whether attention points at the speaker's face, wherever boxes are known.

    ``attention_hit``: the part of the clips where the mean of the glimpses is largest in a cell
    whose centre lies in the box widened by half a cell (equal cells share the vote).
    ``attention_mass``: the attention inside that box. Both also for each size of face. A network
    that finds faces but does not listen hits half of the time where there are two.
    Zhang et al., 2018, https://arxiv.org/abs/1608.00507.
    """

    full_state_update = False
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
        """Count the clips of a batch that have a box."""
        known = ~box.isnan().any(dim=1)
        if glimpses is None or not known.any():
            return
        box = box[known]
        hit, mass = pointing(glimpses[known], box)
        width = (box[:, 2] - box[:, 0]).contiguous()
        size = torch.bucketize(width, torch.tensor(SIZE_EDGES, device=box.device))
        self.hits.index_add_(0, size, hit)
        self.mass.index_add_(0, size, mass)
        self.clips.index_add_(0, size, torch.ones_like(hit))

    def compute(self) -> dict[str, Any]:
        """Return hit and mass, over all clips and for each size that occurs; or nothing."""
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
    """Return for each clip whether attention points into its box, and how much of it lies there."""
    mean = glimpses.float().mean(dim=1)
    inside = cells_in(box, *mean.shape[2:])[:, None]
    largest = mean == mean.amax(dim=(1, 2, 3), keepdim=True)
    hit = (largest & inside).sum(dim=(1, 2, 3)).float() / largest.sum(dim=(1, 2, 3))
    return hit, (mean * inside).sum(dim=(1, 2, 3))


def cells_in(box: Float[Tensor, "batch 4"], rows: int, columns: int) -> Tensor:
    """Mark the cells, ``[batch, rows, columns]``, whose centres lie in the widened boxes."""
    x = (torch.arange(columns, device=box.device) + 0.5) / columns
    y = (torch.arange(rows, device=box.device) + 0.5) / rows
    left, top, right, bottom = (side[:, None] for side in box.unbind(dim=1))
    across = (x >= left - 0.5 / columns) & (x <= right + 0.5 / columns)
    down = (y >= top - 0.5 / rows) & (y <= bottom + 0.5 / rows)
    return down[:, :, None] & across[:, None, :]
