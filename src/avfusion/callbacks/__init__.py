"""Callbacks: one idea per file, chosen in ``conf/callbacks``."""

from avfusion.callbacks.preemption import Preemption
from avfusion.callbacks.random_states import RandomStates
from avfusion.callbacks.unfreezing import Unfreezing

__all__ = ["Preemption", "RandomStates", "Unfreezing"]
