"""One split of a store, as a data set of torch."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Int64
from torch.utils.data import Dataset

from avfusion.data.clips import Clips
from avfusion.data.store import Store
from avfusion.targets import Target


class SplitDataset(Dataset[Clips]):
    """The clips of one split and some of their ``streams``, read a batch at a time.

    ``rows`` are those of the split in the index of the store, in its order.
    """

    def __init__(
        self,
        store: Store,
        rows: Int64[np.ndarray, "rows"],
        target: Target,
        streams: Sequence[str] = ("frames", "mfcc"),
    ) -> None:
        self.store = store
        self.streams = streams
        self.sequences = [name for name in streams if store.streams[name].kind == "sequence"]
        self.rows = rows
        self.labels = target.encode(store.labels.names)[store.labels.numbers]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, positions: list[int]) -> Clips:
        """Return the clips at some positions as a batch, in the order of the store."""
        rows = self.rows.take(positions)
        rows.sort()
        store = self.store
        lengths = {name: store.lengths(name).take(rows) for name in self.sequences}
        return Clips(
            streams={name: store.read(name, rows) for name in self.streams},
            lengths={name: torch.from_numpy(one) for name, one in lengths.items()},
            has_face=torch.from_numpy(store.has_face.take(rows)),
            has_audio=torch.from_numpy(store.has_audio.take(rows)),
            label=torch.from_numpy(self.labels.take(rows, axis=0)),
            box=torch.from_numpy(store.boxes.take(rows, axis=0)),
            row=torch.from_numpy(rows),
        )


def as_read(clips: Clips) -> Clips:
    """Return a batch as the store gave it: there is nothing to collate."""
    return clips
