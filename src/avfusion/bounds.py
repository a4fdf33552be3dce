"""Bounds of numbers, stated where a constructor names its arguments.

``avfusion.run.values`` reads them and refuses what a configuration may not hold before anything is
built of it, with the key that was given.
"""

from typing import Annotated, NamedTuple


class AtLeast(NamedTuple):
    """The least value of a number."""

    least: float


PositiveInt = Annotated[int, AtLeast(1)]
NonNegativeInt = Annotated[int, AtLeast(0)]
NonNegativeFloat = Annotated[float, AtLeast(0)]
