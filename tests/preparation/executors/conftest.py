"""What the tests of executors compare with: a store and a stream that this process has made."""

import sys
from dataclasses import replace

import pytest
from conftest import write_recordings
from deadly_features import DeadlyAudio
from tiny_encoders import TinyVoice

from avfusion.corpora import Manifest
from avfusion.features import FaceFeatures, Features
from avfusion.preparation import streams, workers
from avfusion.preparation.executors.local import InProcess
from avfusion.preparation.prepare import Preparation


class Made:
    """Preparations of eight clips in parts of two, with a stream in two parts."""

    def __init__(self, root):
        self.root, self.paths = root, [path for path in sys.path if path]
        self.corpus = Manifest(str(write_recordings(root / "recordings", subjects=2)))
        self.features = Features(
            FaceFeatures(size=32),
            DeadlyAudio(duration=1.5, folder=str(root)),
            audio_stream=TinyVoice(),
        )

    def prepare(self, stores, executor, **features):
        features = replace(self.features, **features)
        return Preparation(self.corpus, features, self.root / stores).run(executor)

    def kill(self, victim):
        """Have a process die at the next sound that is read."""
        (self.root / "kill").write_text(victim)

    def files(self, store):
        return {p.relative_to(store): p.read_bytes() for p in store.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Eight recordings, and what one process makes of them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(workers, "CHUNK_CLIPS", 2)
        patch.setattr(streams, "CHUNK_SECONDS", 6.0)
        made = Made(tmp_path_factory.mktemp("made"))
        made.store = made.prepare("whole", InProcess())
        made.whole = made.files(made.store)
        yield made
