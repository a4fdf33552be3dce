"""One split of a store, as a data set of torch."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int64
from torch.utils.data import Dataset

from avfusion.corpora.labels import classes_of
from avfusion.data.clips import Clips
from avfusion.data.store import Store


class SplitDataset(Dataset[Clips]):
    """The clips of one split, read a batch at a time, with pictures or with their ``maps``."""

    def __init__(
        self, store: Store, split: str, class_names: Sequence[str], maps: bool = False
    ) -> None:
        self.store = store
        self.maps = maps
        self.rows = store.rows(split)
        labels = [clip["label"] for clip in store.index]
        self.labels = (several if store.multilabel else single)(labels, class_names)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, positions: list[int]) -> Clips:
        """Return the clips at some positions as a batch, in the order of the store."""
        rows = self.rows.take(positions)
        rows.sort()
        store = self.store
        return Clips(
            face=store.face_maps(rows) if self.maps else store.faces(rows),
            audio=store.audio_frames(rows),
            audio_length=torch.from_numpy(store.frames.take(rows)),
            has_face=torch.from_numpy(store.has_face.take(rows)),
            has_audio=torch.from_numpy(store.has_audio.take(rows)),
            label=torch.from_numpy(self.labels.take(rows, axis=0)),
            box=torch.from_numpy(store.boxes.take(rows, axis=0)),
            row=torch.from_numpy(rows),
        )


def single(labels: Sequence[str], class_names: Sequence[str]) -> Int64[np.ndarray, "clips"]:
    """Return the number of each label's class."""
    numbers = {name: number for number, name in enumerate(class_names)}
    return np.array([numbers.get(label, -1) for label in labels], np.int64)


def several(
    labels: Sequence[str], class_names: Sequence[str]
) -> Int64[np.ndarray, "clips classes"]:
    """Return whether each label names each class; of one that names another, nothing is known."""
    rows = []
    for label in labels:
        named = classes_of(label, multilabel=True)
        known = named and set(named) <= set(class_names)
        rows.append([int(name in named) if known else -1 for name in class_names])
    return np.array(rows, np.int64)


def as_read(clips: Clips) -> Clips:
    """Return a batch as the store gave it: there is nothing to collate."""
    return clips
