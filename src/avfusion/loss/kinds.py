"""Losses of one class or several, and which of them data needs."""

from torch import nn


def check_loss(loss: nn.Module, multilabel: bool) -> None:
    """Refuse a loss that is made for the other kind of labels than those of the data."""
    name = type(loss).__name__
    if multilabel and not is_multilabel(loss):
        raise ValueError(
            f"{name} is for clips of one class each, and these clips have several: set loss=bce "
            "(or prepare the corpus with corpus.multilabel=false)."
        )
    if is_multilabel(loss) and not multilabel:
        raise ValueError(
            f"{name} is for clips of several classes, and these clips have one each: set "
            "loss=cross_entropy (or prepare the corpus with corpus.multilabel=true)."
        )


def is_multilabel(loss: nn.Module) -> bool:
    """Say whether a loss is for clips of several classes."""
    return bool(getattr(loss, "multilabel", False))
