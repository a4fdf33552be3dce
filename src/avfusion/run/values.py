"""Types and lower bounds of configured values, checked against the arguments of constructors."""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pydoc import locate
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from avfusion.bounds import AtLeast, NonNegativeFloat, NonNegativeInt, PositiveInt
from avfusion.run.renamed import find_new_key
from avfusion.run.suggestions import find_nearest, suggest_word

# Types of keys that are no arguments of constructors of this package, by the key of their group.
OTHER_TYPES: dict[str, dict[str, Any]] = {
    "": {
        "seed": int,
        "monitor": str,
        "mode": str,
        "ckpt_path": str | None,
        "init_from": str | None,
        "distill_from": str | None,
        "split": str,
        "splits": str | Mapping[str, Any] | None,
        "fold": int | str | None,
        "batch_size": int | None,
        "figures": bool,
        "temperature": bool,
        "figure_format": str,
        "workers": PositiveInt | None,
        "windows": Mapping[str, Any],
        "distillation": Mapping[str, Any],
        "compile": bool,
    },
    "prepare": {
        "stores": str,
        "workers": PositiveInt | None,
        "device": str,
        "precision": int | str,
        "streams": bool,
        "limit": PositiveInt | None,
        "shard": str | None,
        "merge": list[str] | None,
        "dry_run": bool,
        "verify": bool,
        "upload": str | None,
    },
    # Lightning accepts lower values silently, or refuses them only in the middle of the training.
    "trainer": {
        "max_epochs": PositiveInt | None,
        "accumulate_grad_batches": PositiveInt,
        "check_val_every_n_epoch": PositiveInt | None,
        "log_every_n_steps": NonNegativeInt | None,
        "gradient_clip_val": NonNegativeFloat | None,
    },
    "benchmark": {
        "against": list[str],
        "batch_size": list[PositiveInt],
        "frames": list[PositiveInt] | None,
        "map_size": list[PositiveInt] | None,
        "rounds": PositiveInt,
        "steps": PositiveInt,
        "warmup": NonNegativeInt,
        "product_size": PositiveInt | None,
        "epochs": NonNegativeInt,
        "loop_rounds": PositiveInt,
        "loop_batches": PositiveInt,
        "roofline": Mapping[str, float] | None,
    },
    "callbacks.early_stopping": {"patience": NonNegativeInt},
}
TYPE_NAMES = {
    int: "a whole number",
    float: "a number",
    str: "text",
    bool: "true or false",
    NoneType: "null",
}
OBJECT_NAME = "a group of values with a _target_"


def check_values(part: Any, key: str = "") -> None:
    """Refuse values of types that their constructors do not take, and numbers that are too low.

    Args:
        part: The configuration under ``key``, as plain containers with unresolved references.
        key: As on the command line.

    Raises:
        ValueError: With the key, the value and the fix.
    """
    if not isinstance(part, dict):
        return
    if "_target_" in part:
        _check_names(part, part["_target_"], key)
    types = find_argument_types(part["_target_"]) if "_target_" in part else {}
    types = types | OTHER_TYPES.get(key, {})

    for name, value in part.items():
        path = f"{key}.{name}" if key else str(name)
        if name in types and not fits_type(value, types[name]):
            given = "null" if value is None else repr(value)
            raise ValueError(f"{path} must be {describe_type(types[name])}, got {given}.")
        for minimum in _violated_bounds(value, types.get(name)):
            each_of = ", each of them" if isinstance(value, list) else ""
            raise ValueError(f"{path} must be at least {minimum}{each_of}, got {value}.")
        check_values(value, path)


def _check_names(names: Iterable[str], target: str, key: str) -> None:
    """Refuse arguments that a constructor does not take, in place of its own ``TypeError``."""
    try:
        parameters = inspect.signature(locate(target)).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):  # no such object, or written in C
        return
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())

    for name in names:
        if not name.startswith("_") and name not in parameters:
            if new := find_new_key(f"{key}.{name}"):
                raise ValueError(f"There is no {key}.{name} any more: write {new}.")
            if takes_any:
                continue

            nearest = find_nearest(name, parameters)
            nearest = nearest and f"{key}.{nearest}"
            raise ValueError(
                f"{target} takes no {key}.{name}: "
                + suggest_word(nearest, f"it takes {', '.join(parameters) or 'nothing'}.")
            )


def find_argument_types(target: str) -> dict[str, Any]:
    """Types of the arguments of a class or function by name, as far as they are known."""
    found: Any = locate(target)
    try:
        function = found.__init__ if isinstance(found, type) else found  # type: ignore[misc]
        return get_type_hints(function, include_extras=True)
    except (NameError, TypeError):
        return {}


def fits_type(value: Any, kind: Any) -> bool:
    """Whether a value is of a type; references and objects that are not built yet fit any."""
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if origin is Annotated:
        return fits_type(value, inner[0])
    if kind is Any or origin is Literal or isinstance(kind, TypeVar) or _is_unresolved(value):
        return True

    if origin in (Union, UnionType):
        return any(fits_type(value, one) for one in inner)
    if isinstance(value, dict):
        each = inner[-1] if inner else Any
        return _is_container(origin, Mapping) and all(
            fits_type(one, each) for one in value.values()
        )
    if isinstance(value, list):
        each = inner[0] if inner else Any
        return _is_container(origin, Sequence) and all(fits_type(one, each) for one in value)
    if origin is float:
        return type(value) in (int, float) and value == value  # NaN does not
    return type(value) is origin


def _violated_bounds(value: Any, kind: Any) -> Iterator[float]:
    """Yield the bounds of a type that a value, or a value within it, stays below."""
    if get_origin(kind) in (Union, UnionType):
        for inner in get_args(kind):
            yield from _violated_bounds(value, inner)
    elif isinstance(value, list):
        for one, inner in product(value, get_args(kind)):
            yield from _violated_bounds(one, inner)
    elif get_origin(kind) is Annotated:
        bounds = [bound for bound in kind.__metadata__ if isinstance(bound, AtLeast)]
        number = isinstance(value, int | float)
        yield from (minimum for (minimum,) in bounds if number and value < minimum)


def _is_unresolved(value: Any) -> bool:
    """Whether a value is a reference, is missing, or will be an object."""
    if isinstance(value, dict):
        return "_target_" in value
    return isinstance(value, str) and ("${" in value or value == "???")


def _is_container(origin: Any, kind: type) -> bool:
    return isinstance(origin, type) and issubclass(origin, kind)


def describe_type(kind: Any) -> str:
    """Describe in words the values that fit a type."""
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if origin is Annotated:
        return describe_type(inner[0])
    if origin in (Union, UnionType):
        words = [describe_type(one) for one in inner if not (one is int and float in inner)]
        return (
            " or ".join(dict.fromkeys(word for word in words if word != OBJECT_NAME)) or OBJECT_NAME
        )
    if origin in TYPE_NAMES:
        return TYPE_NAMES[origin]
    if _is_container(origin, Mapping):
        return "named values" + _describe_items(inner[-1:])
    if _is_container(origin, Sequence):
        return "a list" + _describe_items(inner[:1])
    return OBJECT_NAME


def _describe_items(kinds: Sequence[Any]) -> str:
    """Describe what a container holds, where that is simple."""
    plain = (get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds)
    return "".join(f", each {TYPE_NAMES[kind]}" for kind in plain if kind in TYPE_NAMES)
