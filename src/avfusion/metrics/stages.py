"""What is reported of a stage beside torchmetrics' own."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import (
    MulticlassAccuracy,
    MulticlassConfusionMatrix,
    MulticlassF1Score,
)

from avfusion.metrics.multilabel import AveragePrecisions, Decisions
from avfusion.metrics.pointing import SIZES, PointingGame

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
