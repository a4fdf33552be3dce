"""Callbacks that act on a run: they keep, resume, time and end it; see ``conf/callbacks``."""

from avfusion.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from avfusion.callbacks.final_validation import FinalValidation
from avfusion.callbacks.finite_numbers import FiniteNumbers
from avfusion.callbacks.network_summary import NetworkSummary
from avfusion.callbacks.position import Position
from avfusion.callbacks.progress import Progress
from avfusion.callbacks.resume import Preemption, RandomStates, ResumedMetrics
from avfusion.callbacks.save_predictions import SavePredictions
from avfusion.callbacks.timing import Timing
from avfusion.callbacks.unfreezing import Unfreezing

__all__ = [
    "BestCheckpoint",
    "FinalValidation",
    "FiniteNumbers",
    "LastCheckpoint",
    "NetworkSummary",
    "Position",
    "Preemption",
    "Progress",
    "RandomStates",
    "ResumedMetrics",
    "SavePredictions",
    "Timing",
    "Unfreezing",
]
