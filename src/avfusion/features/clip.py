"""All features of one clip: for a store, and for recordings that are to be predicted."""

from collections.abc import Mapping
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from pydoc import locate
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int16, UInt8

from avfusion import checkpoint
from avfusion.corpora.image_archives import read_archived_picture
from avfusion.corpora.recording import Box, Recording
from avfusion.features.audio import Sound, hear
from avfusion.features.contract import AudioFrames, FaceCrops, check_contract
from avfusion.features.face import FaceFeatures
from avfusion.features.face_maps import FaceMaps
from avfusion.features.identity import CLASS, FILES, SHIPPED, SOURCE, identify, name_of
from avfusion.features.mfcc import SAMPLE_RATE, AudioFeatures
from avfusion.features.picture import Loss, Shown, is_still, read_frames, read_picture
from avfusion.features.policies import Policies
from avfusion.features.source import Missing, Unreadable
from avfusion.features.stream import FRAMES, WAVEFORM, Stream
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
    if recording.archive_index is not None:
        return Shown([read_archived_picture(recording.image, recording.archive_index)] * count)
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


INSTEAD = (
    "prepare the recordings with it, and predict with data=store data.store=<the path that prints>"
)


def answering(
    settings: Mapping[str, Any], face: Mapping[str, Any] | None = None, maps: str | None = None
) -> Features:
    """Return those of a description, with other values of the face where given.

    ``maps`` is a checkpoint that holds the encoder of their face maps, where those are needed.

    Raises:
        ValueError: where they are of a class that a checkpoint may not call, or that has changed.
    """
    check_answerable(settings)
    kind = class_of(settings, "features", Features)
    return kind(
        rebuilt({**settings["face"], **(face or {})}, "features.face", FaceFeatures),
        rebuilt(settings["audio"], "features.audio", AudioFeatures),
        Policies.answering(),
        None if maps is None else FaceMaps(maps, stream=settings["maps"]["stream"]),
        **{name: settings[name] for name in settings if name not in PARTS},
    )


PARTS = ("face", "audio", "policies", "maps", CLASS, SOURCE, FILES)


def check_answerable(settings: Mapping[str, Any]) -> None:
    """Refuse features whose class cannot be found here as it was when they were made."""
    class_of(settings, "features", Features)
    class_of(settings["face"], "features.face", FaceFeatures)
    class_of(settings["audio"], "features.audio", AudioFeatures)


def rebuilt(settings: Mapping[str, Any], key: str, shipped: type) -> Any:
    """Return a part of features of its settings, computing what it computed then."""
    kind = class_of(settings, key, shipped)
    values = {name: value for name, value in settings.items() if name not in PARTS}
    try:
        part = kind(**values)
    except TypeError as error:
        raise ValueError(
            f"{key} was a {name_of(kind)}, which cannot be built of its attributes ({error}): "
            f"{INSTEAD}."
        ) from error
    if SOURCE in settings and identify(part, key).get(FILES) != settings.get(FILES):
        raise ValueError(
            f"{key} was a {name_of(kind)} that read other files than there are now: {INSTEAD}."
        )
    return part


def class_of(settings: Mapping[str, Any], key: str, shipped: type) -> Any:
    """Return the class of some features; one of the user's only where it is allowed, and as was."""
    name = settings.get(CLASS, name_of(shipped))
    if name in SHIPPED and SOURCE not in settings:
        return locate(name)
    if name not in checkpoint.ALLOWED:
        raise ValueError(
            f"The network was trained on {key} of the class {name}, which no checkpoint may call: "
            f"{INSTEAD}, or add {name!r} to ALLOWED in avfusion/checkpoint.py if you trust it."
        )
    kind = locate(name)
    if not (isinstance(kind, type) and is_dataclass(kind)):
        raise ValueError(
            f"The network was trained on {key} of the class {name}, which is no dataclass here, "
            f"and so cannot be built of its settings: {INSTEAD}."
        )
    if identify(kind, key).get(SOURCE) != settings.get(SOURCE):
        raise ValueError(
            f"The network was trained on {key} of the class {name}, whose source has changed since "
            "then: take it back to what it was, or train on the new features."
        )
    return kind
