"""Remedies that change what is minimized in training.

A remedy is a module that takes the loss to be minimized so far, the scores of a network and the
clips that they are of, and gives the loss to be minimized with it. What it learns is no part of the
network: it only helps to train that. Other remedies change clips (``avfusion.data``) or act on a
run (``avfusion.callbacks``); ``conf/remedy`` has a file for each.
"""

from avfusion.training.remedies.distillation import Distillation
from avfusion.training.remedies.unimodal_heads import UnimodalHeads

__all__ = ["Distillation", "UnimodalHeads"]
