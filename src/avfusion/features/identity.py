"""Identity of features: their classes, the source of those classes and their settings.

A store is named by it, so that features of another class, or of the same class after a change of
its code, never get the store of the others. Classes that come with avfusion count by name: their
source may change without a change of what they compute, and who changes that raises ``FORMAT`` of
a store. Every other class or function, also one that was added to this package, counts by the
source of its module, of its parents' modules, and of the user's own modules that those import at
their top. Of installed packages only the one that holds the class itself counts.

From an identity that a checkpoint keeps, ``build_prediction_features`` builds the features again.
"""

import hashlib
import inspect
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass, replace
from enum import Enum
from functools import cached_property, partial
from pathlib import Path, PurePath
from pydoc import locate
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch

from avfusion import checkpoint
from avfusion.features.clip import Features
from avfusion.features.policies import Policies
from avfusion.features.streams import StreamEncoder
from avfusion.files import hash_file

SHIPPED = {
    "avfusion.features.clip.Features",
    "avfusion.features.face.FaceFeatures",
    "avfusion.features.face_maps.FaceMaps",
    "avfusion.features.mfcc.AudioFeatures",
    "avfusion.features.policies.Policies",
}
CLASS, SOURCE, FILES = "class", "source_sha256", "files_sha256"  # keys beside the settings
ADDED_STREAMS = (
    "audio_stream",
    "face_stream",
    "more_streams",
)  # to a store, whose name they do not change
NO_SETTINGS = ("face", "audio", "policies", "face_maps", *ADDED_STREAMS, CLASS, SOURCE, FILES)
PACKAGE_FOLDERS = {"site-packages", "dist-packages"}
USE_STORE = (
    "prepare the recordings with it, and predict with data=store data.store=<the path that prints>"
)


def identify(value: Any, key: str) -> Any:
    """Describe ``value`` by plain data, fit for JSON, that changes with whatever it computes.

    An object becomes its class, the digest of its source where avfusion does not bring it, and its
    settings: the fields of a dataclass, or all attributes. ``key`` names it in errors.

    Raises:
        ValueError: where a source or a setting cannot be read.
    """
    if isinstance(value, Enum):
        return f"{get_name(type(value))}.{value.name}"
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
        return _digest_array(value)
    if isinstance(value, partial):
        called = {"partial": identify(value.func, key), "arguments": identify(value.args, key)}
        return called | {"keywords": identify(value.keywords, key)}
    if isinstance(value, MethodType):
        return {"method": value.__name__, "of": identify(value.__self__, key)}
    if isinstance(value, type | FunctionType | BuiltinFunctionType | np.ufunc):
        return _identify_callable(value, key)
    return _identify_object(value, key)


def identify_features(features: Features) -> dict[str, Any]:
    """Describe all that decides what decoding gives, and the encoder of the face maps."""
    nothing: dict[str, Any] = dict.fromkeys(ADDED_STREAMS)
    described: dict[str, Any] = identify(replace(features, **nothing), "features")
    return {name: part for name, part in described.items() if name not in ADDED_STREAMS}


def _identify_object(value: Any, key: str) -> dict[str, Any]:
    """Class, source and settings of an object, and the digests of files that it names."""
    kind = type(value)
    named = fields(value) if is_dataclass(value) else ()
    settings = {field.name: getattr(value, field.name) for field in named}
    others = getattr(value, "__dict__", {}).items()
    settings |= {name: one for name, one in others if not _is_cached(kind, name)}
    if not (named or hasattr(value, "__dict__")):
        raise ValueError(
            f"{key} is an object of {get_name(kind)}, whose settings cannot be read, and stores "
            "are named by them: give plain values, or an object of a class of your own."
        )
    found = _identify_callable(kind, key)
    own = SOURCE in found
    try:
        found |= {name: identify(one, f"{key}.{name}") for name, one in settings.items()}
    except RecursionError:
        raise ValueError(
            f"{key} is an object of {get_name(kind)} that holds itself, and stores are named by "
            "settings: give plain values."
        ) from None
    files = {name: _digest_file(one) for name, one in settings.items()} if own else {}
    if files := {name: digest for name, digest in files.items() if digest}:
        found[FILES] = files
    return found


def _identify_callable(value: Any, key: str) -> dict[str, Any]:
    """Name of a class or function, and what its source and its closure hold."""
    found: dict[str, Any] = {CLASS: get_name(value)}
    if found[CLASS] in SHIPPED or _is_standard(_module_of(value)):
        return found
    found[SOURCE] = _digest_source(value, key)
    if isinstance(value, FunctionType):
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        inner = [*cells, value.__defaults__, value.__kwdefaults__]
        if any(one is not None for one in inner):
            found["holds"] = identify(inner, key)
    return found


def get_name(value: Any) -> str:
    """Dotted name of a class or function."""
    return f"{_module_of(value)}.{getattr(value, '__qualname__', value.__name__)}"


def _module_of(value: Any) -> str | None:
    return getattr(value, "__module__", None)


def _is_cached(kind: type, name: str) -> bool:
    return isinstance(getattr(kind, name, None), cached_property)


def _is_standard(module: str | None) -> bool:
    """Whether a module is part of Python, which is the same wherever a store is read."""
    return module is None or module.partition(".")[0] in sys.stdlib_module_names - {"__main__"}


def _is_installed(module: ModuleType) -> bool:
    """Whether a module belongs to an installed package, rather than to the user's files."""
    return not PACKAGE_FOLDERS.isdisjoint(Path(getattr(module, "__file__", None) or "").parts)


