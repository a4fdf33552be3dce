"""Catalog of metrics: how each is called, its unit, and which way is better.

Whatever has to know which way is better asks here: monitors and checkpoints,
tables and rankings of runs, curves. A metric that a user logs and the catalog does not hold has no
known direction (None): a monitor of it is refused, a table neither ranks by it nor marks a best.
"""

from dataclasses import dataclass

FACE_SIZES = ("small", "medium", "large")
COUNTS = "data/"  # what results record of their data, such as leaks: no metrics


@dataclass(frozen=True)
class MetricEntry:
    """One family of metrics.

    Attributes:
        name: what it is logged as, behind its stage; the key of ``results.json``.
        title: what people call it.
        higher_is_better: as in torchmetrics; None where neither is.
        unit: empty where the name says it.
        headline: whether it is among what people look at first.
        variants: what may follow the name and an underscore (or a slash); None where that may be
            any text, such as the name of a class.
        staged: whether it stands behind a stage (``val/accuracy``) or alone (``parameters``).
    """

    name: str
    title: str
    higher_is_better: bool | None
    unit: str = ""
    headline: bool = False
    variants: tuple[str, ...] | None = ()
    staged: bool = True

    def covers(self, metric: str) -> bool:
        """Whether a name, without its stage, is this family's or one of its variants."""
        if metric == self.name:
            return True
        if not metric.startswith((f"{self.name}_", f"{self.name}/")):
            return False
        return self.variants is None or metric[len(self.name) + 1 :] in self.variants


CLIPS, UNIT_INTERVAL, NATS = "part of the clips", "from 0 to 1", "nats"

_ENTRIES = (
    # Classes. UAR, unweighted average recall, is what emotion research calls balanced accuracy.
    MetricEntry("accuracy", "accuracy", True, CLIPS, headline=True, variants=None),
    MetricEntry("balanced_accuracy", "UAR", True, "mean part of a class", headline=True),
    MetricEntry("macro_f1", "macro F1", True, UNIT_INTERVAL, headline=True),
    MetricEntry("subset_accuracy", "subset accuracy", True, CLIPS, headline=True),
    MetricEntry("mean_average_precision", "mAP", True, UNIT_INTERVAL, headline=True),
    MetricEntry("average_precision", "average precision", True, UNIT_INTERVAL, variants=None),
    MetricEntry("calibration_error", "calibration error", False, UNIT_INTERVAL),
    # Numbers.
    MetricEntry("ccc", "CCC", True, "from -1 to 1", headline=True, variants=None),
    MetricEntry("pcc", "PCC", True, "from -1 to 1", variants=None),
    MetricEntry("rmse", "RMSE", False, "units of the target", variants=None),
    MetricEntry("mae", "MAE", False, "units of the target", variants=None),
    MetricEntry("loss", "loss", False, NATS, headline=True, variants=("step", "epoch")),
    # Attention.
    MetricEntry("attention_hit", "attention hit", True, CLIPS, headline=True, variants=FACE_SIZES),
    MetricEntry(
        "attention_mass", "attention mass", True, "part of the attention", variants=FACE_SIZES
    ),
    MetricEntry("attention_entropy", "entropy of a glimpse", None, NATS),
    MetricEntry("attention_largest_weight", "largest weight", None, UNIT_INTERVAL),
    MetricEntry("attention_similarity", "similarity of glimpses", None, "cosine"),
    # Training.
    MetricEntry("learning_rate", "learning rate", None, variants=None),
    MetricEntry("gradient_norm", "gradient norm", None, "Euclidean norm", variants=None),
    MetricEntry("samples_per_second", "samples per second", True),
    MetricEntry("loader_wait", "waiting for the loader", False, "part of the time"),
    MetricEntry("memory_gib", "memory", False, "GiB"),
    MetricEntry("gpu_memory_gib", "memory of the GPU", False, "GiB"),
    MetricEntry("d_loss_real", "loss of the discriminator, true vectors", None, NATS),
    MetricEntry("d_loss_fake", "loss of the discriminator, imagined vectors", None, NATS),
    MetricEntry("d_accuracy", "accuracy of the discriminator", None, "part of the vectors"),
    MetricEntry("g_loss", "loss of the generator", None, NATS),
    MetricEntry("imagination_l1", "distance of imagined vectors", False, "mean of a number"),
    MetricEntry("modality_loss", "loss of the discriminator of modalities", None, NATS),
    MetricEntry(
        "modality_accuracy", "accuracy of the discriminator of modalities", None, "part of vectors"
    ),
    MetricEntry("ogm", "factor of gradients", None, UNIT_INTERVAL, variants=("face", "audio")),
    MetricEntry(
        "blend", "weight of a loss", None, UNIT_INTERVAL, variants=("face", "audio", "both")
    ),
    # Costs.
    MetricEntry("parameters", "parameters", False, headline=True, staged=False),
    MetricEntry("parameters_of_fusion", "parameters of the fusion", False, staged=False),
    MetricEntry("parameters_of_generators", "parameters of the generators", False, staged=False),
    MetricEntry(
        "parameters_of_discriminators", "parameters of the discriminators", False, staged=False
    ),
    MetricEntry("parameters_of_remedies", "parameters of remedies", False, staged=False),
    MetricEntry("megaflops", "megaflops per clip", False, headline=True, staged=False),
    MetricEntry("epochs", "epochs", None, headline=True, staged=False),
    MetricEntry("step_milliseconds", "milliseconds per step", False, headline=True, staged=False),
    MetricEntry("seconds", "seconds of training", False, headline=True, staged=False),
)
# What tables of runs show where nobody asks for other metrics: those that the runs have.
COMPARED = ["test/accuracy", "test/ccc", "test/attention_hit"]
CATALOG = {entry.name: entry for entry in _ENTRIES}


