"""Identity of features, and features rebuilt from it."""

import functools
import importlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from avfusion import checkpoint
from avfusion.features import (
    AudioFeatures,
    FaceFeatures,
    FaceMaps,
    Features,
    Policies,
    build_prediction_features,
    identity,
)
from avfusion.features.identity import SHIPPED, get_name, identify

LOUD = """
from dataclasses import dataclass
from avfusion.features import AudioFeatures, FaceFeatures, Features, Policies

@dataclass(frozen=True)
class Loud(AudioFeatures):
    gain: float = 2.0
    table: str = ""

    def __call__(self, sound):
        return self.gain * super().__call__(sound)
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module and import it, as another process would after it was changed."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    written = set()

    def write(name: str, text: str):
        file = tmp_path / f"{name.replace('.', '/')}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
        written.add(name)
        for known in written:
            sys.modules.pop(known, None)
        importlib.invalidate_caches()
        return importlib.import_module(name)

    yield write
    for name in written:
        sys.modules.pop(name, None)


def with_audio(audio) -> Features:
    return Features(FaceFeatures(), audio)


def test_the_shipped_classes_are_those_of_the_configuration():
    parts = (AudioFeatures, FaceFeatures, FaceMaps, Features, Policies)
    assert {get_name(part) for part in parts} == SHIPPED


def test_features_become_plain_data_with_their_classes_and_settings():
    found = identify(with_audio(AudioFeatures(hop=240)), "features")
    assert found["class"] == "avfusion.features.clip.Features"
    assert found["audio"]["class"] == "avfusion.features.mfcc.AudioFeatures"
    assert found["audio"]["hop"] == 240 and found["face"]["size"] == 112
    assert "source_sha256" not in json.dumps(found)
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("old", "new"), [("2.0", "3.0"), ("self.gain *", "self.gain +"), ("\n\n@", "\n# why\n\n@")]
)
def test_an_own_class_is_known_by_name_source_and_settings(module, old, new):
    loud = module("loud", LOUD).Loud
    found = identify(loud(hop=240), "features.audio")
    assert (found["class"], found["hop"], found["gain"]) == ("loud.Loud", 240, 2.0)
    assert found == identify(module("loud", LOUD).Loud(hop=240), "features.audio")
    changed = identify(module("loud", LOUD.replace(old, new)).Loud(hop=240), "features.audio")
    assert changed["source_sha256"] != found["source_sha256"]


@pytest.mark.parametrize("key", ["features.face", "features.policies", "features"])
def test_every_part_may_be_of_an_own_class(module, key):
    bases = {"features.face": "FaceFeatures", "features.policies": "Policies"}
    text = f"{LOUD}\n@dataclass(frozen=True)\nclass Own({bases.get(key, 'Features')}):\n    pass\n"

    def found(text):
        own = module("own", text).Own
        if key == "features":
            return identify(own(FaceFeatures(), AudioFeatures()), key)
        part = key.partition(".")[2]
        whole = {"face": FaceFeatures(), "audio": AudioFeatures()} | {part: own()}
        return identify(Features(**whole), "features")[part]

    first = found(text)
    assert first["class"] == "own.Own" and len(first["source_sha256"]) == 64
    assert found(text) == first != found(f"{text}\n# changed\n")


def test_a_changed_parent_and_a_changed_helper_change_an_own_class(module):
    parent, helper = LOUD, "def scale(x):\n    return x * 2\n"
    own = (
        "from parent import Loud\nimport helper\n"
        "class Own(Loud):\n    def __call__(self, sound):\n        return helper.scale(sound)\n"
    )

    def found(parent, helper):
        module("helper", helper)
        module("parent", parent)
        kind = module("own", own).Own
        return identify(kind(), "features.audio")["source_sha256"]

    first = found(parent, helper)
    assert found(parent, helper) == first
    assert found(parent.replace("2.0", "2.5"), helper) != first
    assert found(parent, helper.replace("2", "3")) != first


def test_attributes_that_are_no_fields_are_settings_and_cached_ones_are_none(module):
    text = (
        "from functools import cached_property\n"
        "class Own:\n"
        "    def __init__(self, mels, mean):\n        self.mels, self.mean = mels, mean\n"
        "    @cached_property\n    def filters(self):\n        return [0] * self.mels\n"
    )
    own = module("own", text).Own
    one = own(4, np.zeros(3))
    found = identify(one, "features.audio")
    assert one.filters == [0] * 4 and identify(one, "features.audio") == found
    assert found["mels"] == 4
    assert identify(own(5, np.zeros(3)), "x")["mels"] == 5
    assert identify(own(4, np.ones(3)), "x")["mean"] != found["mean"]
    assert identify(own(4, torch.zeros(3)), "x") != identify(own(4, torch.zeros(1, 3)), "x")


def test_a_file_that_an_own_class_names_counts_by_its_content(module, tmp_path):
    loud, table = module("loud", LOUD).Loud, tmp_path / "table.txt"
    table.write_text("1", encoding="utf-8")
    first = identify(loud(table=str(table)), "features.audio")
    assert first["table"] == str(table)
    table.write_text("2", encoding="utf-8")
    assert identify(loud(table=str(table)), "features.audio") != first


def test_functions_and_partials_are_known_by_source_and_arguments(module):
    text = "def scale(x, by=2):\n    return x * by\ndef scaler(by):\n    return lambda x: x * by\n"
    one = module("functions", text)
    first = [identify(functools.partial(one.scale, by=by), "x") for by in (2, 3)]
    assert first[0] != first[1]
    assert identify(one.scaler(2), "x") != identify(one.scaler(3), "x")
    assert identify(one.scaler(2), "x") == identify(one.scaler(2), "x")
    other = module("functions", text.replace("x * by", "x + by"))
    assert identify(functools.partial(other.scale, by=2), "x") != first[0]


def test_a_class_that_was_added_to_this_package_counts_by_its_source(monkeypatch):
    @dataclass(frozen=True)
    class Added(AudioFeatures):
        pass

    assert "source_sha256" in identify(Added(), "features.audio")
    monkeypatch.setattr(identity, "SHIPPED", SHIPPED - {get_name(AudioFeatures)})
    assert "source_sha256" in identify(AudioFeatures(), "features.audio")


def test_installed_packages_below_an_own_class_do_not_count(module):
    kind = module("own", "import torch\nclass Own(torch.nn.Module):\n    pass\n").Own
    found = identify(kind(), "features.audio")
    state = Path(sys.modules["own"].__file__)
    assert found["class"] == "own.Own" and state.exists()
    alone = identify(
        module("own", "import torch\nclass Own(torch.nn.Module):\n    pass\n").Own, "x"
    )
    assert alone["source_sha256"] == found["source_sha256"]


def test_a_class_without_a_source_is_refused_in_one_sentence(monkeypatch):
    space: dict = {"__name__": "typed_in"}
    exec("class Own:\n    pass", space)
    monkeypatch.setitem(sys.modules, "typed_in", type(sys)("typed_in"))
    sentence = r"features\.audio is made of typed_in\.Own, whose source .* move it to a module"
    with pytest.raises(ValueError, match=sentence):
        identify(space["Own"](), "features.audio")


def test_an_object_that_holds_itself_is_refused_in_one_sentence(module):
    ring = module("ring", "class Own:\n    pass\n").Own()
    ring.inner = [ring]
    with pytest.raises(ValueError, match=r"holds itself.*: give plain values"):
        identify(ring, "features.audio")


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (
            len,
            r"features\.audio is <built-in function len>, which lacks stream, .*",
        ),
        (
            functools.partial(AudioFeatures),
            r"which lacks stream, samples, .*: derive its class from",
        ),
        (AudioFeatures, r"features\.audio is <class .*derive its class"),
        (None, r"features\.audio is None, which lacks"),
    ],
)
def test_what_cannot_be_audio_features_is_refused_in_one_sentence(part, sentence):
    # Other than a protocol would, which is checked in tests only.
    from avfusion.features.contract import AudioFrames, check_contract

    with pytest.raises(ValueError, match=sentence):
        check_contract(part, AudioFrames, "features.audio")


def test_features_of_shipped_classes_are_rebuilt_for_prediction():
    features = Features(FaceFeatures(size=32), AudioFeatures(hop=240), Policies("mask"))
    again = build_prediction_features(identify(features, "features"), {"num_frames": 2})
    assert again.audio == features.audio and again.face == FaceFeatures(size=32, num_frames=2)
    assert again.policies == Policies.for_prediction()


def test_prediction_with_an_own_class_is_refused_unless_it_is_allowed_and_unchanged(
    module, monkeypatch
):
    loud = module("loud", LOUD).Loud(gain=3.0)
    settings = identify(with_audio(loud), "features")
    sentence = r"features\.audio of the class loud\.Loud, which no checkpoint may call: prepare the"
    with pytest.raises(ValueError, match=sentence):
        build_prediction_features(settings)
    monkeypatch.setattr(checkpoint, "ALLOWED_TARGETS", {"loud.Loud"})
    assert build_prediction_features(settings).audio == loud
    module("loud", LOUD.replace("2.0", "2.5"))
    with pytest.raises(ValueError, match=r"loud\.Loud, whose source has changed since then"):
        build_prediction_features(settings)


def test_a_checkpoint_cannot_name_a_class_by_calling_it_shipped(monkeypatch):
    settings = identify(with_audio(AudioFeatures()), "features")
    settings["audio"] = {"class": "subprocess.Popen", "args": ["true"]}
    with pytest.raises(ValueError, match=r"subprocess\.Popen, which no checkpoint may call"):
        build_prediction_features(settings)
