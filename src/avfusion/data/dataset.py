"""One split of a store, as a data set of torch."""

import torch
from torch.utils.data import Dataset

from avfusion.data.clips import Clips
from avfusion.data.store import Store
from avfusion.targets import Target


class SplitDataset(Dataset[Clips]):
    """The clips of one split, read a batch at a time, with pictures or with their ``maps``."""

    def __init__(self, store: Store, split: str, target: Target, maps: bool = False) -> None:
        self.store = store
        self.maps = maps
        self.rows = store.rows(split)
        self.labels = target.encode(store.labels.names)[store.labels.numbers]

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


def as_read(clips: Clips) -> Clips:
    """Return a batch as the store gave it: there is nothing to collate."""
    return clips
