"""Face encoders: the frames of a clip become a face map.

A face encoder says in ``stream`` which array of a store it reads; the data module reads exactly
those, by name. It turns frames in [0, 1], ``[batch, time, 3, height, width]``, into a face map,
``[batch, channels, time, rows, columns]``, and has ``channels``. It holds the normalization of its
input as buffers. ``Precomputed`` is the face encoder of a stream that holds face maps or vectors;
of a sequence of vectors it gets the true lengths, ``[batch]``, too.

One with ``pretrained`` fetches weights as it is built; the recipe in a checkpoint says none there,
since the checkpoint holds them.

To add one, write its file here, name its class below and in a file of ``conf/model/face_encoder``.
"""

from avfusion.models.face_encoders.convnet import ConvNet
from avfusion.models.face_encoders.mini_xception import MiniXception
from avfusion.models.face_encoders.precomputed import Precomputed
from avfusion.models.face_encoders.timm_encoder import TimmEncoder
from avfusion.models.face_encoders.torchvision_encoder import TorchvisionEncoder

__all__ = ["ConvNet", "MiniXception", "Precomputed", "TimmEncoder", "TorchvisionEncoder"]
