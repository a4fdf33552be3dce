"""Mean and standard deviation of the training split."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np


class Moments(NamedTuple):
    """Rows, sum and sum of squares of each column of a table; they add up over clips."""

    rows: int
    total: np.ndarray
    squares: np.ndarray

    @staticmethod
    def of(table: np.ndarray) -> "Moments":
        """Return the moments of one table."""
        numbers = table.astype(np.float64)
        squares = np.einsum("rc,rc->c", numbers, numbers)
        return Moments(len(numbers), np.ones(len(numbers)) @ numbers, squares)

    def plain(self) -> list[Any]:
        """Return plain numbers, which JSON keeps exactly."""
        return [self.rows, self.total.tolist(), self.squares.tolist()]

    @staticmethod
    def from_plain(rows: int, total: Any, squares: Any) -> "Moments":
        """Return moments from their plain numbers."""
        return Moments(rows, np.array(total), np.array(squares))

    @staticmethod
    def sum(moments: Iterable["Moments"]) -> "Moments":
        """Return the moments of all tables together."""
        zero = np.zeros(())
        rows, totals, squares = zip((0, zero, zero), *moments, strict=True)
        return Moments(sum(rows), sum(totals), sum(squares))  # type: ignore[arg-type]

    def mean_and_deviation(self, scale: float = 1) -> dict[str, list[float]]:
        """Return ``mean`` and ``std`` per column in units of ``scale``, empty without any data.

        A column that never changes gets a deviation of one, so that it can be divided by.
        """
        if not self.rows:
            return {"mean": [], "std": []}
        mean = self.total / self.rows
        deviation = np.sqrt(np.maximum(self.squares / self.rows - mean**2, 0))
        deviation[deviation < 1e-6] = 1
        return {"mean": (mean * scale).tolist(), "std": (deviation * scale).tolist()}
