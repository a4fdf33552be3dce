"""What is shown of one clip, and of what a network says of it."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int16, UInt8
from torch import Tensor

from avfusion.data.record import ClipRecord
from avfusion.data.store import Store
from avfusion.features.mfcc import SAMPLE_RATE
from avfusion.features.stream import FRAMES, WAVEFORM
from avfusion.targets import Target


class Peak(NamedTuple):
    """The cell in which a glimpse is largest: the number of the picture, its place and its weight.

    ``cell`` is left, top, width and height in fractions of the picture.
    """

    picture: int
    cell: tuple[float, float, float, float]
    weight: float


class ClipView(NamedTuple):
    """What is drawn of a clip.

    ``sound`` holds samples at 16 kHz, ``start`` and ``seconds`` say where in the recording it
    begins and how long that is; ``box`` is the speaker's face in fractions of the picture, and
    ``cropped`` says which part of the recording's picture this is; ``right`` says whether the
    answer is, None where that is unknown. ``peaks`` has one for each glimpse, where no whole
    ``glimpses`` are given.
    """

    face: UInt8[Tensor, "pictures 3 height width"]
    answer: str
    clip_id: str
    glimpses: Float[Tensor, "glimpses pictures rows columns"] | None = None
    sound: Int16[np.ndarray, "samples"] | None = None
    box: Float32[np.ndarray, "4"] | None = None
    right: bool | None = None
    cropped: str = "face"
    start: float = 0.0
    seconds: float | None = None
    peaks: Sequence[Peak] = ()


def clip_view(
    store: Store,
    row: int,
    probabilities: Float[Tensor, "classes"],
    glimpses: Float[Tensor, "glimpses pictures rows columns"] | None,
    target: Target,
) -> ClipView:
    """Return what is to be drawn of a clip and of the network's answer."""
    clip, face = store.record(row), store.clip(FRAMES, row)
    box, said = store.boxes[row], target.decide(probabilities)
    parts = " | ".join(f"{name} ({value:.2f})" for name, value in said.parts.items())
    answer = f"predicted: {parts or 'none'}"
    right = target.is_right(said, clip.label)
    if clip.label:
        verdict = "" if right is None else "   right" if right else "   WRONG"
        answer = f"true: {clip.label}   {answer}{verdict}"
    start, seconds = heard_span(clip, store.description["features"]["audio"])
    return ClipView(
        face,
        answer,
        clip.clip_id,
        glimpses,
        sound_of(store, row) if store.has_audio[row] else None,
        None if np.isnan(box).any() else box,
        right,
        cropped_face(clip) if store.has_face[row] else "no face",
        start,
        seconds,
    )


def sound_of(store: Store, row: int) -> Int16[np.ndarray, "samples"]:
    """Return the samples of one clip, at 16 kHz."""
    return store.clip(WAVEFORM, row).numpy()


def heard_span(clip: ClipRecord, settings: Mapping[str, Any]) -> tuple[float, float | None]:
    """Return where in a recording the sound of a clip begins, and how long the recording is.

    Both in seconds; the length is None where it is unknown, as is the beginning then.
    ``settings`` are those of the audio features: they say from where a sound is kept.
    """
    kept, total = clip.samples / SAMPLE_RATE, clip.seconds
    if not total or total < kept - 1 / SAMPLE_RATE:
        return 0.0, None
    if clip.window is not None:
        return clip.window.start, total
    if total - kept < 1 / SAMPLE_RATE or settings.get("crop") == "start":
        return 0.0, total
    if settings.get("crop") in ("centre", "whole"):
        return (total - kept) / 2, total
    return 0.0, None


def cropped_face(clip: ClipRecord) -> str:
    """Return which part of its recording's picture the face of a clip is."""
    if clip.picture_size is None or clip.crop is None:
        return "face"
    width, height = clip.picture_size
    left, top, right, bottom = clip.crop
    if right - left >= max(width, height) - 1:
        return f"whole picture, {width} x {height}"
    return f"face crop {right - left:.0f} x {bottom - top:.0f} of {width} x {height}"
