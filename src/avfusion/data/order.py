"""In which order clips are read, and by which process."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler, SequentialSampler


class Order(Sampler[int]):
    """Every clip once: in the order of the split, or shuffled by seed and epoch alone.

    Each of ``ranks`` processes reads every ranks-th clip. When shuffled, the last clips of an
    epoch are left out where they do not go round, so that all processes take the same number of
    steps; otherwise nothing is left out or read twice. ``start`` clips, counted over all processes,
    were read before the next pass.
    """

    def __init__(self, clips: int, shuffle: bool, seed: int, rank: int = 0, ranks: int = 1) -> None:
        self.clips = clips
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.ranks = ranks
        self.epoch = 0
        self.start = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this as each one starts."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if not self.shuffle:
            return iter(range(self.clips)[self.start :][self.rank :: self.ranks])
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        left = torch.randperm(self.clips, generator=generator)[self.start :]
        even = left[: len(left) // self.ranks * self.ranks]
        return iter(even[self.rank :: self.ranks].tolist())

    def __len__(self) -> int:
        if self.shuffle:
            return self.clips // self.ranks
        return len(range(self.rank, self.clips, self.ranks))


class InOrder(Order, SequentialSampler):
    """The order of the split, under a name by which Lightning knows that nothing is shuffled.

    ``trainer.overfit_batches`` replaces loaders with other samplers by ones that share nothing out
    between processes and do not know how far they are.
    """

    def __init__(self, clips: int, rank: int = 0, ranks: int = 1) -> None:
        Order.__init__(self, clips, False, 0, rank, ranks)
