import pytest
from conftest import CONF, load
from hydra.errors import HydraException
from omegaconf import OmegaConf

from avfusion.run import renamed
from avfusion.run.composition import explain_error
from avfusion.run.suggestions import iterate_keys
from avfusion.run.values import check_values


@pytest.fixture(autouse=True)
def old_names(monkeypatch):
    monkeypatch.setitem(renamed.RENAMED_KEYS, "optimizer.speed", "optimizer.lr")
    monkeypatch.setitem(renamed.RENAMED_CHOICES, "model=low_rank", "model=lowrank")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("optimizer.speed=1", "There is no optimizer.speed any more: write optimizer.lr."),
        ("model=low_rank", "There is no model=low_rank any more: write model=lowrank."),
    ],
)
def test_an_old_name_on_the_command_line_is_answered_with_the_new_one(override, sentence):
    with pytest.raises(HydraException) as caught:
        load("train", override)
    assert explain_error(caught.value, "train") == sentence


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("optimizer.speed", "optimizer.lr"),
        ("a.optimizer.speed.head", "a.optimizer.lr.head"),
        ("my_optimizer.speed", None),
        ("optimizer.speedy", None),
    ],
)
def test_a_name_is_renamed_wherever_whole_parts_of_it_are_old(old, new):
    assert renamed.find_new_key(old) == new


@pytest.mark.parametrize(
    "target", ["torch.optim.SGD", "avfusion.training.optimizer.build_optimizer"]
)
def test_an_old_name_of_an_added_argument_is_answered_with_the_new_one(target):
    part = {"_target_": target, "speed": 1}
    with pytest.raises(ValueError, match=r"no optimizer\.speed any more: write optimizer\.lr\."):
        check_values(part, "optimizer")


@pytest.mark.parametrize("top", sorted(path.stem for path in CONF.glob("*.yaml")))
def test_no_shipped_configuration_still_has_an_old_key(top):
    required = ["corpus=manifest"] if top == "prepare" else []
    composed = OmegaConf.to_container(load(top, *required), resolve=False)
    del renamed.RENAMED_KEYS["optimizer.speed"]
    assert [key for key in iterate_keys(composed) if renamed.find_new_key(key)] == []
