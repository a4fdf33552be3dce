"""Shorthands of the command line.

``audio=wavlm face=clip`` name the streams that are read, ``data.protocol=subject_k`` a file of
``conf/data/protocol``.
"""

import re
from collections.abc import Sequence

PROTOCOL_OVERRIDE = re.compile(r"data\.protocol=([a-z]\w*(?:,[a-z]\w*)*)")
MODALITIES = ("audio", "face")


def expand_shorthands(arguments: Sequence[str]) -> list[str]:
    """Write out the streams of encoders, ``audio=<stream>`` and ``face=<stream>``, and protocols.

    The encoder is ``precomputed``, unless the arguments choose another one. Several streams,
    ``audio=wavlm,whisper``, stay the values of a sweep.
    """
    expanded: list[str] = []
    for argument in arguments:
        protocol = PROTOCOL_OVERRIDE.fullmatch(argument)
        if protocol and protocol[1] != "null":
            expanded.append(f"data/protocol={protocol[1]}")
            continue

        modality, equal, stream = argument.partition("=")
        if not equal or modality not in MODALITIES:
            expanded.append(argument)
            continue

        encoder = f"model/{modality}_encoder"
        if not stream or stream == "null":
            raise ValueError(
                f"{argument} names no stream: give one of the store, as in {modality}=<stream>, "
                f"or leave it out; prepare.streams=false lists them."
            )
        if not any(other.startswith(f"{encoder}=") for other in arguments):
            expanded.append(f"{encoder}=precomputed")
        expanded.append(f"model.network.{modality}_encoder.stream={stream}")

    return expanded
