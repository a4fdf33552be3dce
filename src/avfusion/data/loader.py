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

    served = 0  # clips of the present epoch, over all processes
    start = 0  # clips to leave out of the next one

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Yield the batches of one epoch."""
        order = self.sampler
        if not isinstance(order, Order):  # Lightning has its own to predict, and to overfit
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
        """Tell Lightning that this loader can go on: the data module keeps where, see there."""
        return {}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Leave the position as it is: Lightning comes with it when it is too late."""


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
