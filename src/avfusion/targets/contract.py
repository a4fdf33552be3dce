"""The contract of targets."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int, Shaped
from torch import Tensor

if TYPE_CHECKING:  # torchmetrics takes a second to import, and preparing a corpus needs none
    from torchmetrics import Metric

    from avfusion.data.store import Store


class Decision(NamedTuple):
    """Decision about a clip: a label, and the prediction for each class that the label names.

    The label is empty and has no parts where none of the classes is said.
    """

    label: str
    parts: Mapping[str, float]


@runtime_checkable
class Target(Protocol):
    """Target of predictions: encoding of labels, losses that fit, and metrics.

    ``kind`` is that of the labels, ``has`` says in words what a clip has, ``setting`` prepares a
    corpus so. ``exclusive``: a clip has one of the classes and no other, the predictions of all sum
    to one. With fewer than ``minimum_outputs`` there is nothing to learn. ``losses`` are the
    choices of ``conf/loss`` that fit, the usual one first. A prediction is a ``quantity`` (several
    are ``quantities``) within ``limits``, None where it has none. ``scores`` are the names of its
    metrics over all clips, the headline first, ``class_scores`` those of which there is one for
    each class (``<score>_<class>``). ``plots`` says which plots of a whole split's predictions mean
    something. ``output_names`` name the outputs: classes or numbers.
    """

    kind: str
    has: str
    setting: str
    exclusive: bool
    minimum_outputs: int
    losses: tuple[str, ...]
    quantity: str
    quantities: str
    limits: tuple[float, float] | None
    scores: tuple[str, ...]
    class_scores: tuple[str, ...]
    plots: tuple[str, ...]
    output_names: list[str]

    def __init__(self, description: Mapping[str, Any]) -> None: ...

    @property
    def outputs(self) -> int:
        """Number of outputs of the head."""
        ...

    @property
    def number_names(self) -> tuple[str, ...]:
        """The names of numbers that an index holds beside the labels; none for classes."""
        ...

    def read_labels(self, store: "Store") -> Shaped[np.ndarray, "clips *outputs"]:
        """Read and encode the labels of all clips of a store, opening the columns that it takes."""
        ...

    def encode_unlabeled(self, clips: int) -> Shaped[np.ndarray, "clips *outputs"]:
        """Encode the labels of clips of which nothing is known."""
        ...

    def decode(self, encoded: Shaped[Tensor, "*outputs"]) -> str:
        """Write the label of one clip, ``?`` where it is unknown."""
        ...

    def classes_of(self, label: str) -> list[str]:
        """Name the classes, or the numbers, that a label names."""
        ...

    def spell(self, label: str) -> str:
        """Spell the names in a label as this target does, where one looks alike."""
        ...

    def indicators(self, encoded: Shaped[Tensor, "clips *outputs"]) -> Int[Tensor, "clips classes"]:
        """Mark classes by 1 where a clip has them, 0 where not, -1 where that is unknown."""
        ...

    def predict(self, outputs: Float[Tensor, "*batch outputs"]) -> Float[Tensor, "*batch outputs"]:
        """Turn outputs into predictions, in single precision."""
        ...

    def decide(self, prediction: Float[Tensor, "outputs"]) -> Decision:
        """Decide on the label of a clip by its prediction."""
        ...

    @property
    def columns(self) -> tuple[str, ...]:
        """Column names of the cells of ``describe``."""
        ...

    def describe(self, prediction: Float[Tensor, "outputs"]) -> list[str]:
        """Describe a prediction in the cells of a table."""
        ...

    def is_right(self, decision: Decision, label: str) -> bool | None:
        """Whether a decision is the label of its clip; None where that is unknown."""
        ...

    def metrics(self) -> "dict[str, Metric]":
        """Make the metrics of a stage, each to be updated with ``preds`` and ``target``.

        ``preds`` are outputs, ``target`` encoded labels. A metric returns a number under its own
        name, or several under theirs.
        """
        ...
