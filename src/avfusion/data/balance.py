"""Balanced sampling: how often each training clip is drawn, by its class, its subject or both."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Int, Int64, Shaped
from torch import Tensor

from avfusion.messages import join_items
from avfusion.targets import Target

BALANCE_CHOICES = ("class", "subject")


def find_balanced(balance: Sequence[str] | str | None) -> tuple[str, ...]:
    """Find what is balanced, in one order.

    Raises:
        ValueError: It is something else.
    """
    given = [balance] if isinstance(balance, str) else list(balance or ())
    if unknown := [name for name in given if name not in BALANCE_CHOICES]:
        raise ValueError(
            f"data.balance must be null, class, subject or [class, subject], got "
            f"{join_items(unknown)}."
        )
    return tuple(name for name in BALANCE_CHOICES if name in given)


def weigh_clips(
    balanced: Sequence[str],
    target: Target,
    labels: Shaped[np.ndarray, "clips *outputs"],
    subjects: Shaped[np.ndarray, "clips"],
    source: str | Path,
) -> Float64[Tensor, "clips"]:
    """Weigh clips so that all classes, all subjects, or all pairs of both, are drawn as often.

    The weight of a clip is one over the number of clips like it. One of several classes gets the
    mean of their weights; those of no class are a class of their own.

    Raises:
        ValueError: Clips have no classes, or some of them no subject.
    """
    classes = torch.zeros(len(labels), 1, dtype=torch.bool)
    if "class" in balanced:
        if target.limits is None:
            raise ValueError(
                f"data.balance=class needs classes, and clips of {source} have {target.has}: set "
                "data.balance=subject or null."
            )
        classes = target.indicators(torch.from_numpy(labels)) == 1

    people = torch.zeros(len(labels), dtype=torch.int64)
    if "subject" in balanced:
        if unknown := int((subjects == "").sum()):
            raise ValueError(
                f"data.balance=subject needs the subject of each clip, and {unknown} training "
                f"clips of {source} have none: set data.balance=class or null."
            )
        people = torch.from_numpy(np.unique(subjects, return_inverse=True)[1])

    return _weigh_by_groups(torch.cat([classes, ~classes.any(dim=1, keepdim=True)], dim=1), people)


def _weigh_by_groups(
    classes: Shaped[Tensor, "clips classes"], people: Int[Tensor, "clips"]
) -> Float64[Tensor, "clips"]:
    clips, numbers = classes.nonzero(as_tuple=True)
    groups: Int64[Tensor, memberships] = people[clips] * classes.shape[1] + numbers
    _, group, count = groups.unique(return_inverse=True, return_counts=True)

    weights = torch.zeros(len(classes), dtype=torch.float64)
    weights.index_add_(0, clips, 1 / count[group].double())
    return weights / classes.sum(dim=1)
