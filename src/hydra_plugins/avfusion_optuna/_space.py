"""Search space, in Hydra's grammar of sweeps: choice, range, interval; tag(log, ...)."""

from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    IntervalSweep,
    Override,
    RangeSweep,
    Sweep,
    Transformer,
)
from hydra.errors import CompactHydraException, HydraException
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

Distribution = CategoricalDistribution | FloatDistribution | IntDistribution


def read_space(
    space: Mapping[str, Any], arguments: Sequence[str], loader: ConfigLoader
) -> tuple[list[str], dict[str, Distribution]]:
    """Read the overrides that all trials share, and the distributions of the searched keys.

    Arguments of the command line replace the configured ``space`` key by key.
    """
    parser = OverridesParser.create(config_loader=loader)
    configured = [_parse_configured(parser, f"{key}={value}") for key, value in space.items()]
    every = [*configured, *parser.parse_overrides(list(arguments))]
    last = {override.get_key_element().lstrip("+~"): override for override in every}

    shared = [str(o.input_line) for o in last.values() if not o.is_sweep_override()]
    searched = {
        o.get_key_element(): _make_distribution(o) for o in last.values() if o.is_sweep_override()
    }
    if not searched:
        raise CompactHydraException(
            "There is nothing to search: sweep over a key, such as "
            "'optimizer.lr=tag(log, interval(1e-4, 1e-2))'."
        )

    return shared, searched


def _parse_configured(parser: OverridesParser, line: str) -> Override:
    """Parse a sweep of the configuration; a fixed value has no place in a search space."""
    try:
        override = parser.parse_override(line)
    except HydraException:
        override = None
    if override is None or not override.is_sweep_override():
        raise CompactHydraException(
            f"hydra.sweeper.space: {line} is no sweep: write choice(a, b), range(first, end), "
            "interval(low, high) or tag(log, ...) of those."
        )

    return override


def _make_distribution(override: Override) -> Distribution:
    """Turn the sweep of a key into the distribution that its values are drawn from."""
    sweep, key = override.value(), override.get_key_element()
    tags = sweep.tags if isinstance(sweep, Sweep) else set()
    if tags - {"log"}:
        raise CompactHydraException(
            f"{key} has the tag {', '.join(sorted(tags))}: the only one is log, as in "
            "tag(log, interval(1e-4, 1e-2))."
        )

    if isinstance(sweep, IntervalSweep):
        return _make_numeric(key, sweep.start, sweep.end, log="log" in tags)
    if isinstance(sweep, RangeSweep):
        values = list(sweep.range())
        low, high = (values[0], values[-1]) if values else (sweep.start, sweep.stop)
        return _make_numeric(key, low, high, log="log" in tags, step=sweep.step)

    choices = [
        value if isinstance(value, bool | int | float) else Transformer.str(value)
        for value in override.sweep_iterator()
    ]
    return CategoricalDistribution(choices)


def _make_numeric(key: str, low: Any, high: Any, log: bool, step: Any = None) -> Distribution:
    """Make a distribution from low to high, both included; integers where both are integers."""
    if low >= high:
        raise CompactHydraException(
            f"{key} would be searched from {low} to {high}: the first must be the smaller one."
        )
    if log and (low <= 0 or step not in (None, 1)):
        raise CompactHydraException(
            f"{key} would be searched in the logarithm from {low} in steps of {step}: start above "
            "0 and take interval(low, high), or int(interval(low, high)) for whole numbers."
        )

    if all(isinstance(number, int) for number in (low, high, step or 1)):
        return IntDistribution(low, high, log=log, step=step or 1)
    return FloatDistribution(low, high, log=log, step=None if step is None else float(step))


def make_extreme_overrides(space: Mapping[str, Distribution]) -> list[list[str]]:
    """Make overrides that together take every choice, and both ends of every interval."""
    ends = {
        key: values.choices
        if isinstance(values, CategoricalDistribution)
        else (values.low, values.high)
        for key, values in space.items()
    }
    rounds = max(len(values) for values in ends.values())
    return [
        format_overrides({key: values[number % len(values)] for key, values in ends.items()})
        for number in range(rounds)
    ]


def format_overrides(values: Mapping[str, Any]) -> list[str]:
    """Write values as overrides of the command line."""
    return [f"{key}={value}" for key, value in values.items()]
