"""All features of one clip."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int16, UInt8

from avfusion.corpora.recording import Box, Recording
from avfusion.features.face import FaceFeatures
from avfusion.features.hearing import hear
from avfusion.features.looking import Seen, look
from avfusion.features.maps import FaceMaps
from avfusion.features.mfcc import AudioFeatures
from avfusion.features.policies import Policies
from avfusion.features.source import Unreadable


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


@dataclass(frozen=True)
class Features:
    """How recordings become clips; ``maps``, if any, are computed once all of them are."""

    face: FaceFeatures
    audio: AudioFeatures
    policies: Policies = field(default_factory=Policies)
    maps: FaceMaps | None = None

    def __post_init__(self) -> None:
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
        sound = None if heard is None or heard.silent else heard.sound
        seen = look(recording, sound, self.face, self.policies, notes)
        if sound is None and seen is None:
            raise Unreadable("neither sound nor picture", recording.sources[0], ", ".join(notes))
        if seen is None or sound is None:
            notes.append("picture only" if seen else "sound only")
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
