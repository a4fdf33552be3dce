"""Metrics of a stage, and those that can be monitored."""

from itertools import chain

from torchmetrics import MeanMetric, MetricCollection

from avfusion.targets import TARGETS, Target
from avfusion.training.metrics.catalog import check_mode
from avfusion.training.metrics.pointing import SIZES, PointingGame

ATTENTION = ("attention_hit", "attention_mass")


def check_monitor(
    monitor: str,
    mode: str,
    target: Target | None = None,
    looks: bool = True,
    key: str = "monitor",
) -> None:
    """Refuse a monitor that no metric has; what the data decides is checked once it is known.

    ``looks`` says whether the network has glimpses and the data boxes, ``key`` where the monitor
    was chosen.
    """
    stage, _, name = monitor.partition("/")
    attention = [*ATTENTION, *(f"{score}_{size}" for score in ATTENTION for size in SIZES)]
    kinds = TARGETS.values() if target is None else [target]
    per_class = dict.fromkeys(chain(*(kind.class_scores for kind in kinds)))
    known = ["loss", *dict.fromkeys(chain(*(kind.scores for kind in kinds)))]
    known += attention if looks else []
    classes = [] if target is None else target.output_names
    known += [f"{score}_{label}" for score in per_class for label in classes]
    guess = target is None and name.startswith(tuple(f"{score}_" for score in per_class))

    if stage not in ("train", "val") or not (name in known or guess):
        raise ValueError(
            f"{key}={monitor} is no metric of this run: choose val/ or train/ and one of "
            f"{', '.join(known)}."
        )

    check_mode(monitor, mode, key)


def stage_metrics(target: Target) -> MetricCollection:
    """Collect every metric of a stage; the log puts the stage in front of their names."""
    return MetricCollection(
        {
            "loss": MeanMetric(nan_strategy="disable"),
            **target.metrics(),
            "pointing": PointingGame(),
        }
    )
