"""Features of clips: decoding, face crops, waveforms, MFCC and face maps.

Everything here works on one clip, on one thread, so that the same clip gives the same bytes in
training and in prediction, whatever the machine.
"""

from avfusion.features.clip import ClipFeatures, Features, Stream
from avfusion.features.face import FaceFeatures
from avfusion.features.face_maps import FaceMaps
from avfusion.features.identity import build_prediction_features
from avfusion.features.mfcc import AudioFeatures
from avfusion.features.policies import Policies, Unreadable

__all__ = [
    "AudioFeatures",
    "ClipFeatures",
    "FaceFeatures",
    "FaceMaps",
    "Features",
    "Policies",
    "Stream",
    "Unreadable",
    "build_prediction_features",
]
