"""From files to what a network reads: decoding, face crops, MFCC.

Everything here works on one clip, on one thread, so that the same clip gives the same bytes in
training and in prediction, whatever the machine.
"""

from avfusion.features.clip import ClipFeatures, Features, answering
from avfusion.features.face import FaceFeatures
from avfusion.features.face_maps import FaceMaps
from avfusion.features.mfcc import AudioFeatures
from avfusion.features.policies import Policies
from avfusion.features.source import Unreadable

__all__ = [
    "AudioFeatures",
    "ClipFeatures",
    "FaceFeatures",
    "FaceMaps",
    "Features",
    "Policies",
    "Unreadable",
    "answering",
]
