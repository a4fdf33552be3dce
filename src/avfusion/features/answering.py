"""The features of recordings that are to be answered for, whatever they lack."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from pydoc import locate
from typing import Any

from avfusion import checkpoint
from avfusion.features.clip import Features
from avfusion.features.face import FaceFeatures
from avfusion.features.identity import CLASS, FILES, SHIPPED, SOURCE, identify, name_of
from avfusion.features.maps import FaceMaps
from avfusion.features.mfcc import AudioFeatures
from avfusion.features.policies import Policies

INSTEAD = (
    "prepare the recordings with it, and predict with data=store data.store=<the path that prints>"
)


def answering(
    settings: Mapping[str, Any], face: Mapping[str, Any] | None = None, maps: str | None = None
) -> Features:
    """Return those of a description, with other values of the face where given.

    ``maps`` is a checkpoint that holds the encoder of their face maps, where those are needed.

    Raises:
        ValueError: where they are of a class that a checkpoint may not call, or that has changed.
    """
    check_answerable(settings)
    kind = class_of(settings, "features", Features)
    return kind(
        rebuilt({**settings["face"], **(face or {})}, "features.face", FaceFeatures),
        rebuilt(settings["audio"], "features.audio", AudioFeatures),
        Policies.answering(),
        None if maps is None else FaceMaps(maps, stream=settings["maps"]["stream"]),
        **{name: settings[name] for name in settings if name not in PARTS},
    )


PARTS = ("face", "audio", "policies", "maps", CLASS, SOURCE, FILES)


def check_answerable(settings: Mapping[str, Any]) -> None:
    """Refuse features whose class cannot be found here as it was when they were made."""
    class_of(settings, "features", Features)
    class_of(settings["face"], "features.face", FaceFeatures)
    class_of(settings["audio"], "features.audio", AudioFeatures)


def rebuilt(settings: Mapping[str, Any], key: str, shipped: type) -> Any:
    """Return a part of features of its settings, computing what it computed then."""
    kind = class_of(settings, key, shipped)
    values = {name: value for name, value in settings.items() if name not in PARTS}
    try:
        part = kind(**values)
    except TypeError as error:
        raise ValueError(
            f"{key} was a {name_of(kind)}, which cannot be built of its attributes ({error}): "
            f"{INSTEAD}."
        ) from error
    if SOURCE in settings and identify(part, key).get(FILES) != settings.get(FILES):
        raise ValueError(
            f"{key} was a {name_of(kind)} that read other files than there are now: {INSTEAD}."
        )
    return part


def class_of(settings: Mapping[str, Any], key: str, shipped: type) -> Any:
    """Return the class of some features; one of the user's only where it is allowed, and as was."""
    name = settings.get(CLASS, name_of(shipped))
    if name in SHIPPED and SOURCE not in settings:
        return locate(name)
    if name not in checkpoint.ALLOWED:
        raise ValueError(
            f"The network was trained on {key} of the class {name}, which no checkpoint may call: "
            f"{INSTEAD}, or add {name!r} to ALLOWED in avfusion/checkpoint.py if you trust it."
        )
    kind = locate(name)
    if not (isinstance(kind, type) and is_dataclass(kind)):
        raise ValueError(
            f"The network was trained on {key} of the class {name}, which is no dataclass here, "
            f"and so cannot be built of its settings: {INSTEAD}."
        )
    if identify(kind, key).get(SOURCE) != settings.get(SOURCE):
        raise ValueError(
            f"The network was trained on {key} of the class {name}, whose source has changed since "
            "then: take it back to what it was, or train on the new features."
        )
    return kind
