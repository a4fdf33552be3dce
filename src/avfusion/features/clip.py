"""All features of one clip."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int16, UInt8

from avfusion.corpora.recording import Box, Recording
from avfusion.features.face import FaceFeatures
from avfusion.features.media import (
    Picture,
    Unreadable,
    read_frames,
    read_picture,
    read_sound,
    read_video,
)
from avfusion.features.mfcc import SAMPLE_RATE, AudioFeatures


class ClipFeatures(NamedTuple):
    """What a store keeps of a clip.

    ``face`` is RGB, ``sound`` mono at 16 kHz, ``audio`` the audio frames of that sound. ``box`` is
    the speaker's face in fractions of the stored picture (None where unknown), ``crop`` the square
    cut out of the first picture, in pixels; ``note`` says what the report should.
    """

    face: UInt8[np.ndarray, "pictures size size 3"]
    sound: Int16[np.ndarray, "samples"]
    audio: Float32[np.ndarray, "frames features"]
    box: Box | None
    crop: Box
    note: str


@dataclass(frozen=True)
class Features:
    """How recordings become clips."""

    face: FaceFeatures
    audio: AudioFeatures

    def arrays(self, clips: int) -> dict[str, np.ndarray]:
        """Return zeros to hold the features of some clips."""
        face, audio = self.face, self.audio
        frames = audio.frames(audio.samples)
        return {
            "face": np.zeros((clips, face.pictures, face.size, face.size, 3), np.uint8),
            "sound": np.zeros((clips, audio.samples), np.int16),
            "audio": np.zeros((clips, frames, audio.features), np.float32),
        }

    def __call__(self, recording: Recording) -> ClipFeatures:
        """Decode one recording, or raise ``Unreadable`` with the reason."""
        sound = read_sound(recording.sound_source, self.audio.span)
        kept = (sound.samples.clip(-1, 1) * (2**15 - 1)).round().astype(np.int16)
        peak = 20 * np.log10(max(np.abs(kept).max() / 2**15, 1e-9))
        if peak < self.audio.silence:
            raise Unreadable("silent", recording.sound_source, f"peak {peak:.0f} dBFS")

        middles = (np.arange(self.face.pictures) + 0.5) / self.face.pictures
        samples = sound.first + middles * len(kept)
        times = sound.start + samples / SAMPLE_RATE
        pictures = read_pictures(recording, samples / sound.total, times)
        crops, found = self.face.crops(pictures)
        box = recording.box and relative(recording.box, crops[0])
        if box and (len(set(crops)) > 1 or not seen(box)):
            box = None  # it would be another one in each picture, or lies outside of them
        missed = self.face.detector != "none" and not found
        return ClipFeatures(
            face=self.face.cut(pictures, crops),
            sound=kept,
            audio=self.audio(torch.from_numpy(kept)).numpy(),
            box=box,
            crop=crops[0],
            note="no face found, picture used whole" if missed else "",
        )


def read_pictures(recording: Recording, fractions: np.ndarray, times: np.ndarray) -> list[Picture]:
    """Return the pictures of a recording at fractions of its sound, which are times in seconds."""
    if recording.video is not None:
        return read_video(recording.video, times.tolist())
    assert recording.image is not None
    if recording.image.is_dir():
        return read_frames(recording.image, fractions.tolist())
    return [read_picture(recording.image)] * len(times)


def relative(box: Box, crop: Box) -> Box:
    """Return a box in fractions of the crop."""
    side = crop.right - crop.left
    return Box(
        (box.left - crop.left) / side,
        (box.top - crop.top) / side,
        (box.right - crop.left) / side,
        (box.bottom - crop.top) / side,
    )


def seen(box: Box) -> bool:
    """Say whether the centre of a box, in fractions of the picture, lies in it."""
    return 0 <= box.left + box.right <= 2 and 0 <= box.top + box.bottom <= 2
