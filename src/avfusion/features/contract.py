"""Contracts of feature classes: what face crops and audio frames must offer."""

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float32, Int16, UInt8
from torch import Tensor

from avfusion.corpora.recording import Box
from avfusion.features.picture import Picture


@runtime_checkable
class AudioFrames(Protocol):
    """Frames of a sound, as ``AudioFeatures`` computes MFCC.

    Where there is a ``hop``, the samples from one frame to the next, the time of each frame is
    known. Sounds are mono at 16 kHz.
    """

    @property
    def stream(self) -> str:
        """Name of the stream of a store that holds the frames."""

    @property
    def samples(self) -> int:
        """Samples that a clip keeps at most."""

    @property
    def features(self) -> int:
        """Numbers per audio frame."""

    @property
    def window(self) -> int:
        """Samples of the shortest sound that is not too short."""

    @property
    def silence_dbfs(self) -> float:
        """Energy in dBFS under which a clip is silent."""

    def frames(self, samples: int) -> int:
        """Frames of a sound of so many samples."""

    def span(self, samples: int) -> slice:
        """Samples that are kept of a sound of so many."""

    def __call__(self, sound: Int16[Tensor, "samples"]) -> Float32[Tensor, "frames features"]:
        """Compute the audio frames of one sound."""


@runtime_checkable
class FaceCrops(Protocol):
    """Squares of pictures that a network sees, as ``FaceFeatures`` cuts them out."""

    @property
    def num_frames(self) -> int:
        """Pictures of a clip."""

    @property
    def size(self) -> int:
        """Pixels of a side."""

    @property
    def detector(self) -> str:
        """The detector of faces, ``none`` where pictures are used whole."""

    def crops(self, pictures: list[Picture]) -> tuple[list[Picture], list[Box], bool]:
        """Pictures turned level, the squares to cut out of them, and whether a face was found."""

    def cut(
        self, pictures: list[Picture], crops: list[Box]
    ) -> UInt8[np.ndarray, "pictures size size 3"]:
        """Cut the squares out and resize them."""


def check_contract(part: Any, contract: type, key: str) -> None:
    """Refuse a part of features that lacks what preparation asks of it."""
    offered = [name for name in vars(contract) if not name.startswith("_")]
    missing = [name for name in offered if not hasattr(part, name)]
    if isinstance(part, type) or missing or ("__call__" in vars(contract) and not callable(part)):
        lacking = ", ".join(missing) or "a call with a sound"
        example = "AudioFeatures" if contract is AudioFrames else "FaceFeatures"
        raise ValueError(
            f"{key} is {part!r:.80}, which lacks {lacking}: derive its class from "
            f"avfusion.features.{example}, or offer the same."
        )


def check_frames(audio: AudioFrames) -> None:
    """Refuse audio frames of other shapes than their class promises, before any clip is decoded."""
    for samples in dict.fromkeys((audio.samples, audio.window, 1)):
        promised = (audio.frames(samples), audio.features)
        try:
            frames = audio(torch.zeros(samples, dtype=torch.int16))
            shape = tuple(frames.shape)
        except Exception as error:  # of any kind: the class may be the user's
            raise ValueError(
                f"features.audio ({type(audio).__name__}) fails on a sound of {samples} samples: "
                f"{error!r}."
            ) from error

        if shape != promised or frames.dtype != torch.float32:
            raise ValueError(
                f"features.audio ({type(audio).__name__}) makes {frames.dtype} of shape {shape} of "
                f"a sound of {samples} samples, and promises torch.float32 of shape {promised} by "
                "its frames() and its features: make them agree."
            )
