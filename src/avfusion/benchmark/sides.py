"""Sides of a benchmark: the configured model, and what it is compared with."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from hydra import compose
from omegaconf import DictConfig

from avfusion.run.configuration import without_hydra

PROGRAM = "benchmark"
FACE_ENCODER = "model/face_encoder"
OF_THE_MODEL = re.compile(r"[+~]*model[=./@]")
OF_ITS_FACE_ENCODER = re.compile(r"[+~]*model[./](network\.)?face_encoder")
PRECISIONS: dict[str, torch.dtype | None] = {"32-true": None, "bf16-mixed": torch.bfloat16}
SPELLINGS = {"32": "32-true", "bf16": "bf16-mixed"}  # that Lightning takes, too
TILED = "tiled"


@dataclass(frozen=True)
class Side:
    """A configuration to train, and how; ``threads``: None for as many as the others have."""

    name: str
    cfg: DictConfig
    precision: str = "32-true"
    is_compiled: bool = False
    is_tiled: bool = False
    threads: int | None = None


def compose_side(given: Sequence[str], model: str | None = None) -> DictConfig:
    """Compose the configuration of the overrides that were given, or of another model with them.

    Overrides of the model itself do not count for another one. Where clips are synthetic, face
    maps take the place of a face encoder that nobody has chosen.
    """
    if model is not None:
        others = [override for override in given if not OF_THE_MODEL.match(override)]
        given = [*others, f"model={model}"]

    cfg = compose(PROGRAM, list(given), return_hydra_config=True)
    is_chosen = any(map(OF_ITS_FACE_ENCODER.match, given)) or "_target_" in cfg.data
    if cfg.hydra.runtime.choices.get(FACE_ENCODER) and not is_chosen:
        given = [*given, f"{FACE_ENCODER}=precomputed"]
        cfg = compose(PROGRAM, list(given), return_hydra_config=True)
    return without_hydra(cfg)


def list_sides(cfg: DictConfig, model: str, given: Sequence[str]) -> list[Side]:
    """List the sides of a run: the model in single precision first, which others are compared to.

    Raises:
        ValueError: A precision is not measured, or a side is not one.
    """
    precision = read_precision(cfg)
    sides = [Side(model, cfg)]
    if precision != sides[0].precision:
        sides.append(Side(f"{model} {precision}", cfg, precision))
    if cfg.compile:
        sides.append(Side(f"{model} compiled", cfg, is_compiled=True))

    for entry in cfg.benchmark.against:
        name, _, threads = entry.partition("@")
        if threads and (not threads.isdigit() or int(threads) < 1):
            raise ValueError(
                f"benchmark.against={entry} must name a number of threads behind @, as in {name}@1."
            )
        options: dict[str, Any] = {"threads": int(threads) if threads else None}
        if name == TILED:
            options |= {"is_tiled": True}
        sides.append(Side(entry, cfg if name == TILED else compose_side(given, name), **options))

    names = [side.name for side in sides]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"benchmark.against names {repeated[0]} twice: leave one of them out.")
    return sides


def read_precision(cfg: DictConfig) -> str:
    """Read the precision that is measured, or refuse it."""
    given = str(cfg.trainer.precision)
    precision = SPELLINGS.get(given, given)
    if precision not in PRECISIONS:
        raise ValueError(
            f"trainer.precision={given} is not measured: choose one of {', '.join(PRECISIONS)}."
        )
    return precision
