"""Checkpoints: found, read, trusted only as far as needed, and loaded."""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avfusion.corpora.spelling import normalize_name

# Whatever else a checkpoint names must be a class of this package.
ALLOWED: set[str] = set()


@dataclass(frozen=True)
class Recipe:
    """What rebuilds a task, and what its weights were trained on; it travels in every checkpoint.

    ``model``, ``target`` and ``data`` are what Hydra instantiates, ``description`` is that of the
    data, ``seed`` drew the first weights. ``trained_on`` has the digests of all training clips, of
    earlier trainings too (see ``avfusion.data.train_test_overlap``); None where nobody knows.

    All of it is plain: only so a checkpoint loads with ``weights_only=True``.
    """

    model: Mapping[str, Any]
    target: Mapping[str, Any]
    data: Mapping[str, Any]
    description: Mapping[str, Any]
    seed: int
    trained_on: Mapping[str, str] | None = None

    def plain(self) -> dict[str, Any]:
        """Return the dictionary that a checkpoint holds."""
        return dict(vars(self))


def find_checkpoint(path: str, name: str) -> Path:
    """Return a checkpoint file; of a run, the one of this name (best or last)."""
    place = Path(path)
    file = place / "checkpoints" / f"{name}.ckpt" if place.is_dir() else place
    if not file.is_file():
        raise FileNotFoundError(
            f"No checkpoint at {file}: give the folder of a run, such as "
            "logs/lowrank/2026-01-31_12-00-00-000000, or a .ckpt file."
        )
    return file


def read_checkpoint(file: Path) -> dict[str, Any]:
    """Return a checkpoint of this project, as plain containers and tensors on the CPU."""
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # of any kind, where a file is something else
        raise ValueError(
            f"{file} is no checkpoint, or holds more than weights and plain data: give one that "
            "src/train.py wrote."
        ) from error
    if not isinstance(checkpoint, dict) or not checkpoint.get("recipe"):
        raise ValueError(f"{file} does not say how to rebuild its network: train it here.")
    check_targets(file, checkpoint["recipe"])
    recipe = checkpoint["recipe"]
    if "target" not in recipe or not {"streams", "output_names"} <= {*recipe["description"]}:
        raise ValueError(
            f"{file} was written by an earlier version of avfusion, which cannot be read any more: "
            "train it again."
        )
    return checkpoint


def stream_encoders(checkpoint: dict[str, Any]) -> dict[str, dict[str, Tensor]]:
    """Return the weights of what computed the streams that a network was trained on, by stream."""
    found: dict[str, dict[str, Tensor]] = checkpoint.get("FaceAudioDataModule", {}).get(
        "encoders", {}
    )
    return found


def check_targets(file: Path, recipe: object) -> None:
    """Refuse a recipe that would call anything but the parts of networks and data."""
    for key, value in leaves(recipe):
        if not isinstance(value, str | int | float | None):
            raise ValueError(f"The recipe of {file} holds {type(value)}, not plain data: not run.")
        if isinstance(value, str) and "${" in value:
            raise ValueError(f"The recipe of {file} holds an interpolation, {value!r}: not run.")
        if key == "_target_" and value not in ALLOWED and not defined_here(str(value)):
            if str(value).startswith("avfusion."):
                raise ValueError(
                    f"The recipe of {file} calls {value!r}, which is no class of this version of "
                    "avfusion: use the version that made it, or train again."
                )
            raise ValueError(
                f"The recipe of {file} calls {value!r}, which is neither a class of avfusion nor "
                "allowed by avfusion/checkpoint.py: not run. Add it there if you trust it."
            )


def leaves(part: object, key: str = "") -> Iterator[tuple[str, object]]:
    """Yield every value of a recipe that is no container, with its key."""
    if type(part) is dict:
        for name, child in part.items():
            yield from leaves(child, str(name))
    elif type(part) in (list, tuple):
        for child in part:  # type: ignore[attr-defined]
            yield from leaves(child)
    else:
        yield key, part


def defined_here(target: str) -> bool:
    """Whether a dotted name leads to a class that this package defines.

    A name such as ``avfusion.training.task.torch.hub.load`` begins here and leads elsewhere.
    Functions of this package are refused: some write files.
    """
    module, _, name = target.rpartition(".")
    if not module.startswith("avfusion."):
        return False
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        return False
    return isinstance(found, type) and found.__module__.startswith("avfusion.")


def check_fit(file: Path, checkpoint: dict[str, Any], task: nn.Module) -> None:
    """Refuse a checkpoint whose parameters are not those of a task."""
    theirs = {name: tuple(value.shape) for name, value in checkpoint["state_dict"].items()}
    ours = {name: tuple(value.shape) for name, value in task.state_dict().items()}
    differ = sorted(name for name in theirs | ours if theirs.get(name) != ours.get(name))
    if differ:
        name = differ[0]
        raise ValueError(
            f"{file} does not fit this model: {len(differ)} parameters differ, the first is {name} "
            f"({theirs.get(name, 'missing')} there, {ours.get(name, 'missing')} here). Continue it "
            "with the overrides of its own run, or start from its weights with init_from=..."
        )


def check_same(file: Path, checkpoint: dict[str, Any], recipe: Recipe) -> None:
    """Refuse to go on with another model, other data or another seed than before."""
    for part in ("description", "model", "seed"):
        there, here = checkpoint["recipe"][part], getattr(recipe, part)
        if found := differences(there, here):
            raise ValueError(
                f"{file} was trained with another {part} ({found}): go on with "
                f"the overrides of its run, or start a new run from its weights with init_from=..."
            )


def differences(there: Any, here: Any) -> str:
    """Name what differs between two parts of a recipe; what is null may as well be missing."""
    if not (isinstance(there, dict) and isinstance(here, dict)):
        return "" if there == here else f"{there} there, {here} here"
    inner = {key: differences(there.get(key), here.get(key)) for key in there | here}
    return ", ".join(f"{key}: {found}" for key, found in inner.items() if found)[:300]


def load_fitting(file: Path, checkpoint: dict[str, Any], task: nn.Module, recipe: Recipe) -> str:
    """Load the weights that fit, and say in one sentence what was loaded, left and remade.

    The output layer is remade for other classes; normalization and loss stay those of the new data.
    """
    ours, theirs = task.state_dict(), checkpoint["state_dict"]
    keep = [".normalize.", "loss."]
    there = checkpoint["recipe"]["description"]["output_names"]
    here = recipe.description["output_names"]
    if list(map(normalize_name, there)) != list(map(normalize_name, here)):
        keep.append(".head.logits.")
    loaded = {
        name: value
        for name, value in theirs.items()
        if name in ours and value.shape == ours[name].shape and not any(k in name for k in keep)
    }
    if not loaded:
        raise ValueError(f"Nothing in {file} fits this model: choose the one it was trained with.")
    task.load_state_dict(ours | loaded)
    left, remade = sorted(set(theirs) - set(loaded)), sorted(set(ours) - set(loaded))
    return (
        f"From {file}: loaded {len(loaded)} of {len(ours)} tensors; "
        f"left {', '.join(left) or 'none'}; remade {', '.join(remade) or 'none'}."
    )
