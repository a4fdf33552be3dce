"""Claims about the audio encoder of a trained run as a stream."""

import shutil

import pytest
import torch
from conftest import save_run

from avfusion.data.store import Store
from avfusion.features.encoders import RunAudio
from avfusion.features.streams import digest_weights
from avfusion.preparation.streams import add_stream

CPU = torch.device("cpu")


@pytest.fixture
def task(tmp_path):
    return save_run(tmp_path / "run", "lowrank").eval()


def test_its_stream_is_what_the_encoder_of_the_run_gives_of_each_clip(
    recordings_store, task, tmp_path
):
    place = shutil.copytree(recordings_store, tmp_path / "store")
    add_stream(place, RunAudio(str(tmp_path / "run"), "voice"), CPU)
    add_stream(place, RunAudio(str(tmp_path / "run"), "vectors", gives="vector"), CPU)
    store = Store(place)
    encoder = task.network.audio_encoder
    for row in range(0, 24, 5):
        frames = store.clip("mfcc", row)
        with torch.no_grad():
            tokens, vector = encoder(frames[None], torch.tensor([len(frames)]))
        assert torch.equal(store.clip("voice", row), tokens[0].half())
        assert torch.equal(store.clip("vectors", row), vector[0].half())
    assert store.lengths("voice").tolist() == store.lengths("mfcc").tolist()
    assert store.streams["voice"].reads == "mfcc"


def test_it_is_built_of_its_recipe_and_weights_alone(task, tmp_path):
    made = RunAudio(str(tmp_path / "run"))
    state, recipe = made.build().state_dict(), made.recipe()
    settings = {key: value for key, value in recipe.items() if not key.startswith("_")}
    shutil.rmtree(tmp_path / "run")
    again = RunAudio(**settings)
    assert again.recipe() == recipe
    assert digest_weights(again.build(state).state_dict()) == digest_weights(state)


def test_a_run_without_audio_encoder_is_refused(tmp_path):
    save_run(tmp_path / "run", "face_only")
    with pytest.raises(ValueError, match=r"has no audio encoder: give features\.audio_stream\.run"):
        RunAudio(str(tmp_path / "run")).build()
    with pytest.raises(ValueError, match="needs a trained run: set"):
        RunAudio()
