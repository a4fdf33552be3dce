"""Values of a configuration that cannot be meant, found before anything is built from them."""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from pydoc import locate
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from avfusion.bounds import AtLeast, NonNegativeFloat, NonNegativeInt, PositiveInt
from avfusion.run.renamed import new_key
from avfusion.run.suggestions import did_you_mean, nearest

# What is no argument of a constructor of this package, by the key of the group that holds it.
OWN: dict[str, dict[str, Any]] = {
    "": {
        "seed": int,
        "monitor": str,
        "mode": str,
        "ckpt_path": str | None,
        "init_from": str | None,
        "split": str,
        "splits": str | Mapping[str, Any] | None,
        "fold": int | str | None,
        "batch_size": int | None,
        "figures": bool,
        "figure_format": str,
        "workers": PositiveInt | None,
    },
    "prepare": {
        "stores": str,
        "workers": PositiveInt | None,
        "device": str,
        "limit": PositiveInt | None,
        "dry_run": bool,
        "verify": bool,
    },
    # Lightning takes lower ones without a word, or refuses them only in the middle of the work.
    "trainer": {
        "max_epochs": PositiveInt | None,
        "accumulate_grad_batches": PositiveInt,
        "check_val_every_n_epoch": PositiveInt | None,
        "log_every_n_steps": NonNegativeInt | None,
        "gradient_clip_val": NonNegativeFloat | None,
    },
    "callbacks.early_stopping": {"patience": NonNegativeInt},
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
    kinds = arguments(part["_target_"]) if "_target_" in part else {}
    kinds = kinds | OWN.get(key, {})
    for name, value in part.items():
        path = f"{key}.{name}" if key else str(name)
        if name in kinds and not fits(value, kinds[name]):
            given = "null" if value is None else repr(value)
            raise ValueError(f"{path} must be {described(kinds[name])}, got {given}.")
        for least in too_low(value, kinds.get(name)):
            each_of = ", each of them" if isinstance(value, list) else ""
            raise ValueError(f"{path} must be at least {least}{each_of}, got {value}.")
        check_values(value, path)


def _check_names(names: Iterable[str], target: str, key: str) -> None:
    """Refuse names that a constructor does not take, in the place of its own ``TypeError``."""
    try:
        parameters = inspect.signature(locate(target)).parameters  # type: ignore[arg-type]
    except (TypeError, ValueError):  # not there, or written in C
        return
    takes_any = any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters.values())
    for name in names:
        if not name.startswith("_") and name not in parameters:
            if new := new_key(f"{key}.{name}"):
                raise ValueError(f"There is no {key}.{name} any more: write {new}.")
            if takes_any:
                continue
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
        of = found.__init__ if isinstance(found, type) else found  # type: ignore[misc]
        return get_type_hints(of, include_extras=True)
    except (NameError, TypeError):
        return {}


def fits(value: Any, kind: Any) -> bool:
    """Say whether a value is of a type; references, objects to build and NaN are what they are."""
    origin, inner = get_origin(kind) or kind, get_args(kind)
    if origin is Annotated:
        return fits(value, inner[0])
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


def too_low(value: Any, kind: Any) -> Iterator[float]:
    """Yield the bounds of a type that a value, or one within it, stays below."""
    if isinstance(value, list):
        for one, inner in product(value, get_args(kind)):
            yield from too_low(one, inner)
    elif get_origin(kind) is Annotated:
        bounds = [bound for bound in kind.__metadata__ if isinstance(bound, AtLeast)]
        number = isinstance(value, int | float)
        yield from (least for (least,) in bounds if number and value < least)
    elif get_origin(kind) in (Union, UnionType):
        for inner in get_args(kind):
            yield from too_low(value, inner)


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
    if origin is Annotated:
        return described(inner[0])
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
    plain = (get_args(kind)[0] if get_origin(kind) is Annotated else kind for kind in kinds)
    return "".join(f", each {WORDS[kind]}" for kind in plain if kind in WORDS)
