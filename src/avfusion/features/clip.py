"""A clip: the streams that a store keeps of one recording, and the features that fill them."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, Int16, UInt8

from avfusion.corpora.image_archives import read_archived_picture
from avfusion.corpora.media import detect_kind
from avfusion.corpora.recording import Box, Recording
from avfusion.corpora.table import FEATURE_COLUMNS
from avfusion.features.audio import AudioSamples, read_audio
from avfusion.features.contract import AudioFrames, FaceCrops, check_contract
from avfusion.features.face import FRAMES
from avfusion.features.face_maps import FaceMaps
from avfusion.features.mfcc import SAMPLE_RATE
from avfusion.features.picture import (
    DecodedFrames,
    DecodingLoss,
    Picture,
    is_still,
    read_frame_folder,
    read_picture,
)
from avfusion.features.policies import Missing, Policies, Unreadable
from avfusion.features.streams import StreamEncoder, check_encoder
from avfusion.features.video import read_video, read_video_span
from avfusion.messages import join_items

WAVEFORM = "waveform"  # the stream of the sound, as it is decoded
MODALITIES = ("face", "audio")
STREAM_KINDS = ("pictures", "maps", "sequence", "vector")
RESERVED_NAMES = {"moments", *FEATURE_COLUMNS}  # of folders of a store, and of precomputed features
NOTE_SEPARATOR = "; "  # some notes of a clip have a comma


@dataclass(frozen=True)
class Stream:
    """One named array of a store, which holds an item per clip.

    ``modality`` is face or audio. ``kind`` says what the axes of an item, of this ``shape``, are:
    ``pictures`` are [pictures, height, width, 3], ``maps`` [pictures, channels, rows, columns], a
    ``sequence`` begins with its time axis, such as [steps, features] or [samples], and a ``vector``
    is [features]. Where there are ``layers``, of a network whose hidden layers were kept, they come
    first: [layers, steps, features] or [layers, features].

    A sequence has ``rate`` steps per second (None where its maker does not say), the middle of the
    first one ``offset`` seconds after the first sample that is kept of the sound, and a true length
    in each clip: in the column ``lengths`` of the index, or, without one, in lengths.npy beside its
    shards, [clips]. Steps of padding hold zeros. Of a stream that an encoder computed, ``shape``
    has the steps of the longest clip.

    ``mean`` and ``std`` have a number for each feature, and with layers a list of them for each
    layer, over the training clips of a split plan, where they are known. A stream that an encoder
    computed names that encoder's recipe (see ``avfusion.features.streams``), the stream that it
    ``reads``, where its ``weights`` come from, in words and as ``source``, and their ``sha256``.
    """

    modality: str
    kind: str
    shape: tuple[int, ...]
    dtype: str
    rate: float | None = None
    offset: float = 0.0
    lengths: str | None = None
    layers: int = 0
    mean: tuple[Any, ...] = ()
    std: tuple[Any, ...] = ()
    encoder: Mapping[str, Any] | None = None
    reads: str | None = None
    source: Mapping[str, Any] | None = None
    weights: str | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        if self.modality not in MODALITIES or self.kind not in STREAM_KINDS:
            raise ValueError(
                f"A stream is of the face or of the audio and one of {STREAM_KINDS}, got "
                f"{self.modality} and {self.kind}."
            )

    @property
    def clip_bytes(self) -> int:
        """Bytes of the item of one clip."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def zeros(self, clips: int) -> np.ndarray:
        """Make zeros to hold the items of some clips."""
        return np.zeros((clips, *self.shape), self.dtype)

    def plain(self) -> dict[str, Any]:
        """Convert to plain containers, which JSON and checkpoints keep."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "Stream":
        """Convert from plain containers; a description may say more of a stream."""
        known: dict[str, Any] = {
            field.name: tuple(value) if isinstance(value, list) else value
            for field in fields(cls)
            if (value := values.get(field.name, field.default)) is not MISSING
        }
        return cls(**known)


class ClipFeatures(NamedTuple):
    """Features of one clip, as a store keeps them.

    ``face`` is RGB, ``waveform`` mono at 16 kHz, ``audio`` the audio frames of that sound. ``box``
    is the speaker's face in fractions of the stored picture (None where unknown), ``crop`` the
    square cut out of the first picture, in pixels, ``picture_size`` width and height of that
    picture; ``note`` says what the report should; ``seconds`` is the length of the whole sound, of
    which there is a ``fingerprint``. A modality that the clip does not have is a row of zeros.
    """

    face: UInt8[np.ndarray, "pictures size size 3"]
    waveform: Int16[np.ndarray, "samples"]
    audio: Float32[np.ndarray, "frames features"]
    box: Box | None
    crop: Box | None
    note: str
    has_face: bool
    has_audio: bool
    seconds: float
    picture_size: tuple[int, int] | None = None
    fingerprint: bytes | None = None


@dataclass(frozen=True)
class Features:
    """Features of recordings: what decoding gives, and encoders that compute streams of that.

    Face maps belong to a store, whose name says by whom they are; ``audio_stream``,
    ``face_stream`` and ``more_streams`` are added to the one that is there.
    """

    face: FaceCrops
    audio: AudioFrames
    policies: Policies = field(default_factory=Policies)
    face_maps: FaceMaps | None = None
    audio_stream: StreamEncoder | None = None
    face_stream: StreamEncoder | None = None
    more_streams: Mapping[str, StreamEncoder] | None = None

    def __post_init__(self) -> None:
        check_contract(self.face, FaceCrops, "features.face")
        check_contract(self.audio, AudioFrames, "features.audio")
        if self.face_maps is not None and self.face_maps.encoder is None:
            object.__setattr__(self, "face_maps", None)  # neither a run nor an encoder was given
        if isinstance(self.face_stream, FaceMaps) and self.face_stream.encoder is None:
            object.__setattr__(self, "face_stream", None)
        for key, modality in (("audio_stream", "audio"), ("face_stream", "face")):
            check_encoder(getattr(self, key), f"features.{key}", modality)
        for key, encoder in (self.more_streams or {}).items():
            check_encoder(encoder, f"features.more_streams.{key}")
        if reserved := {*self.names} & RESERVED_NAMES:
            raise ValueError(
                f"A stream of a store cannot be called {join_items([*sorted(reserved)])}, which "
                "means something else there: give it another name, as in "
                "features.audio_stream.stream=<name>."
            )
        if len({*self.names}) < len(self.names) or not all(map(str.isidentifier, self.names)):
            raise ValueError(
                f"The streams of a store need names of their own, of letters, digits and _, got "
                f"{', '.join(self.names)}: set features.face_maps.stream, stream of the audio "
                "features, or that of another encoder, such as features.audio_stream.stream."
            )

    @property
    def encoders(self) -> list[StreamEncoder]:
        """Encoders that compute streams once all clips are decoded."""
        added = (self.audio_stream, self.face_stream, *(self.more_streams or {}).values())
        return [encoder for encoder in (self.face_maps, *added) if encoder is not None]

    @property
    def names(self) -> list[str]:
        """Names of all streams that a store of these features has."""
        computed = [encoder.stream for encoder in self.encoders]
        return [FRAMES, self.audio.stream, WAVEFORM, *computed]

    @property
    def streams(self) -> dict[str, Stream]:
        """Streams that decoding gives, by name; of each modality, the first is shown."""
        face, audio = self.face, self.audio
        hop = getattr(audio, "hop", None)
        audio_frames = Stream(
            "audio",
            "sequence",
            (audio.frames(audio.samples), audio.features),
            "float32",
            rate=None if hop is None else SAMPLE_RATE / hop,
            offset=audio.window / 2 / SAMPLE_RATE,
            lengths="frames",
        )
        return {
            FRAMES: Stream("face", "pictures", (face.num_frames, face.size, face.size, 3), "uint8"),
            audio.stream: audio_frames,
            WAVEFORM: Stream(
                "audio", "sequence", (audio.samples,), "int16", SAMPLE_RATE, lengths="samples"
            ),
        }

    def values(self, clip: ClipFeatures) -> dict[str, np.ndarray]:
        """Values of each stream for a clip, of its true length."""
        return {FRAMES: clip.face, self.audio.stream: clip.audio, WAVEFORM: clip.waveform}

    def arrays(self, clips: int) -> dict[str, np.ndarray]:
        """Make zeros to hold the streams of some clips."""
        return {name: stream.zeros(clips) for name, stream in self.streams.items()}

    def __call__(self, recording: Recording) -> ClipFeatures:
        """Decode one recording.

        Raises:
            Unreadable: where it cannot be used, or its policy is not to.
        """
        notes: list[str] = []
        sound = read_audio(recording, self.audio, self.policies, notes)
        frames = read_frames(recording, sound, self.face, self.policies, notes)

        has_face = frames is not None or recording.face_features is not None
        is_heard = sound is not None and not sound.silent
        has_audio = is_heard or recording.audio_features is not None
        # A window is kept even so: the time line of its recording has no holes.
        if not has_face and not has_audio and recording.window is None:
            raise Unreadable(
                "neither sound nor picture", recording.sources[0], NOTE_SEPARATOR.join(notes)
            )
        if has_audio != has_face:
            notes.append("sound only" if has_audio else "picture only")

        streams = self.streams
        frames = frames or ClipFrames(streams[FRAMES].zeros(1)[0], None, None)
        waveform, audio = np.zeros(0, np.int16), streams[self.audio.stream].zeros(1)[0, :1]
        if sound is not None and has_audio:
            waveform = sound.samples.astype(np.int16)
            audio = self.audio(torch.from_numpy(waveform)).numpy()

        return ClipFeatures(
            face=frames.face,
            waveform=waveform,
            audio=audio,
            box=frames.box,
            crop=frames.crop,
            note=NOTE_SEPARATOR.join(notes),
            has_face=has_face,
            has_audio=has_audio,
            seconds=sound.total / SAMPLE_RATE if sound else 0.0,
            picture_size=frames.picture_size,
            fingerprint=sound.fingerprint if sound and is_heard else None,
        )


class ClipFrames(NamedTuple):
    """Face crops of a clip; boxes and ``picture_size`` as in ``ClipFeatures``."""

    face: UInt8[np.ndarray, "pictures size size 3"]
    box: Box | None
    crop: Box | None
    picture_size: tuple[int, int] | None = None


def read_frames(
    recording: Recording,
    sound: AudioSamples | None,
    features: FaceCrops,
    policies: Policies,
    notes: list[str],
) -> ClipFrames | None:
    """Read the face crops of a recording at evenly spaced times of its sound.

    None where it has no picture and may be kept without; ``notes`` are added to.

    Raises:
        Unreadable: where the pictures cannot be used, or their policy is not to.
    """
    path = recording.sources[0]
    try:
        frames = decode_frames(recording, sound, features.num_frames)
    except Missing as missing:
        if recording.face_features is None:
            policies.apply("missing", missing)
            notes.append(missing.reason)
        return None
    except Unreadable as problem:
        problem.fatal = problem.reason == "truncated" and policies.truncated == "error"
        raise  # whatever the policy is, there is nothing to keep
    if recording.region is not None:
        whole = {id(picture): picture for picture in frames.pictures}  # one may be repeated
        parts = {key: cut_region(picture, recording.region) for key, picture in whole.items()}
        frames = frames._replace(pictures=[parts[id(picture)] for picture in frames.pictures])
    lost, promised, unit = frames.loss
    policies.apply_to_loss(lost, promised, path, notes, unit)

    turned, crops, found = features.crops(frames.pictures)
    if features.detector != "none" and not found:
        policies.apply("no_face", Unreadable("no face found", path))
        notes.append("no face found, picture used whole")

    crop = Box(*(side * frames.reduction for side in crops[0]))
    box = recording.box and _relative_box(recording.box, crop)
    is_upright = all(t is p for t, p in zip(turned, frames.pictures, strict=True))
    is_same_crop = len(set(crops)) == 1 and is_upright
    if box and not (is_same_crop and _has_center_inside(box)):
        box = None  # it would be another one in each picture, or lies outside of them

    height, width = (round(side * frames.reduction) for side in frames.pictures[0].shape[:2])
    return ClipFrames(features.cut(turned, crops), box, crop, (width, height))


def decode_frames(recording: Recording, sound: AudioSamples | None, count: int) -> DecodedFrames:
    """Decode the pictures that belong to a sound, or to the whole recording without one.

    Raises:
        Missing: where there is none.
        Unreadable: where none can be decoded.
    """
    middles = (np.arange(count) + 0.5) / count

    if recording.video is not None:
        if is_still(recording.video):
            return _repeat_picture(recording.video, count)
        if sound is None:
            first, last = read_video_span(recording.video)
            if recording.window is not None:
                begin, end = (sample / SAMPLE_RATE for sample in recording.window)
                first, last = first + begin, first + end
            return read_video(recording.video, (first + middles * (last - first)).tolist())
        samples = sound.first + middles * len(sound.samples)
        return read_video(recording.video, (sound.start + samples / SAMPLE_RATE).tolist())

    if recording.image is None:
        raise Missing("no picture", recording.sources[0])
    if recording.archive_index is not None:
        return DecodedFrames(
            [read_archived_picture(recording.image, recording.archive_index)] * count
        )
    if recording.image.is_dir():
        if sound is not None:
            middles = (sound.first + middles * len(sound.samples)) / sound.total
        return read_frame_folder(recording.image, middles.tolist())
    if detect_kind(recording.image) == "video" and not is_still(recording.image):
        first, last = _find_span(recording.image, recording.span)
        seconds = middles * (last - first)
        if sound is not None:
            seconds = (sound.first + middles * len(sound.samples)) / SAMPLE_RATE
        return read_video(recording.image, (first + seconds).tolist())
    return _repeat_picture(recording.image, count)


def cut_region(picture: Picture, region: Box) -> UInt8[np.ndarray, "rows columns 3"]:
    """Cut a part out of a picture, given in fractions of its sides."""
    height, width, _ = picture.shape
    top, bottom = round(region.top * height), round(region.bottom * height)
    left, right = round(region.left * width), round(region.right * width)
    return np.ascontiguousarray(picture[top:bottom, left:right])


def _find_span(path: Path, span: tuple[float, float] | None) -> tuple[float, float]:
    """First and last second that are shown of a video: of a part of it, or of all."""
    start, end = read_video_span(path)
    if span is None:
        return start, end
    if span[0] > end:
        raise Unreadable("ends before the clip", path, f"{end:.2f} s, from {span[0]:.2f} s on")
    return span


def _repeat_picture(path: Path, count: int) -> DecodedFrames:
    still = read_picture(path)
    return DecodedFrames([still.picture] * count, still.reduction, DecodingLoss(still.lost))


def _relative_box(box: Box, crop: Box) -> Box:
    side = crop.right - crop.left
    return Box(
        (box.left - crop.left) / side,
        (box.top - crop.top) / side,
        (box.right - crop.left) / side,
        (box.bottom - crop.top) / side,
    )


def _has_center_inside(box: Box) -> bool:
    return 0 <= box.left + box.right <= 2 and 0 <= box.top + box.bottom <= 2
