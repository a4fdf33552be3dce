"""All features of one clip."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int16, UInt8

from avfusion.corpora.recording import Box, Recording
from avfusion.features.contract import AudioFrames, FaceCrops, check_contract
from avfusion.features.hearing import hear
from avfusion.features.looking import Seen, look
from avfusion.features.maps import FaceMaps
from avfusion.features.mfcc import SAMPLE_RATE
from avfusion.features.policies import Policies
from avfusion.features.source import Unreadable

NEXT_NOTE = "; "  # between the notes of a clip, some of which have a comma


class ClipFeatures(NamedTuple):
    """What a store keeps of a clip.

    ``face`` is RGB, ``sound`` mono at 16 kHz, ``audio`` the audio frames of that sound. ``box`` is
    the speaker's face in fractions of the stored picture (None where unknown), ``crop`` the square
    cut out of the first picture, in pixels, ``picture_size`` width and height of that picture;
    ``note`` says what the report should; ``seconds`` is the length of the whole sound. A modality
    that the clip does not have is a row of zeros.
    """

    face: UInt8[np.ndarray, "pictures size size 3"]
    sound: Int16[np.ndarray, "samples"]
    audio: Float32[np.ndarray, "frames features"]
    box: Box | None
    crop: Box | None
    note: str
    has_face: bool
    has_audio: bool
    seconds: float
    picture_size: tuple[int, int] | None = None


@dataclass(frozen=True)
class Features:
    """How recordings become clips; ``maps``, if any, are computed once all of them are."""

    face: FaceCrops
    audio: AudioFrames
    policies: Policies = field(default_factory=Policies)
    maps: FaceMaps | None = None

    def __post_init__(self) -> None:
        check_contract(self.face, FaceCrops, "features.face")
        check_contract(self.audio, AudioFrames, "features.audio")
        if self.maps is not None and self.maps.encoder is None:
            object.__setattr__(self, "maps", None)  # neither a run nor an encoder was given

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
        heard = hear(recording, self.audio, self.policies, notes)
        sound = heard and heard.sound
        seen = look(recording, sound, self.face, self.policies, notes)
        has_audio = heard is not None and not heard.silent
        # A window is kept even so: the time line of its recording has no holes.
        if seen is None and not has_audio and recording.window is None:
            raise Unreadable(
                "neither sound nor picture", recording.sources[0], NEXT_NOTE.join(notes)
            )
        if has_audio != (seen is not None):
            notes.append("sound only" if has_audio else "picture only")
        none = self.arrays(1)
        seen_or_none = seen or Seen(none["face"][0], None, None)
        kept = sound.samples.astype(np.int16) if sound and has_audio else none["sound"][0, :0]
        return ClipFeatures(
            face=seen_or_none.face,
            sound=kept,
            audio=self.frames(kept) if has_audio else none["audio"][0, :1],
            box=seen_or_none.box,
            crop=seen_or_none.crop,
            note=NEXT_NOTE.join(notes),
            has_face=seen is not None,
            has_audio=has_audio,
            seconds=sound.total / SAMPLE_RATE if sound else 0.0,
            picture_size=seen_or_none.picture_size,
        )

    def frames(self, sound: Int16[np.ndarray, "samples"]) -> Float32[np.ndarray, "frames features"]:
        """Return the audio frames of a sound."""
        return self.audio(torch.from_numpy(sound)).numpy()
