"""Audio encoders: a sequence of audio frames becomes tokens and a vector.

An audio encoder says in ``stream`` which array of a store it reads. It turns a sequence, such as
MFCC, ``[batch, time, features]``, and true lengths, ``[batch]``, into tokens,
``[batch, time, dim]``, and a vector, ``[batch, vector_dim]``; padding never changes either of the
true tokens or the vector. It holds the normalization of its input as buffers. Of a stream with
layers, ``[batch, layers, time, features]``, it learns how much each of them counts. One whose
tokens stand for several steps each has ``count_tokens``, of true lengths.

``speech.Speech`` is a pretrained network that learns along. A checkpoint holds what it has learned,
and its ``reference()`` to the weights that are frozen.

To add one, write its file here, name its class below and in a file of ``conf/model/audio_encoder``.
"""

from avfusion.models.audio_encoders.bilstm import BiLSTM
from avfusion.models.audio_encoders.gru import GRU
from avfusion.models.audio_encoders.lstm import LSTM
from avfusion.models.audio_encoders.precomputed import Precomputed
from avfusion.models.audio_encoders.tcn import TCN
from avfusion.models.audio_encoders.transformer import Transformer

__all__ = ["GRU", "LSTM", "TCN", "BiLSTM", "Precomputed", "Transformer"]
