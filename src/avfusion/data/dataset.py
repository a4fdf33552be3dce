"""Data set, sampler and loader of one split of a store."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64, Int64
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, SequentialSampler

from avfusion.data.batch import Clips
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
        self.labels = target.read_labels(store)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitems__(self, positions: list[int]) -> Clips:
        """Clips at some positions as a batch, in the order of the store."""
        rows = self.rows.take(positions)
        rows.sort()
        store = self.store
        lengths = {name: store.lengths(name).take(rows) for name in self.sequences}
        has_face = store.has_face.take(rows)
        return Clips(
            streams={name: store.read(name, rows) for name in self.streams},
            lengths={name: torch.from_numpy(one) for name, one in lengths.items()},
            has_face=torch.from_numpy(has_face),
            has_audio=torch.from_numpy(store.has_audio.take(rows)),
            label=torch.from_numpy(self.labels.take(rows, axis=0)),
            box=torch.from_numpy(store.boxes.take(rows, axis=0)),
            row=torch.from_numpy(rows),
            all_have_face=bool(has_face.all()),
        )


def collate_nothing(clips: Clips) -> Clips:
    """Batch as the store gave it: there is nothing to collate."""
    return clips


class ClipSampler(Sampler[int]):
    """Every clip once: in the order of the split, or shuffled by seed and epoch alone.

    With ``weights``, an epoch has as many clips, each drawn anew in proportion to these, so that
    some come several times and others not at all; this, too, by seed and epoch alone.

    Each of ``ranks`` processes reads every ranks-th clip. When shuffled, the last clips of an
    epoch are left out where they do not go round, so that all processes take the same number of
    steps; otherwise nothing is left out or read twice. ``start`` clips, counted over all processes,
    were read before the next pass.
    """

    def __init__(
        self,
        clips: int,
        shuffle: bool,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
        weights: Float64[Tensor, "clips"] | None = None,
    ) -> None:
        self.clips = clips
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.ranks = ranks
        self.weights = weights
        self.epoch = 0
        self.start = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this as each one starts."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if not self.shuffle:
            return iter(range(self.clips)[self.start :][self.rank :: self.ranks])
        left = self.draw()[self.start :]
        even = left[: len(left) // self.ranks * self.ranks]
        return iter(even[self.rank :: self.ranks].tolist())

    def draw(self) -> Int64[Tensor, "clips"]:
        """Draw the order of the clips of this epoch."""
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        if self.weights is None:
            return torch.randperm(self.clips, generator=generator)
        return torch.multinomial(self.weights, self.clips, replacement=True, generator=generator)

    def __len__(self) -> int:
        if self.shuffle:
            return self.clips // self.ranks
        return len(range(self.rank, self.clips, self.ranks))


class SequentialClipSampler(ClipSampler, SequentialSampler):
    """The order of the split, under a name by which Lightning knows that nothing is shuffled.

    ``trainer.overfit_batches`` replaces loaders with other samplers by ones that share nothing out
    between processes and do not know how far they are.
    """

    def __init__(self, clips: int, rank: int = 0, ranks: int = 1) -> None:
        ClipSampler.__init__(self, clips, False, 0, rank, ranks)


class ResumableLoader(DataLoader[Clips]):
    """Load batches; a training that goes on in the middle of an epoch gets those that are left.

    Iteration begins with the first batch that is asked for, when the epoch is known.
    """

    served = 0  # clips of the present epoch, over all processes
    start = 0  # clips to leave out of the next one

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yield the batches of one epoch."""
        order = self.sampler
        if not isinstance(order, ClipSampler):  # Lightning has its own to predict, and to overfit
            yield from self.batches()
            return

        order.start = self.served = self.start
        self.start = 0
        for batch in self.batches():
            self.served += len(batch.row) * order.ranks
            yield batch

    def batches(self) -> Iterator[Any]:
        """Read batches in this process without the detours that workers need, if there are none."""
        if self.num_workers or self.pin_memory:
            return super().__iter__()
        return map(self.dataset.__getitems__, self.batch_sampler)  # type: ignore[attr-defined, arg-type]

    def state_dict(self) -> dict[str, int]:
        """Let Lightning treat this loader as stateful: the data module keeps its position."""
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Leave the position as it is: Lightning comes with it when it is too late."""


def make_loader(
    dataset: Dataset[Clips], order: ClipSampler, batch_size: int, num_workers: int
) -> ResumableLoader:
    """Loader of clips in some order."""
    return ResumableLoader(
        dataset,
        batch_size=batch_size,
        sampler=order,
        num_workers=num_workers,
        collate_fn=collate_nothing,  # type: ignore[arg-type]
        pin_memory=torch.cuda.is_available(),
        persistent_workers=num_workers > 0,
        generator=torch.Generator(),  # else each epoch would draw from those of training
    )
