"""Identity of features: their classes, the source of those classes and their settings.

A store is named by it, so that features of another class, or of the same class after a change of
its code, never get the store of the others. Classes that come with avfusion count by name: their
source may change without a change of what they compute, and who changes that raises ``FORMAT`` of
a store. Every other class or function, also one that was added to this package, counts by the
source of its module, of its parents' modules, and of the user's own modules that those import at
their top. Of installed packages only the one that holds the class itself counts.
"""

import hashlib
import inspect
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cached_property, partial
from pathlib import Path, PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

SHIPPED = {
    "avfusion.features.clip.Features",
    "avfusion.features.face.FaceFeatures",
    "avfusion.features.face_maps.FaceMaps",
    "avfusion.features.mfcc.AudioFeatures",
    "avfusion.features.policies.Policies",
}
CLASS, SOURCE, FILES = "class", "source_sha256", "files_sha256"  # keys beside the settings
INSTALLED = {"site-packages", "dist-packages"}


def identify(value: Any, key: str) -> Any:
    """Return plain data, fit for JSON, that changes with whatever ``value`` computes.

    An object becomes its class, the digest of its source where avfusion does not bring it, and its
    settings: the fields of a dataclass, or all attributes. ``key`` names it in errors.

    Raises:
        ValueError: where a source or a setting cannot be read.
    """
    if isinstance(value, Enum):
        return f"{name_of(type(value))}.{value.name}"
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, Mapping):
        return {str(name): identify(one, f"{key}.{name}") for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        listed = [identify(one, key) for one in value]
        return sorted(listed, key=repr) if isinstance(value, set | frozenset) else listed
    if isinstance(value, np.ndarray | np.generic | torch.Tensor):
        return array_digest(value)
    if isinstance(value, partial):
        called = {"partial": identify(value.func, key), "arguments": identify(value.args, key)}
        return called | {"keywords": identify(value.keywords, key)}
    if isinstance(value, MethodType):
        return {"method": value.__name__, "of": identify(value.__self__, key)}
    if isinstance(value, type | FunctionType | BuiltinFunctionType | np.ufunc):
        return identify_callable(value, key)
    return identify_object(value, key)


def with_classes(features: Mapping[str, Any]) -> dict[str, Any]:
    """Return the features of a description; older ones do not tell the classes, all shipped."""
    face = {CLASS: "avfusion.features.face.FaceFeatures"} | features["face"]
    audio = {CLASS: "avfusion.features.mfcc.AudioFeatures"} | features["audio"]
    top = {CLASS: "avfusion.features.clip.Features", **features}
    return top | {"face": face, "audio": audio}


def identify_object(value: Any, key: str) -> dict[str, Any]:
    """Return class, source and settings of an object, and the digests of files that it names."""
    kind = type(value)
    named = fields(value) if is_dataclass(value) else ()
    settings = {field.name: getattr(value, field.name) for field in named}
    others = getattr(value, "__dict__", {}).items()
    settings |= {name: one for name, one in others if not is_cached(kind, name)}
    if not (named or hasattr(value, "__dict__")):
        raise ValueError(
            f"{key} is an object of {name_of(kind)}, whose settings cannot be read, and stores are "
            "named by them: give plain values, or an object of a class of your own."
        )
    found = identify_callable(kind, key)
    own = SOURCE in found
    try:
        found |= {name: identify(one, f"{key}.{name}") for name, one in settings.items()}
    except RecursionError:
        raise ValueError(
            f"{key} is an object of {name_of(kind)} that holds itself, and stores are named by "
            "settings: give plain values."
        ) from None
    files = {name: file_digest(one) for name, one in settings.items()} if own else {}
    if files := {name: digest for name, digest in files.items() if digest}:
        found[FILES] = files
    return found


def identify_callable(value: Any, key: str) -> dict[str, Any]:
    """Return the name of a class or function, and what its source and its closure hold."""
    found: dict[str, Any] = {CLASS: name_of(value)}
    if found[CLASS] in SHIPPED or is_foreign(module_of(value)):
        return found
    found[SOURCE] = source_digest(value, key)
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        inner = [*cells, value.__defaults__, value.__kwdefaults__]
        if any(one is not None for one in inner):
            found["holds"] = identify(inner, key)
    return found


def name_of(value: Any) -> str:
    """Return the dotted name of a class or function."""
    return f"{module_of(value)}.{getattr(value, '__qualname__', value.__name__)}"


def module_of(value: Any) -> str | None:
    """Return the name of the module that defines a class or function."""
    return getattr(value, "__module__", None)


def is_cached(kind: type, name: str) -> bool:
    """Say whether an attribute is computed from the others."""
    return isinstance(getattr(kind, name, None), cached_property)


def is_foreign(module: str | None) -> bool:
    """Say whether a module is part of Python, which is the same wherever a store is read."""
    return module is None or module.partition(".")[0] in sys.stdlib_module_names - {"__main__"}


def is_installed(module: ModuleType) -> bool:
    """Say whether a module belongs to an installed package, rather than to the user's files."""
    return not INSTALLED.isdisjoint(Path(getattr(module, "__file__", None) or "").parts)


def source_digest(value: Any, key: str) -> str:
    """Return the SHA-256 of the sources of a class or function and of what they are made of."""
    package = value.__module__.partition(".")[0]
    kinds = inspect.getmro(value) if isinstance(value, type) else (value,)
    modules: dict[str, ModuleType] = {}
    for kind in kinds:
        module = sys.modules.get(kind.__module__)
        if name_of(kind) in SHIPPED or is_foreign(kind.__module__) or module is None:
            continue
        if kind is value or not is_installed(module) or in_package(module, package):
            modules |= reachable(module, modules)
    state = hashlib.sha256()
    for name, module in sorted(modules.items()):
        state.update(f"{name}\0{source_of(module, value, key)}\0".encode())
    return state.hexdigest()


def in_package(module: ModuleType, package: str) -> bool:
    """Say whether a module belongs to a package of the outermost level."""
    return module.__name__.partition(".")[0] == package


def reachable(module: ModuleType, known: Mapping[str, ModuleType]) -> dict[str, ModuleType]:
    """Return a module and the user's own modules that it imports, or imports from, at its top."""
    found, todo = dict(known), [module]
    while todo:
        one = todo.pop()
        if one.__name__ in found:
            continue
        found[one.__name__] = one
        for value in list(vars(one).values()):
            name = value.__name__ if isinstance(value, ModuleType) else module_name(value)
            other = sys.modules.get(name) if name and not is_foreign(name) else None
            if other is not None and not in_package(other, "avfusion") and not is_installed(other):
                todo.append(other)
    return found


def module_name(value: Any) -> str | None:
    """Return where a class or function was defined."""
    return value.__module__ if isinstance(value, type | FunctionType) else None


def source_of(module: ModuleType, value: Any, key: str) -> str:
    """Return the text of a module, or the digest of a compiled one."""
    with suppress(OSError, TypeError):
        return inspect.getsource(module)
    if (file := getattr(module, "__file__", None)) and (digest := file_digest(file)):
        return digest
    raise ValueError(
        f"{key} is made of {name_of(value)}, whose source in {module.__name__} cannot be read, and "
        "stores are named by it: move it to a module, a .py file."
    )


def file_digest(path: Any) -> str | None:
    """Return the SHA-256 of a file, None where there is no file of that name."""
    if not isinstance(path, str | PurePath):
        return None
    with suppress(OSError, ValueError):  # too long a name, or a zero in it
        if Path(path).is_file():
            with Path(path).open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
    return None


def array_digest(array: Any) -> str:
    """Return the SHA-256 of type, shape and values of an array or a tensor."""
    if isinstance(array, torch.Tensor):
        array = array.detach().cpu().contiguous().reshape(array.shape)
        content = array.reshape(-1).view(torch.uint8).numpy().tobytes()
    else:
        array = np.asarray(array)
        content = array.tobytes()
    return hashlib.sha256(f"{array.dtype} {tuple(array.shape)};".encode() + content).hexdigest()
