"""Dashboard: callbacks that show a run in TensorBoard, chosen in ``conf/callbacks``."""

from avfusion.dashboard.batch_grid import BatchGrid
from avfusion.dashboard.clip_images import ClipImages
from avfusion.dashboard.confusion_matrix import ConfusionMatrix
from avfusion.dashboard.diagnostics import Diagnostics
from avfusion.dashboard.embeddings import Embeddings
from avfusion.dashboard.glimpse_shape import GlimpseShape
from avfusion.dashboard.layer_weights import LayerWeights
from avfusion.dashboard.precision_recall import PrecisionRecall
from avfusion.dashboard.run_text import RunText
from avfusion.dashboard.scalar_layout import ScalarLayout
from avfusion.dashboard.weight_histograms import WeightHistograms

__all__ = [
    "BatchGrid",
    "ClipImages",
    "ConfusionMatrix",
    "Diagnostics",
    "Embeddings",
    "GlimpseShape",
    "LayerWeights",
    "PrecisionRecall",
    "RunText",
    "ScalarLayout",
    "WeightHistograms",
]
