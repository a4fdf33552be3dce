"""Pretrained networks of speech, as transformers has them: a sound becomes hidden states.

A speech network turns sounds in [-1, 1) at 16 kHz, ``[batch, samples]``, padded with zeros, and
true lengths in samples into ``SpeechStates``; padding never changes those of the true frames. It
has

* ``normalize(sound, length)``: the sound as ``forward`` takes it, scaled as the network's own
  feature extractor does, over the whole sound;
* ``blocks``, its transformer blocks, which may be fewer than were trained, and ``dim``;
* ``hop``, the samples from one frame to the next, ``offset``, the seconds at which the middle of
  the first frame lies, ``shortest``, the samples that a frame needs, ``count_frames(samples)`` and,
  the other way round, ``span(frames)``;
* ``longest``, the frames that it sees at once at most, None where there is no limit.

Nothing here drops layers or masks features at random while it trains: ``layerdrop`` and SpecAugment
of transformers are off.

``read_architecture`` and ``load_network`` read a hub id or a folder, ``build_network`` builds one
from its architecture alone, in plain containers. To add a family, write its file here and name it
in ``loading.py``.
"""

from avfusion.models.speech.loading import (
    build_network,
    count_blocks,
    limit_blocks,
    load_network,
    read_architecture,
)
from avfusion.models.speech.states import SpeechStates

__all__ = [
    "SpeechStates",
    "build_network",
    "count_blocks",
    "limit_blocks",
    "load_network",
    "read_architecture",
]
