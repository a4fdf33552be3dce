"""Single-label target: one class for each clip."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int, Int64
from torch import Tensor

from avfusion.corpora.spelling import normalize_name
from avfusion.targets.contract import Decision

if TYPE_CHECKING:
    from torchmetrics import Metric

    from avfusion.data.store import Store


class SingleLabel:
    """Each clip has one of the classes; encoded, a label is the number of its class."""

    kind = "single_label"
    has = "one class"
    setting = "corpus.multilabel=false"
    exclusive = True
    minimum_outputs = 2
    losses: tuple[str, ...] = ("cross_entropy", "focal", "nll")
    quantity = "probability"
    quantities = "probabilities"
    limits: tuple[float, float] | None = (0.0, 1.0)
    scores: tuple[str, ...] = ("accuracy", "balanced_accuracy", "macro_f1")
    class_scores: tuple[str, ...] = ("accuracy",)
    plots: tuple[str, ...] = ("confusion", "precision_recall")

    def __init__(self, description: Mapping[str, Any]) -> None:
        self.output_names = list(description["output_names"])
        self._spellings = {normalize_name(name): name for name in self.output_names}

    @property
    def outputs(self) -> int:
        """A number for each class."""
        return len(self.output_names)

    def encode(self, labels: Sequence[str]) -> Int64[np.ndarray, "clips"]:
        """Number the class of each label; -1 where it is none of them."""
        numbers = {name: number for number, name in enumerate(self.output_names)}
        return np.array([numbers.get(label, -1) for label in labels], np.int64)

    @property
    def number_names(self) -> tuple[str, ...]:
        """None: labels name classes."""
        return ()

    def read_labels(self, store: "Store") -> Int64[np.ndarray, "clips"]:
        """Encode each label that occurs once, and give each clip its own."""
        return self.encode(store.labels.names)[store.labels.numbers]

    def encode_unlabeled(self, clips: int) -> Int64[np.ndarray, "clips"]:
        """-1 for each clip."""
        return np.full(clips, -1, np.int64)

    def decode(self, encoded: Int[Tensor, ""]) -> str:
        """Name the class of a clip."""
        number = int(encoded)
        return self.output_names[number] if number >= 0 else "?"

    def classes_of(self, label: str) -> list[str]:
        """List the label, which is a class."""
        return [label]

    def spell(self, label: str) -> str:
        """Spell a label as the class that looks like it, if any."""
        return self._spellings.get(normalize_name(label), label)

    def indicators(self, encoded: Int[Tensor, "clips"]) -> Int[Tensor, "clips classes"]:
        """Mark the class of a clip by 1, others by 0, all by -1 where its label is unknown."""
        classes = torch.arange(len(self.output_names), device=encoded.device)
        own = (encoded[:, None] == classes).long()
        return torch.where(encoded[:, None] < 0, -1, own)

    def predict(self, outputs: Float[Tensor, "*batch classes"]) -> Float[Tensor, "*batch classes"]:
        """Predict the probability of each class; they sum to one."""
        return outputs.float().softmax(dim=-1)

    def decide(self, prediction: Float[Tensor, "classes"]) -> Decision:
        """Decide on the likeliest class."""
        number = int(prediction.argmax())
        name = self.output_names[number]
        return Decision(name, {name: float(prediction[number])})

    @property
    def columns(self) -> tuple[str, ...]:
        """The class, its probability and, where there are others, the likeliest of those."""
        more = ("next likely",) if len(self.output_names) > 1 else ()
        return ("predicted", self.quantity, *more)

    def describe(self, prediction: Float[Tensor, "classes"]) -> list[str]:
        """Describe the likeliest class, its probability, and the next with its own."""
        first, *others = prediction.argsort(descending=True, stable=True).tolist()
        cells = [self.output_names[first], f"{float(prediction[first]):.2f}"]
        return cells + [f"{self.output_names[n]} {float(prediction[n]):.2f}" for n in others[:1]]

    def is_right(self, decision: Decision, label: str) -> bool | None:
        """Whether the class is predicted, where the label is known."""
        return decision.label == label if label else None

    def metrics(self) -> "dict[str, Metric]":
        """Make accuracy, the recall of each class and their mean, and macro F1."""
        from torchmetrics.classification import MulticlassAccuracy, MulticlassF1Score

        from avfusion.training.metrics.recalls import Recalls

        classes = len(self.output_names)
        return {
            "accuracy": MulticlassAccuracy(classes, average="micro"),
            "recalls": Recalls(self.output_names),
            "macro_f1": MulticlassF1Score(classes, average="macro"),
        }
