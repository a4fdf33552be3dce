"""Streams that the encoders of a configured network read."""

import inspect
from collections.abc import Iterator
from pydoc import locate
from typing import Any

from omegaconf import DictConfig, OmegaConf


def find_streams(model: Any) -> list[str]:
    """Find the names of the streams that a model reads, in its configuration, each once.

    A part of a network names one under its key ``stream``, or by the default of its class.

    Raises:
        ValueError: The network reads none.
    """
    network: Any = model["network"]
    if not isinstance(network, DictConfig):
        network = OmegaConf.create(network)

    names = list(dict.fromkeys(_iterate_streams(network)))
    if not names:
        raise ValueError(
            f"model.network ({network.get('_target_')}) reads no stream: set the key stream of its "
            "encoders, or its own, such as model.network.stream=frames."
        )
    return names


def _iterate_streams(part: DictConfig) -> Iterator[str]:
    if "stream" in part:
        yield str(part.stream)
    elif "_target_" in part:
        default = _find_default(str(part._target_))
        if default is not None:
            yield default

    for key in map(str, part):
        if OmegaConf.is_interpolation(part, key) or OmegaConf.is_missing(part, key):
            continue
        if isinstance(part[key], DictConfig):
            yield from _iterate_streams(part[key])


def _find_default(target: str) -> str | None:
    try:
        parameters = inspect.signature(locate(target)).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):  # no such object, or written in C
        return None

    default = parameters["stream"].default if "stream" in parameters else None
    return default if isinstance(default, str) else None
