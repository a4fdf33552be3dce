"""Values are of the types that constructors name, wherever those can tell."""

import pytest

from avfusion.run.values import check_values, described, fits

ENCODER = "avfusion.encoders.ConvNet"


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (1, int),
        (1, float),
        (0.5, float),
        (float("inf"), float),
        ("a", str),
        (True, bool),
        (None, int | None),
        ([1, 2.5], list[float]),
        ({"train": 1}, dict[str, float]),
        ({"train": [0, 9]}, dict[str, float] | dict[str, list[int]]),
        ("${seed}", int),
        ("???", int),
        ({"_target_": "torch.nn.ReLU"}, int),
    ],
)
def test_what_a_constructor_takes_passes(value, kind):
    assert fits(value, kind)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("1", int),
        (1.5, int),
        (True, int),
        (True, float),
        (1, bool),
        (float("nan"), float),
        (None, int),
        (1, str),
        ("abc", list[str]),
        ([1, "a"], list[int]),
        ({"train": "a"}, dict[str, int]),
        ([1], int),
        ({"a": 1}, int),
        ("a", dict[str, int] | None),
    ],
)
def test_what_a_constructor_does_not_take_is_found(value, kind):
    assert not fits(value, kind)


def test_types_are_said_in_words():
    assert described(int | float | None) == "a number or null"
    assert described(list[int]) == "a list, each a whole number"
    assert described(dict[str, float] | None) == "named values, each a number or null"
    assert described(type(pytest)) == "a group of values with a _target_"


def test_the_key_is_that_of_the_command_line():
    part = {"model": {"network": {"face_encoder": {"_target_": ENCODER, "groups": "two"}}}}
    with pytest.raises(ValueError, match=r"model\.network\.face_encoder\.groups must be .* 'two'"):
        check_values(part)


def test_what_no_constructor_takes_has_a_type_too():
    with pytest.raises(ValueError, match=r"prepare\.limit must be .* or null, got 'few'"):
        check_values({"prepare": {"limit": "few"}})
    check_values({"prepare": {"limit": None}, "seed": 3, "anything": {"limit": "few"}})


def test_what_is_unknown_is_left_to_others():
    check_values({"data": {"_target_": "nowhere.Nothing", "batch_size": "many"}})


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("max_epoch", "did you mean trainer.max_epochs?"),
        ("gradient_clip", "did you mean trainer.gradient_clip_val?"),
        ("zzz", "it takes accelerator, strategy, devices"),
    ],
)
def test_a_name_that_a_constructor_does_not_take_is_answered_with_the_nearest(name, answer):
    part = {"_target_": "lightning.Trainer", name: 3}
    with pytest.raises(ValueError, match=rf"lightning.Trainer takes no trainer.{name}: {answer}"):
        check_values(part, "trainer")


def test_any_name_passes_where_a_constructor_takes_any():
    check_values({"_target_": "avfusion.optimizer.build", "nesterov": True}, "optimizer")
