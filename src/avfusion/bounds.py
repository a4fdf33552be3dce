"""Lower bounds of numbers, as types of constructor arguments.

``avfusion.run.values`` checks a configuration against them before anything is built from it, and
names the key that is wrong.
"""

from typing import Annotated, NamedTuple


class AtLeast(NamedTuple):
    """Lower bound of a number, the bound itself included."""

    minimum: float


PositiveInt = Annotated[int, AtLeast(1)]
NonNegativeInt = Annotated[int, AtLeast(0)]
NonNegativeFloat = Annotated[float, AtLeast(0)]
