"""Losses of logits, over classes of which one is right; ``bce`` where several may be.

A loss with ``multilabel`` is for labels that are 1 for each class that a clip has.
"""

from avfusion.loss.bce import BinaryCrossEntropy
from avfusion.loss.cross_entropy import CrossEntropy
from avfusion.loss.focal import Focal
from avfusion.loss.nll import NegativeLogLikelihood

__all__ = ["BinaryCrossEntropy", "CrossEntropy", "Focal", "NegativeLogLikelihood"]
