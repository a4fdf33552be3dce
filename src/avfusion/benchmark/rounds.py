"""Rounds of a benchmark: durations of several sides, measured in turns.

``torch.utils.benchmark`` times one statement after the other, so that a machine that becomes busy
slows down the last ones; here each round visits every side, beginning with another one.
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from statistics import median, quantiles
from time import perf_counter
from typing import Any, NamedTuple

import torch

Parts = dict[str, float]  # seconds of each part of a visit


class Clock:
    """Seconds between marks, by the events of a GPU or by the time of the CPU."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def mark(self) -> Any:
        """Mark this moment; work that a GPU was given before counts as done before it."""
        if self.device.type == "cuda":
            event = torch.cuda.Event(enable_timing=True)
            event.record(torch.cuda.current_stream(self.device))
            return event
        self.wait()
        return perf_counter()

    def seconds(self, *marks: Any) -> list[float]:
        """Seconds from each mark to the next one."""
        if self.device.type == "cuda":
            marks[-1].synchronize()
            return [first.elapsed_time(second) / 1000 for first, second in pairwise(marks)]
        return [second - first for first, second in pairwise(marks)]

    def wait(self) -> None:
        """Wait for what a device was given to do."""
        if self.device.type != "cpu":
            torch.accelerator.synchronize(self.device)


class Spread(NamedTuple):
    """Median of repeated measurements, and their quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float], scale: float = 1.0) -> "Spread":
        """Spread of values times ``scale``."""
        scaled = [value * scale for value in values]
        if len(scaled) == 1:
            return cls(scaled[0], scaled[0], scaled[0])
        low, _, high = quantiles(scaled, n=4, method="inclusive")
        return cls(median(scaled), low, high)


def alternate(
    sides: Mapping[str, Callable[[], Parts]], rounds: int, steps: int = 1, warmup: int = 0
) -> dict[str, list[Parts]]:
    """Visit every side in each round, ``steps`` times each, and collect what visits return.

    Each round begins with another side, as the first one may pay for what was before. ``warmup``
    visits of each side go before and do not count.
    """
    names = list(sides)
    for name in names:
        for _ in range(warmup):
            sides[name]()

    collected: dict[str, list[Parts]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in [*names[first:], *names[:first]]:
            collected[name] += [sides[name]() for _ in range(steps)]
    return collected
