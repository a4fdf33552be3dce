"""Contract of stream encoders: what computes a stream of a store from another one, and is frozen.

A stream encoder is a recipe: a frozen dataclass of plain settings, picklable, whose constructor
opens no file. A file of ``conf/features/audio_stream`` or ``face_stream`` names its class.
``build()`` makes the module that computes; nothing but preparation (``preparation/streams.py``)
calls it. To add an encoder: one module with both classes, one YAML and a test.

The module reads the stream that its recipe names in ``reads``, of clips of one store:

* ``waveform``: floats ``[batch, samples]`` in [-1, 1) at 16 kHz, padded with zeros, and the true
  lengths ``[batch]`` in samples, at least one. Sounds are whole where the store was prepared with
  ``features.audio.crop=whole``; a long one is for the module to cut into windows and join.
* ``frames``: floats ``[batch, pictures, 3, height, width]`` in [0, 1], RGB, and None.
* any other stream, such as ``mfcc``, as batches hold it; lengths where it has a time axis.

It returns ``Encoded``, and describes that by attributes:

=========  ========  =======================================  ===================================
``kind``   lengths   values of one clip, with ``layers`` > 0   stored as
=========  ========  =======================================  ===================================
vector     None      ``[dim]``, ``[layers, dim]``              one array
sequence   given     ``[time, dim]``, ``[layers, time, dim]``  true steps one after the other
sequence   None      the same; all steps are true              one array (vectors of pictures)
maps       None      ``[pictures, channels, rows, columns]``   one array
=========  ========  =======================================  ===================================

``rate`` is the number of steps per second and ``offset`` the second, after the first sample, at
which the middle of the first step lies (rate None: not known, or no time axis).

Padding never changes a result: a clip alone equals the clip in a padded batch. Values past the true
lengths are dropped. They are stored in 16 bits, and refused where those cannot hold them; a module
whose ``stored_dtype`` is "float32" has them stored in 32.

Networks read the stream by its name, ``clips.streams[name]``: ``[batch, *item]`` with items as in
the table, floats, sequences padded with zeros to the longest of the batch, with ``clips.lengths``.
A clip that lacks the modality has zeros there, and a length of 1. ``description.streams.<name>``
has kind, shape (of an item; of a sequence with the steps of the longest clip), layers, rate,
offset, and of each feature ``mean`` and ``std`` over the training clips, ``[dim]`` or
``[layers, dim]`` (of maps: of each channel).
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

ENCODED_KINDS = ("vector", "sequence", "maps")


class Encoded(NamedTuple):
    """Output of an encoder for a batch: values, and the number of true steps of each clip."""

    values: Float[Tensor, "batch *item"]
    lengths: Int[Tensor, "batch"] | None = None


class EncoderModule(Protocol):
    """The module of a stream encoder, frozen and in eval mode (an ``nn.Module``).

    Its parameters and buffers follow ``to(device)`` and are its weights, by which the stream is
    known. One without any, such as of ONNX Runtime, gets its input on the CPU.
    """

    kind: str
    layers: int
    rate: float | None
    offset: float

    def __call__(
        self, values: Float[Tensor, "batch *item"], lengths: Int[Tensor, "batch"] | None
    ) -> Encoded:
        """Encode a batch."""


@runtime_checkable
class StreamEncoder(Protocol):
    """Recipe of what computes a stream."""

    @property
    def stream(self) -> str:
        """Name of the stream that it computes: letters, digits and _."""

    @property
    def modality(self) -> str:
        """``audio`` or ``face``."""

    @property
    def reads(self) -> str:
        """Name of the stream that it is computed from."""

    @property
    def weights(self) -> str:
        """Origin of its weights, in words: hub id and revision, folder or file."""

    @property
    def sha256(self) -> str | None:
        """SHA-256 of its file of weights; it counts where the module holds none as tensors."""

    def recipe(self) -> dict[str, Any]:
        """All that decides what it computes, in plain containers: ``_target_`` (its own class) and
        arguments of it, the architecture as well, but neither weights nor where they lie.

        What networks were trained on and what a store holds are the same stream where this is
        equal and the weights are.
        """

    def source(self) -> dict[str, Any]:
        """The other arguments, in plain containers: where its weights lie."""

    def build(self, state: Mapping[str, Tensor] | None = None) -> nn.Module:
        """Build the ``EncoderModule``, frozen and in eval mode.

        Its weights are read from where ``source`` says or, where a ``state`` is given, loaded from
        that: then no file is read, and an encoder of ``recipe()`` alone must do.

        Raises:
            FileNotFoundError: no such weights; names hub id, folder or file, and the cure.
            ValueError: they are not what the encoder needs.
        """


def check_encoder(encoder: Any, key: str, modality: str | None = None) -> None:
    """Refuse as an encoder what lacks a part of the contract, or is of another modality."""
    if encoder is None:
        return
    offered = [name for name in vars(StreamEncoder) if not name.startswith("_")]
    missing = [name for name in offered if not hasattr(encoder, name)]
    if missing:
        raise ValueError(
            f"{key} is {encoder!r:.80}, which lacks {', '.join(missing)}: offer what StreamEncoder "
            "of avfusion/features/streams.py says."
        )
    if modality is not None and encoder.modality != modality:
        raise ValueError(
            f"{key} is {encoder!r:.80}, which is of the {encoder.modality}: give it as "
            f"features.{encoder.modality}_stream."
        )


def find_missing_weights(encoders: Iterable[StreamEncoder]) -> list[str]:
    """Say of each encoder whose weights or package are not on this machine what it lacks."""
    missing = []
    for encoder in encoders:
        try:
            encoder.build()
        except (OSError, ValueError) as error:
            missing.append(str(error).rstrip("."))
    return missing


def digest_weights(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of weights by name, type, shape and value."""
    state = hashlib.sha256()
    for name, value in sorted(weights.items()):
        state.update(f"{name} {value.dtype} {tuple(value.shape)};".encode())
        state.update(value.cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return state.hexdigest()