def _digest_source(value: Any, key: str) -> str:
    """SHA-256 of the sources of a class or function and of all modules that they import."""
    package = value.__module__.partition(".")[0]
    kinds = inspect.getmro(value) if isinstance(value, type) else (value,)
    modules: dict[str, ModuleType] = {}
    for kind in kinds:
        module = sys.modules.get(kind.__module__)
        if get_name(kind) in SHIPPED or _is_standard(kind.__module__) or module is None:
            continue
        if kind is value or not _is_installed(module) or _in_package(module, package):
            modules |= _imported_modules(module, modules)
    state = hashlib.sha256()
    for name, module in sorted(modules.items()):
        state.update(f"{name}\0{_read_source(module, value, key)}\0".encode())
    return state.hexdigest()


def _in_package(module: ModuleType, package: str) -> bool:
    return module.__name__.partition(".")[0] == package


def _imported_modules(module: ModuleType, known: Mapping[str, ModuleType]) -> dict[str, ModuleType]:
    """Add to the ``known`` a module and the user's own modules that it imports at its top."""
    found, todo = dict(known), [module]
    while todo:
        one = todo.pop()
        if one.__name__ in found:
            continue
        found[one.__name__] = one
        for value in list(vars(one).values()):
            name = value.__name__ if isinstance(value, ModuleType) else _defining_module(value)
            other = sys.modules.get(name) if name and not _is_standard(name) else None
            if (
                other is not None
                and not _in_package(other, "avfusion")
                and not _is_installed(other)
            ):
                todo.append(other)
    return found


def _defining_module(value: Any) -> str | None:
    return value.__module__ if isinstance(value, type | FunctionType) else None


def _read_source(module: ModuleType, value: Any, key: str) -> str:
    """Text of a module, or the digest of a compiled one."""
    with suppress(OSError, TypeError):
        return inspect.getsource(module)
    if (file := getattr(module, "__file__", None)) and (digest := _digest_file(file)):
        return digest
    raise ValueError(
        f"{key} is made of {get_name(value)}, whose source in {module.__name__} cannot be read, "
        "and stores are named by it: move it to a module, a .py file."
    )


def _digest_file(path: Any) -> str | None:
    if not isinstance(path, str | PurePath):
        return None
    with suppress(OSError, ValueError):  # too long a name, or a zero in it
        if Path(path).is_file():
            return hash_file(Path(path))
    return None


def _digest_array(array: Any) -> str:
    """SHA-256 of type, shape and values of an array or a tensor."""
    if isinstance(array, torch.Tensor):
        array = array.detach().cpu().contiguous().reshape(array.shape)
        content = array.reshape(-1).view(torch.uint8).numpy().tobytes()
    else:
        array = np.asarray(array)
        content = array.tobytes()
    return hashlib.sha256(f"{array.dtype} {tuple(array.shape)};".encode() + content).hexdigest()


def build_prediction_features(
    settings: Mapping[str, Any],
    face: Mapping[str, Any] | None = None,
    encoders: Mapping[str, StreamEncoder] | None = None,
) -> Features:
    """Build the features that a network was trained on, for recordings that are to be predicted.

    Args:
        settings: the features of a description, as ``identify`` gave them.
        face: other values for the face crops, such as the path of a detector's weights.
        encoders: what computes the streams that the network reads beside those of decoding.

    Raises:
        ValueError: where they are of a class that a checkpoint may not call, or that has changed.
    """
    check_classes(settings)
    kind = _find_class(settings, "features")
    return kind(
        _build({**settings["face"], **(face or {})}, "features.face"),
        _build(settings["audio"], "features.audio"),
        Policies.for_prediction(),
        more_streams=encoders,
        **{name: settings[name] for name in settings if name not in NO_SETTINGS},
    )


def check_classes(settings: Mapping[str, Any]) -> None:
    """Refuse features whose class cannot be found here as it was when they were made."""
    _find_class(settings, "features")
    _find_class(settings["face"], "features.face")
    _find_class(settings["audio"], "features.audio")


def _build(settings: Mapping[str, Any], key: str) -> Any:
    """Build a part of features that computes what it computed when it was identified."""
    kind = _find_class(settings, key)
    values = {name: value for name, value in settings.items() if name not in NO_SETTINGS}
    try:
        part = kind(**values)
    except TypeError as error:
        raise ValueError(
            f"{key} was a {get_name(kind)}, which cannot be built of its attributes ({error}): "
            f"{USE_STORE}."
        ) from error

    if SOURCE in settings and identify(part, key).get(FILES) != settings.get(FILES):
        raise ValueError(
            f"{key} was a {get_name(kind)} that read other files than there are now: {USE_STORE}."
        )
    return part


def _find_class(settings: Mapping[str, Any], key: str) -> Any:
    """Find the class of some features; one of the user's only where it is allowed, and as was."""
    name = settings[CLASS]
    if name in SHIPPED and SOURCE not in settings:
        return locate(name)

    if name not in checkpoint.ALLOWED_TARGETS:
        raise ValueError(
            f"The network was trained on {key} of the class {name}, which no checkpoint may call: "
            f"{USE_STORE}, or add {name!r} to ALLOWED_TARGETS in avfusion/checkpoint.py if you "
            "trust it."
        )
    kind = locate(name)
    if not (isinstance(kind, type) and is_dataclass(kind)):
        raise ValueError(
            f"The network was trained on {key} of the class {name}, which is no dataclass here, "
            f"and so cannot be built of its settings: {USE_STORE}."
        )
    if identify(kind, key).get(SOURCE) != settings.get(SOURCE):
        raise ValueError(
            f"The network was trained on {key} of the class {name}, whose source has changed since "
            "then: take it back to what it was, or train on the new features."
        )
    return kind
