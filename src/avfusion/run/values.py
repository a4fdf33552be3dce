"""Values of a configuration that cannot be meant, found before anything is built from them."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from pydoc import locate
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from avfusion.run.suggestions import did_you_mean, nearest

# What is no argument of a constructor, by the key of the group that holds it.
OWN: dict[str, dict[str, Any]] = {
    "": {
        "seed": int,
        "monitor": str,
        "mode": str,
        "ckpt_path": str | None,
        "init_from": str | None,
        "split": str,
        "batch_size": int | None,
        "figures": bool,
        "figure_format": str,
        "workers": int | None,
    },
    "prepare": {
        "stores": str,
        "workers": int | None,
        "device": str,
        "limit": int | None,
        "dry_run": bool,
        "verify": bool,
    },
}
# What others would take without a word, or refuse only in the middle of the work.
LEAST = {
    "optimizer.lr": 0,
    "optimizer.weight_decay": 0,
    "model.network.fusion.dim": 1,
    "model.network.query_dim": 1,
    "model.network.face_encoder.groups": 1,
    "workers": 1,
    "prepare.workers": 1,
    "prepare.limit": 1,
    "trainer.max_epochs": 1,
    "trainer.accumulate_grad_batches": 1,
    "trainer.check_val_every_n_epoch": 1,
    "trainer.log_every_n_steps": 0,
    "trainer.gradient_clip_val": 0,
    "callbacks.early_stopping.patience": 0,
}
WORDS = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    NoneType: "null",
}
OBJECT = "a group of values with a _target_"


def check_values(part: Any, key: str = "") -> None:
    """Refuse values of types that their constructors do not take, and numbers that are too low.

    ``part`` is what stands under a key, as plain containers; references stay unresolved.
    """
    if not isinstance(part, dict):
        return
    if "_target_" in part:
        _check_names(part, part["_target_"], key)
    kinds = arguments(part["_target_"]) if "_target_" in part else OWN.get(key, {})
    for name, value in part.items():
        path = f"{key}.{name}" if key else str(name)
        if name in kinds and not fits(value, kinds[name]):
            given = "null" if value is None else repr(value)
            raise ValueError(f"{path} must be {described(kinds[name])}, got {given}.")
        if path in LEAST and isinstance(value, int | float) and value < LEAST[path]:
            raise ValueError(f"{path} must be at least {LEAST[path]}, got {value}.")
        check_values(value, path)


def _check_names(names: Iterable[str], target: str, key: str) -> None:
    """Refuse names that a constructor does not take, in the place of its own ``TypeError``."""
    try:
        parameters = inspect.signature(locate(target)).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):  # not there, or written in C
        return
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values()):
        return
    for name in names:
        if not name.startswith("_") and name not in parameters:
            meant = nearest(name, parameters)
            meant = meant and f"{key}.{meant}"
            raise ValueError(
                f"{target} takes no {key}.{name}: "
                + did_you_mean(meant, f"it takes {', '.join(parameters) or 'nothing'}.")
            )


def arguments(target: str) -> dict[str, Any]:
    """Return the types of the arguments of a class or function, as far as they are known."""
    found: Any = locate(target)
    try:
        return get_type_hints(found.__init__ if isinstance(found, type) else found)  # type: ignore[misc]
    except (NameError, TypeError):
        return {}


def fits(value: Any, kind: Any) -> bool:
    """Say whether a value is of a type; references, objects to build and NaN are what they are."""
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if kind is Any or origin is Literal or isinstance(kind, TypeVar) or unknown(value):
        return True
    if origin in (Union, UnionType):
        return any(fits(value, one) for one in inner)
    if isinstance(value, dict):
        each = inner[-1] if inner else Any
        return within(origin, Mapping) and all(fits(one, each) for one in value.values())
    if isinstance(value, list):
        each = inner[0] if inner else Any
        return within(origin, Sequence) and all(fits(one, each) for one in value)
    if origin is float:
        return type(value) in (int, float) and value == value  # NaN is not
    return type(value) is origin


def unknown(value: Any) -> bool:
    """Say whether a value is a reference, is asked for later, or will be an object."""
    if isinstance(value, dict):
        return "_target_" in value
    return isinstance(value, str) and ("${" in value or value == "???")


def within(origin: Any, kind: type) -> bool:
    """Say whether a type is a container of a kind."""
    return isinstance(origin, type) and issubclass(origin, kind)


def described(kind: Any) -> str:
    """Say in words what a type takes."""
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if origin in (Union, UnionType):
        words = [described(one) for one in inner if not (one is int and float in inner)]
        return " or ".join(dict.fromkeys(word for word in words if word != OBJECT)) or OBJECT
    if origin in WORDS:
        return WORDS[origin]
    if within(origin, Mapping):
        return "named values" + each(inner[-1:])
    if within(origin, Sequence):
        return "a list" + each(inner[:1])
    return OBJECT


def each(kinds: Sequence[Any]) -> str:
    """Say in words what a container holds, where that is simple."""
    return "".join(f", each {WORDS[kind]}" for kind in kinds if kind in WORDS)
