"""Callbacks: one idea per file, chosen in ``conf/callbacks``."""

from avfusion.callbacks.batch_grid import BatchGrid
from avfusion.callbacks.checkpoints import BestCheckpoint, LastCheckpoint
from avfusion.callbacks.clip_images import ClipImages
from avfusion.callbacks.confusion_matrix import ConfusionMatrix
from avfusion.callbacks.counted_clips import CountedClips
from avfusion.callbacks.diagnostics import Diagnostics
from avfusion.callbacks.embeddings import Embeddings
from avfusion.callbacks.final_validation import FinalValidation
from avfusion.callbacks.finite_numbers import FiniteNumbers
from avfusion.callbacks.glimpse_shape import GlimpseShape
from avfusion.callbacks.network_graph import NetworkGraph
from avfusion.callbacks.network_summary import NetworkSummary
from avfusion.callbacks.position import Position
from avfusion.callbacks.precision_recall import PrecisionRecall
from avfusion.callbacks.predictions import SavePredictions
from avfusion.callbacks.preemption import Preemption
from avfusion.callbacks.progress import Progress
from avfusion.callbacks.random_states import RandomStates
from avfusion.callbacks.run_text import RunText
from avfusion.callbacks.scalar_layout import ScalarLayout
from avfusion.callbacks.timing import Timing
from avfusion.callbacks.unfreezing import Unfreezing
from avfusion.callbacks.weight_histograms import WeightHistograms

__all__ = [
    "BatchGrid",
    "BestCheckpoint",
    "ClipImages",
    "ConfusionMatrix",
    "CountedClips",
    "Diagnostics",
    "Embeddings",
    "FinalValidation",
    "FiniteNumbers",
    "GlimpseShape",
    "LastCheckpoint",
    "NetworkGraph",
    "NetworkSummary",
    "Position",
    "PrecisionRecall",
    "Preemption",
    "Progress",
    "RandomStates",
    "RunText",
    "SavePredictions",
    "ScalarLayout",
    "Timing",
    "Unfreezing",
    "WeightHistograms",
]
