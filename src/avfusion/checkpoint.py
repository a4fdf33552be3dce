"""Checkpoint files: found, read without running anything in them, compared and loaded."""

import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avfusion.corpora.spelling import normalize_name

# Whatever else a checkpoint names must be a class of this package.
ALLOWED_TARGETS: set[str] = set()


@dataclass(frozen=True)
class Recipe:
    """Data from which a task is restored, beside its weights; every checkpoint holds one.

    All of it is plain containers: only so a checkpoint loads with ``weights_only=True``.

    Attributes:
        model: Configuration of the task, which Hydra instantiates.
        target: Configuration of the target.
        data: Configuration of the data module.
        description: Of the data (see ``avfusion.preparation.description``).
        seed: The seed that the first weights were drawn with.
        trained_on: Digests of all training clips, of earlier trainings too (see
            ``avfusion.data.train_test_overlap``); None where they are not known.
        distillation: What was learned of a teacher, and the SHA-256 of its checkpoint.
    """

    model: Mapping[str, Any]
    target: Mapping[str, Any]
    data: Mapping[str, Any]
    description: Mapping[str, Any]
    seed: int
    trained_on: Mapping[str, str] | None = None
    distillation: Mapping[str, Any] | None = None

    def plain(self) -> dict[str, Any]:
        """Convert to the dictionary that a checkpoint holds."""
        return dict(vars(self))


def find_checkpoint(path: str, name: str) -> Path:
    """Find a checkpoint file: the path itself or, in the folder of a run, the one of this name.

    ``name`` is best or last. A run that chooses no epoch (``callbacks.checkpoint=null``) has tested
    its last one, which then is its best.
    """
    given = Path(path)
    file = given / "checkpoints" / f"{name}.ckpt" if given.is_dir() else given
    if name == "best" and given.is_dir() and not file.is_file():
        last = file.with_name("last.ckpt")
        file = last if last.is_file() else file
    if not file.is_file():
        raise FileNotFoundError(
            f"No checkpoint at {file}: give the folder of a run, such as "
            "logs/lowrank/2026-01-31_12-00-00-000000, or a .ckpt file."
        )

    return file


def read_checkpoint(file: Path) -> dict[str, Any]:
    """Read a checkpoint as plain containers and tensors on the CPU; nothing in it is run.

    Raises:
        ValueError: The file is something else, or its recipe calls what is not allowed.
    """
    try:
        checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:  # of any kind, where a file is something else
        raise ValueError(
            f"{file} is no checkpoint, or holds more than weights and plain data: give one that "
            "src/train.py wrote."
        ) from error
    if not isinstance(checkpoint, dict) or not checkpoint.get("recipe"):
        raise ValueError(
            f"{file} has no recipe to restore its network from: give a checkpoint that "
            "src/train.py wrote."
        )

    recipe = checkpoint["recipe"]
    check_targets(file, recipe)
    if "target" not in recipe or not {"streams", "output_names"} <= {*recipe["description"]}:
        raise ValueError(
            f"{file} was written by an earlier version of avfusion, which cannot be read any more: "
            "train it again."
        )

    return checkpoint


def get_stream_encoders(checkpoint: dict[str, Any]) -> dict[str, dict[str, Tensor]]:
    """Weights of the encoders that computed the streams which a network was trained on, by stream.

    They are empty where all of its streams were decoded from the recordings.
    """
    encoders: dict[str, dict[str, Tensor]] = checkpoint.get("FaceAudioDataModule", {}).get(
        "encoders", {}
    )
    return encoders


