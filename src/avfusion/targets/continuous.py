"""Continuous target: one or several numbers for each clip, such as arousal and valence."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from torch import Tensor

from avfusion.corpora.labels import LABEL_SEPARATOR, split_label
from avfusion.corpora.numbers import format_numbers
from avfusion.corpora.spelling import normalize_name
from avfusion.targets.contract import Decision

if TYPE_CHECKING:
    from torchmetrics import Metric

    from avfusion.data.store import Store

SCORES = ("ccc", "pcc", "rmse", "mae")


class Continuous:
    """Each clip has numbers, of which some may be missing; ``output_names`` are their names.

    A label names the numbers that are known, which stand in columns of their own. Encoded, it is
    these numbers, NaN where one is missing; losses and metrics leave those out.
    A prediction is what the head gives: numbers in the units of the labels.
    """

    kind = "continuous"
    has = "numbers"
    setting = "corpus.targets=[<names>]"
    exclusive = False
    minimum_outputs = 1
    losses: tuple[str, ...] = ("mse", "mae", "ccc")
    quantity = "value"
    quantities = "values"
    limits: tuple[float, float] | None = None
    scores: tuple[str, ...] = SCORES
    class_scores: tuple[str, ...] = SCORES
    plots: tuple[str, ...] = ("scatter",)

    def __init__(self, description: Mapping[str, Any]) -> None:
        self.output_names = list(description["output_names"])
        self._spellings = {normalize_name(name): name for name in self.output_names}

    @property
    def outputs(self) -> int:
        """A number for each name."""
        return len(self.output_names)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the numbers."""
        return tuple(self.output_names)

    @property
    def number_names(self) -> tuple[str, ...]:
        """All of them."""
        return tuple(self.output_names)

    def read_labels(self, store: "Store") -> Float32[np.ndarray, "clips names"]:
        """Read the numbers of each clip, NaN where one is missing."""
        numbers = self.encode_unlabeled(len(store))
        for column, name in enumerate(self.output_names):
            numbers[:, column] = store.numbers(name)
        return numbers

    def encode_unlabeled(self, clips: int) -> Float32[np.ndarray, "clips names"]:
        """NaN for each number."""
        return np.full((clips, self.outputs), np.nan, np.float32)

    def decode(self, encoded: Float[Tensor, "names"]) -> str:
        """Write the numbers of a clip."""
        each = zip(self.output_names, encoded.cpu().numpy().astype(np.float32), strict=True)
        return format_numbers({name: str(value) for name, value in each if value == value}) or "?"

    def classes_of(self, label: str) -> list[str]:
        """Name the numbers of a clip that are known."""
        return split_label(label) if label else []

    def spell(self, label: str) -> str:
        """Spell each name in a label as one of these, where it looks alike."""
        # In the order of the label, which is that of its numbers.
        names = split_label(label)
        return LABEL_SEPARATOR.join(
            [self._spellings.get(normalize_name(name), name) for name in names]
        )

    def indicators(self, encoded: Float[Tensor, "clips names"]) -> Int[Tensor, "clips names"]:
        """Mark known numbers by 1, missing ones by -1."""
        return torch.where(encoded.isnan(), -1, 1)

    def predict(self, outputs: Float[Tensor, "*batch names"]) -> Float[Tensor, "*batch names"]:
        """Predict the outputs themselves."""
        return outputs.float()

    def decide(self, prediction: Float[Tensor, "names"]) -> Decision:
        """Decide on all numbers, rounded in their label."""
        each = dict(zip(self.output_names, prediction.tolist(), strict=True))
        return Decision(format_numbers({name: f"{v:.3g}" for name, v in each.items()}), each)

    def describe(self, prediction: Float[Tensor, "names"]) -> list[str]:
        """Write each number, rounded."""
        return [f"{value:.3g}" for value in prediction.tolist()]

    def is_right(self, decision: Decision, label: str) -> bool | None:
        """None: a number is near or far, neither right nor wrong."""
        return None

    def metrics(self) -> "dict[str, Metric]":
        """Make the agreement of predicted with true numbers, of each name and on average."""
        from avfusion.training.metrics.agreement import Agreement

        return {"agreement": Agreement(self.output_names)}
