"""Losses of what the head gives.

A target names those that fit it (see ``avfusion.targets``), by their files here, which are called
as their choices in ``conf/loss`` are.
"""

from avfusion.loss.bce import BinaryCrossEntropy
from avfusion.loss.cross_entropy import CrossEntropy
from avfusion.loss.focal import Focal
from avfusion.loss.nll import NegativeLogLikelihood

__all__ = ["BinaryCrossEntropy", "CrossEntropy", "Focal", "NegativeLogLikelihood"]
