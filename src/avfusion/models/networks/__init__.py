"""Networks: clips -> ``Scores``.

Their parts come in through the constructor: encoders as modules, whatever stands behind them as a
``ModuleFactory``, a callable that makes the module once the widths before it are known. What a
network reads is what its encoders read, each the ``stream`` of a batch that it names; a network
without encoders names its own.
"""

from avfusion.models.networks.attention_fusion import AttentionFusion
from avfusion.models.networks.head import Head
from avfusion.models.networks.lenet import LeNet
from avfusion.models.networks.scores import Scores
from avfusion.models.networks.seed2017 import Seed2017
from avfusion.models.networks.token_fusion import TokenFusion
from avfusion.models.networks.unimodal import AudioOnly, FaceOnly

__all__ = [
    "AttentionFusion",
    "AudioOnly",
    "FaceOnly",
    "Head",
    "LeNet",
    "Scores",
    "Seed2017",
    "TokenFusion",
]
