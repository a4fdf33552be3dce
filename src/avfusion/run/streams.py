"""Streams that the encoders of a configured network read."""

import inspect
import logging
from collections.abc import Iterator, Mapping
from pydoc import locate
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from avfusion.features.clip import MODALITIES, Stream
from avfusion.messages import join_items

log = logging.getLogger(__name__)


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


def drop_unread_encoder(cfg: DictConfig) -> None:
    """Leave out the encoder of a modality that a unimodal network does not read.

    So ``audio=whisper face=clip`` may stand in a sweep over such networks and others.
    """
    network = cfg.model.network
    try:
        taken = inspect.signature(locate(str(network.get("_target_")))).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):  # no such object, or written in C
        return

    encoders = [f"{modality}_encoder" for modality in MODALITIES]
    unread = [name for name in encoders if name not in taken]
    for name in unread if len(unread) == 1 else ():
        if name in network:
            log.warning("%s takes no %s: it is left out.", network._target_, name)
            with open_dict(network):
                del network[name]


def check_encoders(model: Any, streams: Mapping[str, Stream]) -> None:
    """Refuse encoders that read a stream of the other modality, or one that is not computed.

    ``streams`` are those of a store.
    """
    for modality in MODALITIES:
        key = f"model.network.{modality}_encoder"
        encoder = OmegaConf.select(model, f"network.{modality}_encoder")
        for name in _iterate_streams(encoder) if isinstance(encoder, DictConfig) else ():
            stream = streams[name]
            same = [other for other, one in streams.items() if one.modality == modality]
            if stream.modality != modality:
                raise ValueError(
                    f"{key} reads {name}, a stream of the {stream.modality}: set {key}.stream "
                    f"to one of the {modality}, of which there are {join_items(same)}."
                )

            is_sound = stream.kind == "sequence" and len(stream.shape) == 1
            if (stream.kind == "pictures" or is_sound) and str(encoder.get("_target_")).endswith(
                ".Precomputed"
            ):
                raise ValueError(
                    f"{key} hands on what is computed, and {name} is as it was decoded: choose a "
                    f"network for it (model/{modality}_encoder=...), or another stream "
                    f"({modality}=...) of {join_items(same)}."
                )


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