def check_targets(file: Path, recipe: object) -> None:
    """Refuse a recipe that would instantiate anything but classes of avfusion and allowed ones."""
    for key, value in _iterate_leaves(recipe):
        if not isinstance(value, str | int | float | None):
            raise ValueError(f"The recipe of {file} holds {type(value)}, not plain data: not run.")
        if isinstance(value, str) and "${" in value:
            raise ValueError(f"The recipe of {file} holds an interpolation, {value!r}: not run.")

        if key == "_target_" and value not in ALLOWED_TARGETS and not _is_own_class(str(value)):
            if str(value).startswith("avfusion."):
                raise ValueError(
                    f"The recipe of {file} calls {value!r}, which is no class of this version of "
                    "avfusion: use the version that made it, or train again."
                )
            raise ValueError(
                f"The recipe of {file} calls {value!r}, which is neither a class of avfusion nor "
                "in ALLOWED_TARGETS of avfusion/checkpoint.py: not run. Add it there if you trust "
                "it."
            )


def _iterate_leaves(node: object, key: str = "") -> Iterator[tuple[str, object]]:
    """Yield every value that is no container, with its key."""
    if type(node) is dict:
        for name, child in node.items():
            yield from _iterate_leaves(child, str(name))
    elif type(node) in (list, tuple):
        for child in node:  # type: ignore[attr-defined]
            yield from _iterate_leaves(child)
    else:
        yield key, node


def _is_own_class(target: str) -> bool:
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


def check_parameters(file: Path, checkpoint: dict[str, Any], task: nn.Module) -> None:
    """Refuse a checkpoint whose tensors are not those of a task, by name and shape."""
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


def check_same_recipe(file: Path, checkpoint: dict[str, Any], recipe: Recipe) -> None:
    """Refuse to resume with another model, teacher or seed, or other data, than before."""
    for part in ("description", "model", "seed", "distillation"):
        theirs, ours = checkpoint["recipe"].get(part), getattr(recipe, part)
        if part == "description" and "leaks" in theirs:
            # Of kinds that were not looked for before, what is found now is allowed by name.
            known = {
                kind: found for kind, found in ours["leaks"].items() if kind in theirs["leaks"]
            }
            ours = ours | {"leaks": known}
        if found := _describe_differences(theirs, ours):
            raise ValueError(
                f"{file} was trained with another {part} ({found}): resume with the overrides of "
                "its run, or start a new run from its weights with init_from=..."
            )


def _describe_differences(theirs: Any, ours: Any) -> str:
    """Name the keys that differ; what is null or an empty list may as well be missing."""
    if not (isinstance(theirs, dict) and isinstance(ours, dict)):
        same = theirs == ours or (theirs in (None, []) and ours in (None, []))
        return "" if same else f"{theirs} there, {ours} here"

    inner = {k: _describe_differences(theirs.get(k), ours.get(k)) for k in theirs | ours}
    return ", ".join(f"{key}: {found}" for key, found in inner.items() if found)[:300]


def load_matching_weights(
    file: Path, checkpoint: dict[str, Any], task: nn.Module, recipe: Recipe
) -> str:
    """Load the tensors whose names and shapes match, and describe in a sentence what was loaded.

    Normalization and loss stay those of the new data, and for other classes so does the output
    layer.

    Raises:
        ValueError: Nothing matches.
    """
    ours, theirs = task.state_dict(), checkpoint["state_dict"]
    skipped = [".normalize.", "loss."]
    their_classes = checkpoint["recipe"]["description"]["output_names"]
    our_classes = recipe.description["output_names"]
    if list(map(normalize_name, their_classes)) != list(map(normalize_name, our_classes)):
        skipped.append(".head.logits.")

    loaded = {
        name: value
        for name, value in theirs.items()
        if name in ours
        and value.shape == ours[name].shape
        and not any(part in name for part in skipped)
    }
    if not loaded:
        raise ValueError(f"Nothing in {file} fits this model: choose the one it was trained with.")
    task.load_state_dict(ours | loaded)

    ignored, initialized = sorted(set(theirs) - set(loaded)), sorted(set(ours) - set(loaded))
    return (
        f"From {file}: loaded {len(loaded)} of {len(ours)} tensors; "
        f"ignored {', '.join(ignored) or 'none'}; initialized {', '.join(initialized) or 'none'}."
    )
