"""Encoders.

An encoder says in ``stream`` which array of a store it reads; the data module reads those, by name.
A face encoder turns pictures in [0, 1], ``[batch, pictures, 3, height, width]``, into a face map,
``[batch, channels, pictures, rows, columns]``, and has ``channels``. An audio encoder turns a
sequence, such as audio frames, ``[batch, frames, features]``, and true lengths, ``[batch]``, into
tokens, ``[batch, frames, dim]``, and a vector, ``[batch, vector_dim]``; padding never changes
either of the true tokens or the vector. Both hold the normalisation of their input as buffers.
``Precomputed`` is the face encoder of a stream that holds face maps.
A face encoder with ``pretrained`` fetches weights as it is built; a recipe says none there, since
the checkpoint holds them.
"""

from avfusion.encoders.bilstm import BiLSTM
from avfusion.encoders.conv import Conv
from avfusion.encoders.convnet import ConvNet
from avfusion.encoders.gru import GRU
from avfusion.encoders.lstm import LSTM
from avfusion.encoders.precomputed import Precomputed
from avfusion.encoders.timm_encoder import TimmEncoder
from avfusion.encoders.torchvision_encoder import TorchvisionEncoder
from avfusion.encoders.transformer import Transformer

__all__ = [
    "GRU",
    "LSTM",
    "BiLSTM",
    "Conv",
    "ConvNet",
    "Precomputed",
    "TimmEncoder",
    "TorchvisionEncoder",
    "Transformer",
]
