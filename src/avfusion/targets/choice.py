"""Choice of the target, and checks that labels and losses fit it."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from avfusion.targets.continuous import Continuous
from avfusion.targets.contract import Target
from avfusion.targets.multi_label import MultiLabel
from avfusion.targets.single_label import SingleLabel

TARGETS: dict[str, type[Target]] = {
    kind.kind: kind for kind in (SingleLabel, MultiLabel, Continuous)
}


def choose_target(description: Mapping[str, Any]) -> Target:
    """Make the shipped target for the labels of a description."""
    kind = description["labels"]
    if kind not in TARGETS:
        raise ValueError(
            f"The labels of the data are of the kind {kind!r}, and there are targets for "
            f"{', '.join(TARGETS)}: give one of your own with target._target_=..."
        )

    return TARGETS[kind](description)


def check_kind(target: Target, labels: str, source: object) -> None:
    """Refuse a target that is for another kind of labels than those at a source."""
    if target.kind != labels:
        has = TARGETS[labels].has if labels in TARGETS else f"labels of the kind {labels}"
        raise ValueError(
            f"A clip of {source} has {has}, and the target {type(target).__name__} is for clips of "
            f"{target.has}: prepare the corpus with {target.setting} (in training, target=auto "
            "takes labels as they are)."
        )


def check_outputs(target: Target) -> None:
    """Refuse a target that leaves a network nothing to learn."""
    if target.outputs < target.minimum_outputs:
        raise ValueError(
            f"There must be at least {target.minimum_outputs} classes to tell apart, got "
            f"{target.output_names}."
        )


def check_loss(target: Target, loss: nn.Module) -> None:
    """Refuse a shipped loss that is made for another target; a user's own one is taken."""
    name = name_loss(type(loss))
    if name is None or name in target.losses:
        return
    others = [other for other in TARGETS.values() if name in other.losses]
    what = f"for clips of {others[0].has}" if others else "for another target"
    cure = f" (or prepare the corpus with {others[0].setting})" if others else ""
    raise ValueError(
        f"{type(loss).__name__} is {what}, and these clips have {target.has}: set "
        f"loss={target.losses[0]}{cure}."
    )


def name_loss(loss: type) -> str | None:
    """The choice of ``conf/loss`` that a loss is or inherits from; None for a user's own one."""
    return getattr(loss, "choice", None)
