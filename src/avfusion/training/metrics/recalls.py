"""Recall of each class."""

from collections.abc import Sequence

from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix


class Recalls(MulticlassConfusionMatrix):
    """The accuracy within each class that occurs, and their mean: balanced accuracy, or UAR."""

    higher_is_better = True

    def __init__(self, class_names: Sequence[str]) -> None:
        super().__init__(len(class_names))
        self.class_names = list(class_names)

    def compute(self) -> dict[str, Tensor]:  # type: ignore[override]
        """Compute ``balanced_accuracy`` and ``accuracy_<class>``."""
        confusion = super().compute()
        count = confusion.sum(dim=1)
        recall = confusion.diagonal() / count.clamp(min=1)
        each = zip(self.class_names, recall, count, strict=True)
        named = {f"accuracy_{name}": value for name, value, clips in each if clips}
        return {"balanced_accuracy": recall[count > 0].mean(), **named}
