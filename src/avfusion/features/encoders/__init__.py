"""Stream encoders that come with avfusion (the contract: ``avfusion.features.streams``).

A module has the recipe, which ``conf/features/audio_stream`` or ``face_stream`` names, and what it
builds. Packages that hold networks or weights are imported when an encoder is built, not before.
"""

from avfusion.features.encoders.face_mesh import FaceMesh
from avfusion.features.encoders.fer import Fer
from avfusion.features.encoders.moonshine import Moonshine
from avfusion.features.encoders.opensmile import OpenSmile
from avfusion.features.encoders.pictures import Pictures
from avfusion.features.encoders.resemblyzer import Resemblyzer
from avfusion.features.encoders.run import RunAudio
from avfusion.features.encoders.spectral import Spectral
from avfusion.features.encoders.speech import Speech
from avfusion.features.encoders.whisper import Whisper

__all__ = [
    "FaceMesh",
    "Fer",
    "Moonshine",
    "OpenSmile",
    "Pictures",
    "Resemblyzer",
    "RunAudio",
    "Spectral",
    "Speech",
    "Whisper",
]
