"""Attention: weights over the positions of a face map, given an audio vector.

An attention turns a face map, ``[batch, channels, pictures, rows, columns]``, and an audio vector,
``[batch, audio_dim]``, into a face vector, ``[batch, glimpses * channels]``, and weights,
``[batch, glimpses, positions]``, each glimpse of which sums to one. It is made from ``channels``
and ``audio_dim``, and has ``face_dim``. Any map size works; positions lie in space and, with
several pictures, in time. A ``mask``, ``[batch, positions]``, marks those that are no padding,
where there is some; the others have no weight.

To add one, write its file here, name its class below and in a file of ``conf/model/attention``.
"""

from avfusion.models.attention.concat import ConcatAttention
from avfusion.models.attention.mcb import MCBAttention
from avfusion.models.attention.mlb import MLBAttention
from avfusion.models.attention.uniform import UniformAttention

__all__ = ["ConcatAttention", "MCBAttention", "MLBAttention", "UniformAttention"]