def find_metric(name: str) -> MetricEntry | None:
    """Find the entry of a metric by what it is logged as, such as ``val/accuracy_sad``.

    The stage may be any but ``data``, whose numbers are no metrics. Of several families the one
    with the longest name is meant.
    """
    if name.startswith(COUNTS):
        return None
    stage, _, metric = name.partition("/")
    staged = bool(metric)
    metric = metric or stage
    found = [entry for entry in _ENTRIES if entry.staged == staged and entry.covers(metric)]

    return max(found, key=lambda entry: len(entry.name), default=None)


def is_higher_better(name: str) -> bool | None:
    """Whether a metric is best where it is highest; None where that is unknown or neither is."""
    entry = find_metric(name)
    return None if entry is None else entry.higher_is_better


def mode_of(name: str) -> str | None:
    """Which mode keeps the best of a metric: ``max``, ``min``, or None where none is known."""
    return {True: "max", False: "min", None: None}[is_higher_better(name)]


def check_mode(monitor: str, mode: str, key: str = "monitor") -> None:
    """Refuse a mode that would keep the worst value of a metric; ``key`` is where it was chosen.

    Raises:
        ValueError: the mode is neither ``min`` nor ``max``, contradicts the catalog, or the metric
            has no better and worse.
    """
    if mode not in ("min", "max"):
        raise ValueError(f"mode must be min or max, got {mode}, for {key}={monitor}.")
    right = mode_of(monitor)
    if right is None:
        raise ValueError(
            f"{key}={monitor} cannot choose a checkpoint: neither a higher nor a lower value of it "
            "is known to be better."
        )

    if mode != right:
        raise ValueError(f"mode={mode} would keep the worst {monitor}: use mode={right}.")


def unit_of(name: str) -> str:
    """The unit of a metric; empty where it has none, or its name says it."""
    entry = find_metric(name)
    return "" if entry is None else entry.unit


def headlines(stage: str | None) -> dict[str, str]:
    """What people look at first: name to title, of a stage, or the costs where it is None."""
    prefix = f"{stage}/" if stage else ""
    return {
        f"{prefix}{entry.name}": entry.title
        for entry in _ENTRIES
        if entry.headline and entry.staged == bool(stage)
    }
