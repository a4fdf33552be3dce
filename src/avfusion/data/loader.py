"""A loader that knows how far it is."""

from collections.abc import Iterator
from typing import Any

import torch
from torch.utils.data import DataLoader

from avfusion.data.clips import Clips
from avfusion.data.dataset import SplitDataset, as_read
from avfusion.data.order import Order


class ResumableLoader(DataLoader[Clips]):
    """Load batches; a training that goes on in the middle of an epoch gets those that are left.

    Iteration begins with the first batch that is asked for, when the epoch is known.
    """

    served = 0  # batches of the present epoch
    skip = 0  # batches to leave out of the next one

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yield the batches of one epoch."""
        self.served, self.skip = self.skip, 0
        if isinstance(self.sampler, Order):  # Lightning's overfitting has one of its own
            self.sampler.skip = self.served * (self.batch_size or 1)
        for batch in self.batches():
            self.served += 1
            yield batch

    def batches(self) -> Iterator[Any]:
        """Read batches in this process without the detours that workers need, if there are none."""
        if self.num_workers or self.pin_memory:
            return super().__iter__()
        return map(self.dataset.__getitems__, self.batch_sampler)  # type: ignore[attr-defined, arg-type]

    def state_dict(self) -> dict[str, int]:
        """Return how many batches of an unfinished epoch were served."""
        return {"served": self.served % max(1, len(self))}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Leave out of the next epoch what was served of it."""
        self.skip = state["served"]


def load(dataset: SplitDataset, order: Order, batch_size: int, num_workers: int) -> ResumableLoader:
    """Return a loader of a split in some order."""
    return ResumableLoader(
        dataset,
        batch_size=batch_size,
        sampler=order,
        num_workers=num_workers,
        collate_fn=as_read,  # type: ignore[arg-type]
        pin_memory=torch.cuda.is_available(),
        persistent_workers=num_workers > 0,
        generator=torch.Generator(),  # else each epoch would draw from those of training
    )
