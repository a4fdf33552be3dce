"""The features of recordings that are to be answered for, whatever they lack."""

from collections.abc import Mapping
from typing import Any

from avfusion.features.clip import Features
from avfusion.features.face import FaceFeatures
from avfusion.features.maps import FaceMaps
from avfusion.features.mfcc import AudioFeatures
from avfusion.features.policies import Policies


def answering(
    settings: Mapping[str, Any], face: Mapping[str, Any] | None = None, maps: str | None = None
) -> Features:
    """Return those of a description, with other values of the face where given.

    ``maps`` is a checkpoint that holds the encoder of their face maps, where those are needed.
    """
    return Features(
        FaceFeatures(**{**settings["face"], **(face or {})}),
        AudioFeatures(**settings["audio"]),
        Policies.answering(),
        None if maps is None else FaceMaps(maps),
    )
