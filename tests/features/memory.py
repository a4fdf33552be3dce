"""Read pictures as a worker does: memory.py <file>..., prints how many and the MiB it took."""

import sys
from pathlib import Path

from fuzz import most_memory

from avfusion.corpora.unlabeled import find_recordings
from avfusion.features import AudioFeatures, FaceFeatures, Features, Policies
from avfusion.preparation import workers as work  # noqa: F401  what a worker holds before any picture

if __name__ == "__main__":
    features = Features(FaceFeatures(detector="haar"), AudioFeatures(), Policies.for_prediction())
    clips = [features(find_recordings(path)[0]) for path in sys.argv[1:]]
    assert all(Path(path).exists() for path in sys.argv[1:])
    print(len(clips), most_memory())
