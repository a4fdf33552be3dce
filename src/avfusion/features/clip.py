"""All features of one clip."""

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int16, UInt8

from avfusion.corpora.recording import Box, Recording
from avfusion.features.face import FaceFeatures
from avfusion.features.media import (
    HELD,
    Missing,
    Picture,
    Sound,
    Unreadable,
    decode_sound,
    read_frames,
    read_picture,
    read_sound,
    read_video,
    video_span,
)
from avfusion.features.mfcc import SAMPLE_RATE, AudioFeatures
from avfusion.features.policies import Policies


class ClipFeatures(NamedTuple):
    """What a store keeps of a clip.

    ``face`` is RGB, ``sound`` mono at 16 kHz, ``audio`` the audio frames of that sound. ``box`` is
    the speaker's face in fractions of the stored picture (None where unknown), ``crop`` the square
    cut out of the first picture, in pixels; ``note`` says what the report should. A modality that
    the clip does not have is a row of zeros.
    """

    face: UInt8[np.ndarray, "pictures size size 3"]
    sound: Int16[np.ndarray, "samples"]
    audio: Float32[np.ndarray, "frames features"]
    box: Box | None
    crop: Box | None
    note: str
    has_face: bool
    has_audio: bool


class Seen(NamedTuple):
    """The face of a clip, cut out."""

    face: UInt8[np.ndarray, "pictures size size 3"]
    box: Box | None
    crop: Box | None


@dataclass(frozen=True)
class Features:
    """How recordings become clips."""

    face: FaceFeatures
    audio: AudioFeatures
    policies: Policies = field(default_factory=Policies)

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
        notes: list[str] = []
        sound = self.hear(recording, notes)
        seen = self.look(recording, sound, notes)
        if sound is None and seen is None:
            raise Unreadable("neither sound nor picture", recording.sources[0], ", ".join(notes))
        none = self.arrays(1)
        seen_or_none = seen or Seen(none["face"][0], None, None)
        kept = none["sound"][0, :0] if sound is None else sound.samples.astype(np.int16)
        return ClipFeatures(
            face=seen_or_none.face,
            sound=kept,
            audio=none["audio"][0, :1] if sound is None else self.frames(kept),
            box=seen_or_none.box,
            crop=seen_or_none.crop,
            note=", ".join(notes),
            has_face=seen is not None,
            has_audio=sound is not None,
        )

    def frames(self, sound: Int16[np.ndarray, "samples"]) -> Float32[np.ndarray, "frames features"]:
        """Return the audio frames of a sound."""
        return self.audio(torch.from_numpy(sound)).numpy()

    def hear(self, recording: Recording, notes: list[str]) -> Sound | None:
        """Return the sound that is kept, in units of 16 bits, None where there is none to use."""
        path = recording.sound_source
        try:
            if path is None:
                raise Missing("no sound", recording.sources[0])
            sound = self.read(path, recording.window)
        except Missing as missing:
            self.policies.judge("missing", missing)
            notes.append("no sound, picture only")
            return None
        samples = sound.samples
        if not sound.finite:
            self.policies.meet("not_finite", "samples that are not finite", path)
            samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
            notes.append("samples that are not finite replaced by silence")
        if len(samples) < self.audio.window:
            milliseconds = f"{1000 * len(samples) / SAMPLE_RATE:.0f} ms"
            self.policies.meet("too_short", "too short", path, milliseconds)
        samples = (samples.clip(-1, 1) * (2**15 - 1)).round()
        energy = 10 * np.log10(max(np.square(samples / 2**15).mean(dtype=np.float64), 1e-20))
        if energy < self.audio.silence:
            self.policies.meet("silent", "silent", path, f"energy {energy:.0f} dBFS")
            notes.append("silent, picture only")
            return None
        return sound._replace(samples=samples)

    def read(self, path: Path, window: tuple[int, int] | None) -> Sound:
        """Return the samples of a sound that the settings choose, or those of a window."""
        if window is None:
            return read_sound(path, self.audio.span)
        first, end = window
        start = first - first % HELD  # neighbours share what is decoded
        held = decode_once(path, start)
        samples = held.samples[first - start : end - start]
        return held._replace(samples=samples, first=first)

    def look(self, recording: Recording, sound: Sound | None, notes: list[str]) -> Seen | None:
        """Return the face at evenly spaced times, None where there is none to use."""
        try:
            pictures = self.pictures(recording, sound)
        except Missing as missing:
            self.policies.judge("missing", missing)
            notes.append("no picture, sound only")
            return None
        turned, crops, found = self.face.crops(pictures)
        if self.face.detector != "none" and not found:
            self.policies.meet("no_face", "no face found", recording.sources[0])
            notes.append("no face found, picture used whole")
        box = recording.box and relative(recording.box, crops[0])
        still = len(set(crops)) == 1 and all(t is p for t, p in zip(turned, pictures, strict=True))
        if box and not (still and inside(box)):
            box = None  # it would be another one in each picture, or lies outside of them
        return Seen(self.face.cut(turned, crops), box, crops[0])

    def pictures(self, recording: Recording, sound: Sound | None) -> list[Picture]:
        """Decode the pictures that belong to a sound, or to the whole recording without one."""
        middles = (np.arange(self.face.pictures) + 0.5) / self.face.pictures
        if recording.video is not None:
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
        if recording.image.is_dir():
            if sound is not None:
                middles = (sound.first + middles * len(sound.samples)) / sound.total
            return read_frames(recording.image, middles.tolist())
        return [read_picture(recording.image)] * self.face.pictures


@lru_cache(maxsize=1)
def decode_once(path: Path, start: int) -> Sound:
    """Decode a stretch of a long sound, with as much of the next one as a window may need."""
    return decode_sound(path, slice(start, start + 2 * HELD))


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
