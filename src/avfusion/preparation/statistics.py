"""Moments of each clip, kept in a store, and mean and standard deviation of some clips.

Beside each stream that networks standardize lie the moments of its clips, a row of numbers each:
how many rows of values the clip has, and of each column the sum and the sum of squares. They add
up, so that any choice of training clips has its statistics without reading the stream again.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Int, Shaped

from avfusion.features.clip import Stream

MAX_CHUNK_CLIPS = 2**13  # clips that are added at a time, at most
MAX_CHUNK_NUMBERS = 2**24  # of theirs, at most: those of all layers of a network are many


class Moments(NamedTuple):
    """Rows, sum and sum of squares of each column of a table; they add up over tables."""

    rows: int
    total: Float64[np.ndarray, "columns"]
    squares: Float64[np.ndarray, "columns"]

    @classmethod
    def of(cls, table: Shaped[np.ndarray, "rows columns"]) -> "Moments":
        """Moments of one table."""
        numbers = table.astype(np.float64)
        squares = np.einsum("rc,rc->c", numbers, numbers)
        return cls(len(numbers), np.ones(len(numbers)) @ numbers, squares)

    def pack(self) -> Float64[np.ndarray, "numbers"]:
        """All numbers in a row, as a store keeps them."""
        return np.concatenate([[self.rows], self.total, self.squares])

    @classmethod
    def unpack(cls, numbers: Float64[np.ndarray, "numbers"]) -> "Moments":
        """Moments of such a row, or of a sum of some."""
        rows, rest = int(numbers[0]), numbers[1:]
        return cls(rows, rest[: len(rest) // 2], rest[len(rest) // 2 :])

    def mean_and_deviation(self, scale: float = 1) -> dict[str, list[float]]:
        """``mean`` and ``std`` per column in units of ``scale``, empty without any data.

        A column that never changes gets a deviation of one, so that it can be divided by.
        """
        if not self.rows:
            return {"mean": [], "std": []}
        mean = self.total / self.rows
        deviation = np.sqrt(np.maximum(self.squares / self.rows - mean**2, 0))
        deviation[deviation < 1e-6] = 1
        return {"mean": (mean * scale).tolist(), "std": (deviation * scale).tolist()}


def list_standardized(streams: Mapping[str, Stream]) -> dict[str, int]:
    """Number of columns of each stream that networks standardize: colors, or features."""
    return {
        name: stream.shape[-1]
        for name, stream in streams.items()
        if stream.kind == "pictures" or (stream.kind == "sequence" and len(stream.shape) > 1)
    }


def limit_chunk(numbers: int) -> int:
    """Number of clips, of so many numbers each, that are added at a time."""
    return max(1, min(MAX_CHUNK_CLIPS, MAX_CHUNK_NUMBERS // max(1, numbers)))


def count_packed(columns: int) -> int:
    """Count the numbers of the packed moments of a table."""
    return 1 + 2 * columns


def sum_moments(
    shards: Iterable[Float64[np.ndarray, "_ numbers"]],
    shard: Int[np.ndarray, "rows"],
    position: Int[np.ndarray, "rows"],
) -> Moments:
    """Add up the moments of clips, which lie at positions of shards.

    They are added one after the other, so that the same clips always give the same bits.
    """
    total: np.ndarray | None = None
    for number, packed in enumerate(shards):
        if total is None:
            total = np.zeros(packed.shape[1])
        positions, chunk = position[shard == number], limit_chunk(packed.shape[1])
        for start in range(0, len(positions), chunk):
            total += packed.take(positions[start : start + chunk], axis=0).sum(axis=0)
    assert total is not None, "no shards"
    return Moments.unpack(total)
