"""What is kept of the pictures of a recording."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from avfusion.corpora.packed import read_packed
from avfusion.corpora.recording import Box, Recording
from avfusion.features.contract import FaceCrops
from avfusion.features.mfcc import SAMPLE_RATE
from avfusion.features.picture import Loss, Shown, is_still, read_frames, read_picture
from avfusion.features.policies import Policies
from avfusion.features.sound import Sound
from avfusion.features.source import Missing, Unreadable
from avfusion.features.video import read_video, video_span


class Seen(NamedTuple):
    """The face of a clip, cut out; boxes and ``picture_size`` as in ``ClipFeatures``."""

    face: UInt8[np.ndarray, "pictures size size 3"]
    box: Box | None
    crop: Box | None
    picture_size: tuple[int, int] | None = None


def look(
    recording: Recording,
    sound: Sound | None,
    features: FaceCrops,
    policies: Policies,
    notes: list[str],
) -> Seen | None:
    """Return the face at evenly spaced times, None where there is none to use."""
    try:
        shown = pictures(recording, sound, features.pictures)
    except Missing as missing:
        policies.judge("missing", missing)
        notes.append(missing.reason)
        return None
    except Unreadable as problem:
        problem.fatal = problem.reason == "truncated" and policies.truncated == "error"
        raise  # whatever the policy is, there is nothing to keep
    lost, promised, unit = shown.loss
    policies.meet_loss(lost, promised, recording.sources[0], notes, unit)
    turned, crops, found = features.crops(shown.pictures)
    if features.detector != "none" and not found:
        policies.meet("no_face", "no face found", recording.sources[0])
        notes.append("no face found, picture used whole")
    crop = Box(*(side * shown.reduced for side in crops[0]))
    box = recording.box and relative(recording.box, crop)
    as_they_were = all(t is p for t, p in zip(turned, shown.pictures, strict=True))
    still = len(set(crops)) == 1 and as_they_were
    if box and not (still and inside(box)):
        box = None  # it would be another one in each picture, or lies outside of them
    height, width = (round(side * shown.reduced) for side in shown.pictures[0].shape[:2])
    return Seen(features.cut(turned, crops), box, crop, (width, height))


def pictures(recording: Recording, sound: Sound | None, count: int) -> Shown:
    """Decode the pictures that belong to a sound, or to the whole recording without one."""
    middles = (np.arange(count) + 0.5) / count
    if recording.video is not None:
        if is_still(recording.video):
            return repeated(recording.video, count)
        if sound is None:
            first, last = video_span(recording.video)
            if recording.window is not None:
                begin, end = (sample / SAMPLE_RATE for sample in recording.window)
                first, last = first + begin, first + end
            return read_video(recording.video, (first + middles * (last - first)).tolist())
        samples = sound.first + middles * len(sound.samples)
        return read_video(recording.video, (sound.start + samples / SAMPLE_RATE).tolist())
    if recording.image is None:
        raise Missing("no picture", recording.sources[0])
    if recording.place is not None:
        return Shown([read_packed(recording.image, recording.place)] * count)
    if recording.image.is_dir():
        if sound is not None:
            middles = (sound.first + middles * len(sound.samples)) / sound.total
        return read_frames(recording.image, middles.tolist())
    return repeated(recording.image, count)


def repeated(path: Path, count: int) -> Shown:
    """Return the picture of a file, once for each time at which one is asked for."""
    still = read_picture(path)
    return Shown([still.picture] * count, still.reduced, Loss(still.lost))


def relative(box: Box, crop: Box) -> Box:
    """Return a box in fractions of the crop."""
    side = crop.right - crop.left
    return Box(
        (box.left - crop.left) / side,
        (box.top - crop.top) / side,
        (box.right - crop.left) / side,
        (box.bottom - crop.top) / side,
    )


def inside(box: Box) -> bool:
    """Say whether the centre of a box, in fractions of the picture, lies in it."""
    return 0 <= box.left + box.right <= 2 and 0 <= box.top + box.bottom <= 2
