"""Precomputed features of the user: a file for each clip, named by the corpus, as a stream."""

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32

from avfusion.corpora import Contents
from avfusion.corpora.recording import FeatureFormat, Recording
from avfusion.corpora.spelling import escape_surrogates
from avfusion.data.store import Store
from avfusion.features.streams import Encoded
from avfusion.messages import join_items
from avfusion.preparation.streams import Rows, StreamPlan, write_stream
from avfusion.preparation.workers import acquire_lock

SUFFIXES = (".npy", ".npz", ".pt", ".pth")


class PrecomputedFeatures:
    """Features of some clips in place of an encoder's output; numbers keep their 32 bits."""

    layers = 0
    stored_dtype = "float32"
    offset = 0.0

    def __init__(
        self, recordings: Mapping[int, Recording], name: str, feature_format: FeatureFormat
    ) -> None:
        self.recordings, self.name, self.feature_format = recordings, name, feature_format
        first = read_features(next(iter(recordings.values())), name, feature_format)
        self.kind = "vector" if first.ndim == 1 else "sequence"
        self.rate = feature_format.rate_of(name) if first.ndim > 1 else None

    def __call__(self, rows: Rows) -> Encoded:
        """Read the features of one clip."""
        (row,) = rows.tolist()
        values = torch.from_numpy(
            read_features(self.recordings[row], self.name, self.feature_format)
        )
        lengths = torch.tensor([len(values)]) if self.kind == "sequence" else None
        return Encoded(values[None], lengths)


def add_precomputed(root: Path, contents: Contents, name: str) -> None:
    """Write precomputed features, ``face_features`` or ``audio_features``, as a stream."""
    if name in Store(root).streams:
        return
    with acquire_lock(root.parent, Path(f"{root}.{name}"), f"stream {name} of {root.name}"):
        store = Store(root)
        if name in store.streams:
            return

        recordings = {
            escape_surrogates(clip.clip_id): clip
            for clip in contents.recordings
            if getattr(clip, name) is not None
        }
        clips = enumerate(store.texts("clip_id"))
        by_row = {row: recordings[clip] for row, clip in clips if clip in recordings}
        if not by_row:
            return
        features = PrecomputedFeatures(by_row, name, contents.features)
        plan = StreamPlan(
            store,
            name,
            name.partition("_")[0],
            encoder=features,
            compute=features,
            group=split_into_singles,
            has_values=np.isin(np.arange(len(store)), list(by_row)),
            lengths=np.ones(len(store), np.int64),
        )
        origin = {key: None for key in ("encoder", "reads", "source", "sha256")}
        write_stream(plan, origin | {"weights": "files of the corpus"}, "32")


def split_into_singles(rows: Rows) -> Iterable[Rows]:
    """Split clips into batches of one."""
    return list(rows[:, None])


def check_precomputed(contents: Contents, name: str) -> None:
    """Refuse features that a network cannot read, before anything is decoded.

    Raises:
        ValueError: names the first clip that is wrong.
    """
    expected: tuple[int, ...] | None = None
    for clip in contents.recordings:
        if getattr(clip, name) is None:
            continue
        shape = read_features(clip, name, contents.features).shape
        if expected is None:
            first, expected = clip, shape
        if (len(shape), shape[-1]) != (len(expected), expected[-1]):
            raise ValueError(
                f"The {name} of clip {clip.clip_id} have the shape {shape}, those of clip "
                f"{first.clip_id} {expected}: all need the same width, and a time axis or none."
            )


def read_features(
    clip: Recording, name: str, feature_format: FeatureFormat
) -> Float32[np.ndarray, "*steps features"]:
    """Read the features of a clip.

    Raises:
        ValueError: in a sentence with the clip, where the file holds no such features.
    """
    path = getattr(clip, name)
    subject = f"The {name} of clip {clip.clip_id} ({path})"
    if path.suffix.lower() not in SUFFIXES:
        raise ValueError(f"{subject} must be {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}.")
    try:
        loaded = _load(path)
    except Exception as error:  # of any kind, where a file is something else
        raise ValueError(f"{subject} cannot be read ({error}): write the file again.") from error

    chosen = _select(loaded, feature_format.key_of(name), name, subject)
    try:
        values = _to_array(chosen)
    except Exception as error:  # of rows of several lengths, or a sparse tensor
        raise ValueError(f"{subject} are no array ({error}): write them as one.") from error
    if values.ndim not in (1, 2) or not values.size or values.dtype.kind not in "fiu":
        raise ValueError(
            f"{subject} are {values.dtype} of shape {values.shape}: give numbers, [dim] or [time, "
            "dim]."
        )
    with np.errstate(over="ignore"):  # of numbers that 32 bits do not hold
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        wrong = np.count_nonzero(~np.isfinite(values))
        raise ValueError(
            f"{subject} have {wrong} of {values.size} values that are infinite or not a number: "
            "compute them again, or leave the clip out."
        )
    return values


def _load(path: Path) -> Any:
    if path.suffix.lower() in (".pt", ".pth"):
        return torch.load(path, map_location="cpu", weights_only=True)
    if zipfile.is_zipfile(path):
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    return np.load(path, allow_pickle=False)


def _select(loaded: Any, key: str | None, name: str, subject: str) -> Any:
    """Take the array out of what a file holds."""
    if not isinstance(loaded, dict):
        return loaded
    if key is None and len(loaded) == 1:
        (loaded,) = loaded.values()
    elif key in loaded:
        loaded = loaded[key]
    else:
        names = join_items(list(map(str, loaded)))
        raise ValueError(
            f"{subject} hold {names}"
            + (f", and no {key}" if key else "")
            + ": say which one with corpus.features.key=<name>, or with "
            f"corpus.features.key={{{name}: <name>}} for this column alone."
        )
    return loaded


def _to_array(values: Any) -> np.ndarray:
    if isinstance(values, torch.Tensor):
        values = values.detach()  # as many a network gives it
        values = values.float() if values.is_floating_point() else values
    return np.asarray(values)
