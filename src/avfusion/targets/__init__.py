"""Targets: what is predicted of a clip, and everything that depends on it.

A target is made from the description of the data, of which it keeps what it needs, and promises
what ``Target`` lists. A label is a text, such as the name of a class; where it names numbers, a
store has these in columns of their own. *Encoded*, labels are what a batch holds and a loss takes;
*outputs* are what the head of a network gives; a *prediction* is computed from the outputs: one
number for each, such as a probability. Code with a question that depends on the kind of labels
asks the target: nothing else knows.

``kind`` names the labels that a target is for, in the word that ``Contents.labels`` and the
description of a store have for them. ``choose_target`` gives the shipped target of a kind; a new
one is a file here, its line in ``TARGETS`` and its choice in ``conf/target``. A class of your own
takes the place of a shipped one: ``target=single_label target._target_=package.Class``.
"""

from avfusion.targets.choice import (
    TARGETS,
    check_kind,
    check_loss,
    check_outputs,
    choose_target,
    name_loss,
)
from avfusion.targets.contract import Decision, Target
from avfusion.targets.multi_label import MultiLabel
from avfusion.targets.single_label import SingleLabel

__all__ = [
    "TARGETS",
    "Decision",
    "MultiLabel",
    "SingleLabel",
    "Target",
    "check_kind",
    "check_loss",
    "check_outputs",
    "choose_target",
    "name_loss",
]
