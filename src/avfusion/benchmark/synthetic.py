"""Synthetic store: random clips of given shapes, for whatever reads a store."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from avfusion.data.computed import LENGTHS_FILE
from avfusion.data.index import ClipRecord, write_index
from avfusion.data.store import INDEX_FILE, STORE_FORMAT, locate_shard
from avfusion.features.clip import Stream

PIXELS_PER_CELL = 8  # of the convolutional face encoder


class Size(NamedTuple):
    """Clips of a batch, steps of audio streams, rows and columns of face maps.

    None leaves a stream as it is described.
    """

    batch_size: int
    frames: int | None = None
    map_size: int | None = None

    def resize(self, stream: Stream) -> Stream:
        """Describe a stream of this size."""
        shape = stream.shape
        if self.frames is not None and stream.kind == "sequence" and len(shape) > 1:
            shape = (self.frames, *shape[1:])
        if self.map_size is not None and stream.kind == "maps":
            shape = (*shape[:2], self.map_size, self.map_size)
        if self.map_size is not None and stream.kind == "pictures":
            pixels = PIXELS_PER_CELL * self.map_size
            shape = (shape[0], pixels, pixels, shape[3])
        return replace(stream, shape=shape)


def write_store(
    root: Path, streams: Mapping[str, Stream], outputs: int, clips: Mapping[str, int]
) -> Path:
    """Write a store of random numbers, with so many ``clips`` in each split.

    Nothing is missing or padded, every class has as many clips as any other, and normalization
    does nothing.

    Raises:
        ValueError: A stream has several layers, which only encoders compute.
    """
    total = sum(clips.values())
    generator = np.random.default_rng(0)
    described = {}
    for name, stream in streams.items():
        if stream.layers:
            raise ValueError(
                f"The stream {name} has {stream.layers} layers, of which no synthetic clips are "
                "made: choose a stream without layers."
            )
        described[name] = _describe(stream).plain()
        locate_shard(root, name, 0).parent.mkdir(parents=True)
        np.save(locate_shard(root, name, 0), _draw(stream, total, generator))
        if stream.kind == "sequence":
            np.save(root / name / LENGTHS_FILE, np.full(total, stream.shape[0]))

    classes = [f"class_{number}" for number in range(outputs)]
    splits = [split for split, count in clips.items() for _ in range(count)]
    write_index(
        root / INDEX_FILE,
        [_record(place, classes[place % outputs], split) for place, split in enumerate(splits)],
    )

    description: dict[str, Any] = {
        "format": STORE_FORMAT,
        "name": "synthetic",
        "labels": "single_label",
        "output_names": classes,
        "boxes": False,
        "features": {"face": {}, "audio": {}},
        "streams": described,
        "leaks": {},
        "allowed_leaks": [],
    }
    (root / "report.csv").write_text("clip_id,outcome\n", encoding="utf-8")
    (root / "description.json").write_text(json.dumps(description), encoding="utf-8")
    return root


def _describe(stream: Stream) -> Stream:
    """Describe a stream on its own, without who computed it."""
    features = 0 if stream.kind == "maps" or stream.shape[1:] == () else stream.shape[-1]
    if stream.kind == "vector":
        features = stream.shape[0]
    return Stream(
        stream.modality,
        stream.kind,
        stream.shape,
        stream.dtype,
        rate=stream.rate,
        mean=(0.0,) * features,
        std=(1.0,) * features,
    )


def _draw(stream: Stream, clips: int, generator: np.random.Generator) -> np.ndarray:
    shape, dtype = (clips, *stream.shape), np.dtype(stream.dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return generator.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    return generator.standard_normal(shape, np.float32).astype(dtype, copy=False)


def _record(place: int, label: str, split: str) -> ClipRecord:
    return ClipRecord(
        clip_id=f"{place:06d}",
        label=label,
        subject=f"subject_{place}",
        session="",
        split=split,
        shard=0,
        place=place,
        window=None,
        seconds=0.0,
        samples=0,
        frames=0,
        has_face=True,
        has_audio=True,
        pictures=1,
        note="",
        box=None,
        crop=None,
        picture_size=None,
        face_source=None,
        audio_source=None,
        face_digest=None,
        audio_digest=None,
    )
