"""Fusions: a face vector ``[..., face_dim]`` and an audio vector ``[..., audio_dim]`` become one.

A fusion is a module whose ``forward(face, audio)`` returns ``[..., dim]``. To add one, write its
file here and name its class in a file of ``conf/model``.
"""

from avfusion.fusion.concat import ConcatFusion
from avfusion.fusion.lowrank import LowRankFusion

__all__ = ["ConcatFusion", "LowRankFusion"]
