"""Multi-label target: any number of classes for each clip."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int, Int64
from torch import Tensor

from avfusion.corpora.labels import join_classes, split_label
from avfusion.corpora.spelling import normalize_name
from avfusion.targets.contract import Decision

if TYPE_CHECKING:
    from torchmetrics import Metric

    from avfusion.data.store import Store

THRESHOLD = 0.5  # the probability above which a class is predicted


class MultiLabel:
    """Each class is a decision of its own; encoded, a label is 1 for each class that it names."""

    kind = "multi_label"
    has = "several classes"
    setting = "corpus.multilabel=true"
    exclusive = False
    minimum_outputs = 2
    losses: tuple[str, ...] = ("bce",)
    quantity = "probability"
    quantities = "probabilities"
    limits: tuple[float, float] | None = (0.0, 1.0)
    scores: tuple[str, ...] = (
        "accuracy",
        "balanced_accuracy",
        "macro_f1",
        "subset_accuracy",
        "mean_average_precision",
    )
    class_scores: tuple[str, ...] = ("accuracy", "average_precision")
    plots: tuple[str, ...] = ("precision_recall",)

    def __init__(self, description: Mapping[str, Any]) -> None:
        self.output_names = list(description["output_names"])
        self._spellings = {normalize_name(name): name for name in self.output_names}

    @property
    def outputs(self) -> int:
        """A number for each class."""
        return len(self.output_names)

    def encode(self, labels: Sequence[str]) -> Int64[np.ndarray, "clips classes"]:
        """Mark the classes that each label names; all are -1 where it names an unknown one."""
        rows = np.full((len(labels), len(self.output_names)), -1, np.int64)
        for row, label in zip(rows, labels, strict=True):
            named = set(split_label(label))
            if named <= set(self.output_names):
                row[:] = [name in named for name in self.output_names]
        return rows

    @property
    def number_names(self) -> tuple[str, ...]:
        """None: labels name classes."""
        return ()

    def read_labels(self, store: "Store") -> Int64[np.ndarray, "clips classes"]:
        """Encode each label that occurs once, and give each clip its own."""
        return self.encode(store.labels.names)[store.labels.numbers]

    def encode_unlabeled(self, clips: int) -> Int64[np.ndarray, "clips classes"]:
        """-1 for each clip and class."""
        return np.full((clips, self.outputs), -1, np.int64)

    def decode(self, encoded: Int[Tensor, "classes"]) -> str:
        """Write the label that names the classes of a clip."""
        flags = encoded.tolist()
        return "?" if -1 in flags else join_classes(self._named(flags))

    def classes_of(self, label: str) -> list[str]:
        """Split a label into the classes that it names."""
        return split_label(label)

    def spell(self, label: str) -> str:
        """Spell the classes that a label names as this target does, where they look alike."""
        names = split_label(label)
        return join_classes([self._spellings.get(normalize_name(name), name) for name in names])

    def indicators(self, encoded: Int[Tensor, "clips classes"]) -> Int[Tensor, "clips classes"]:
        """Pass on the labels, which are encoded so."""
        return encoded

    def predict(self, outputs: Float[Tensor, "*batch classes"]) -> Float[Tensor, "*batch classes"]:
        """Predict the probability of each class, whatever other classes a clip has."""
        return outputs.float().sigmoid()

    def decide(self, prediction: Float[Tensor, "classes"]) -> Decision:
        """Decide on all classes above the threshold; there may be none."""
        each = dict(zip(self.output_names, prediction.tolist(), strict=True))
        names = self._named((prediction > THRESHOLD).tolist())
        return Decision(join_classes(names), {name: each[name] for name in names})

    @property
    def columns(self) -> tuple[str, ...]:
        """The classes, and the probability of each."""
        return ("predicted", self.quantity)

    def describe(self, prediction: Float[Tensor, "classes"]) -> list[str]:
        """Describe the predicted classes with their probabilities, or the likeliest one."""
        decision = self.decide(prediction)
        if not decision.parts:
            likeliest = int(prediction.argmax())
            return ["none", f"{float(prediction[likeliest]):.2f} {self.output_names[likeliest]}"]
        return [decision.label, " | ".join(f"{value:.2f}" for value in decision.parts.values())]

    def is_right(self, decision: Decision, label: str) -> bool | None:
        """Whether exactly the classes of the clip are predicted, where its label is known."""
        return decision.label == label if label else None

    def metrics(self) -> "dict[str, Metric]":
        """Make the scores of the decisions, and the average precision of each class."""
        from avfusion.training.metrics.multilabel import (
            AveragePrecision,
            ExactMatch,
            MultilabelScores,
        )

        return {
            "subset_accuracy": ExactMatch(self.outputs, THRESHOLD),
            "multilabel_scores": MultilabelScores(self.output_names, THRESHOLD),
            "average_precision": AveragePrecision(self.output_names),
        }

    def _named(self, flags: Sequence[int]) -> list[str]:
        return [name for name, has in zip(self.output_names, flags, strict=True) if has]
