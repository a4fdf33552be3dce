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
from avfusion.features.stream import FRAMES, WAVEFORM, Stream

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
        if len({*self.names}) < len(self.names) or not all(map(str.isidentifier, self.names)):
            raise ValueError(
                f"The streams of a store need names of their own, of letters, digits and _, got "
                f"{', '.join(self.names)}: set features.maps.stream, or stream of the audio "
                "features."
            )

    @property
    def names(self) -> list[str]:
        """The names of all streams that a store of these features has."""
        return [FRAMES, self.audio.stream, WAVEFORM, *([self.maps.stream] if self.maps else [])]

    @property
    def streams(self) -> dict[str, Stream]:
        """The streams that decoding gives, by name; of each modality, the first is shown."""
        face, audio = self.face, self.audio
        hop = getattr(audio, "hop", None)
        heard = Stream(
            "audio",
            "sequence",
            (audio.frames(audio.samples), audio.features),
            "float32",
            rate=None if hop is None else SAMPLE_RATE / hop,
            offset=audio.window / 2 / SAMPLE_RATE,
            lengths="frames",
        )
        return {
            FRAMES: Stream("face", "pictures", (face.pictures, face.size, face.size, 3), "uint8"),
            audio.stream: heard,
            WAVEFORM: Stream(
                "audio", "sequence", (audio.samples,), "int16", SAMPLE_RATE, lengths="samples"
            ),
        }

    def values(self, clip: ClipFeatures) -> dict[str, np.ndarray]:
        """Return what each stream holds of a clip, of its true length."""
        return {FRAMES: clip.face, self.audio.stream: clip.audio, WAVEFORM: clip.sound}

    def arrays(self, clips: int) -> dict[str, np.ndarray]:
        """Return zeros to hold the streams of some clips."""
        return {name: stream.zeros(clips) for name, stream in self.streams.items()}

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
        streams = self.streams
        seen_or_none = seen or Seen(streams[FRAMES].zeros(1)[0], None, None)
        kept = sound.samples.astype(np.int16) if sound and has_audio else np.zeros(0, np.int16)
        return ClipFeatures(
            face=seen_or_none.face,
            sound=kept,
            audio=self.frames(kept) if has_audio else streams[self.audio.stream].zeros(1)[0, :1],
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
