"""In which order clips are read, and by which process."""

from collections.abc import Iterator

import torch
from torch.utils.data import Sampler


class Order(Sampler[int]):
    """Every clip once: in the order of the split, or shuffled by seed and epoch alone.

    Each of ``ranks`` processes reads every ranks-th clip. When shuffled, the last clips of an
    epoch are left out where they do not go round, so that all processes take the same number of
    steps; otherwise nothing is left out or read twice.
    """

    def __init__(self, clips: int, shuffle: bool, seed: int, rank: int = 0, ranks: int = 1) -> None:
        self.clips = clips
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.ranks = ranks
        self.epoch = 0
        self.skip = 0  # clips at the beginning of the next pass that were read before

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this as each one starts."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        if not self.shuffle:
            return iter(range(self.rank, self.clips, self.ranks)[self.skip :])
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(self.clips, generator=generator)[: len(self) * self.ranks]
        return iter(order[self.rank :: self.ranks].tolist()[self.skip :])

    def __len__(self) -> int:
        if self.shuffle:
            return self.clips // self.ranks
        return len(range(self.rank, self.clips, self.ranks))
