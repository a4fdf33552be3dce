"""A clock and settings for claims about what is measured."""

from itertools import count

import torch

from avfusion.benchmark.rounds import Clock

TINY = """
data.batch_size=3 model.network.audio_encoder.hidden_dim=8 model.network.attention.hidden_dim=6
model.network.head.hidden_dim=5 model.network.fusion.dim=4 benchmark.against=[tiled@1]
description.streams.face_map.shape=[1,4,2,2] description.streams.frames.shape=[1,16,16,3]
description.streams.mfcc.shape=[5,7] description.streams.waveform.shape=[50]
trainer=cpu trainer.precision=bf16-mixed benchmark.map_size=[2,3] benchmark.product_size=16
benchmark.rounds=2 benchmark.steps=1 benchmark.warmup=0 benchmark.epochs=0
"""


class Ticks(Clock):
    """A clock that goes on by one second with every look at it."""

    def __init__(self, device="cpu"):
        super().__init__(torch.device(device))
        self.ticks = count()

    def mark(self):
        return next(self.ticks)
