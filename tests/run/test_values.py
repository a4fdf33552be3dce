"""Values are of the types that constructors name, wherever those can tell."""

import re

import pytest
from conftest import MODELS, load

from avfusion.run.values import check_values, describe_type, fits_type

ENCODER = "avfusion.models.face_encoders.ConvNet"


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
def test_a_value_of_the_annotated_type_passes(value, kind):
    assert fits_type(value, kind)


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
def test_a_value_of_another_type_does_not_fit(value, kind):
    assert not fits_type(value, kind)


def test_types_are_described_in_words():
    assert describe_type(int | float | None) == "a number or null"
    assert describe_type(list[int]) == "a list, each a whole number"
    assert describe_type(dict[str, float] | None) == "named values, each a number or null"
    assert describe_type(type(pytest)) == "a group of values with a _target_"


def test_the_key_is_that_of_the_command_line():
    part = {"model": {"network": {"face_encoder": {"_target_": ENCODER, "norm_groups": "two"}}}}
    with pytest.raises(
        ValueError, match=r"model\.network\.face_encoder\.norm_groups must be .* 'two'"
    ):
        check_values(part)


def test_values_of_a_program_itself_have_types_too():
    with pytest.raises(ValueError, match=r"prepare\.limit must be .* or null, got 'few'"):
        check_values({"prepare": {"limit": "few"}})
    check_values({"prepare": {"limit": None}, "seed": 3, "anything": {"limit": "few"}})


def test_arguments_of_an_unknown_target_are_not_checked():
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
    check_values(
        {"_target_": "avfusion.training.optimizer.build_optimizer", "nesterov": True}, "optimizer"
    )


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        ({"_target_": ENCODER, "norm_groups": 0}, "encoder.norm_groups must be at least 1, got 0"),
        ({"_target_": ENCODER, "widths": [8, 0]}, "1, each of them, got [8, 0]"),
        (
            {"_target_": "avfusion.models.fusion.tensor.TensorFusion", "dim": -1},
            "encoder.dim must be at",
        ),
        (
            {"_target_": "avfusion.training.optimizer.build_optimizer", "weight_decay": -0.1},
            "at least 0, got -0.1",
        ),
    ],
)
def test_the_minimum_is_the_one_of_the_constructor(part, sentence):
    with pytest.raises(ValueError, match=re.escape(sentence)):
        check_values(part, "encoder")
    least = {"norm_groups": 1, "widths": [8, 1], "dim": None, "weight_decay": 0}
    check_values({name: least.get(name, value) for name, value in part.items()}, "encoder")


@pytest.mark.parametrize(
    ("key", "least"),
    [("max_epochs", 1), ("accumulate_grad_batches", 1), ("gradient_clip_val", 0)],
)
def test_arguments_of_the_trainer_have_minimum_values_too(key, least):
    check_values({"_target_": "lightning.Trainer", key: least}, "trainer")
    with pytest.raises(ValueError, match=f"trainer.{key} must be at least {least}, got -1"):
        check_values({"_target_": "lightning.Trainer", key: -1}, "trainer")


@pytest.mark.parametrize("model", MODELS)
def test_every_fusion_refuses_a_width_below_one(model):
    fusion = load("train", f"model={model}").model.network.get("fusion") or {}
    if "dim" not in fusion:
        pytest.skip("it has no fusion, or one that takes its width from the network")
    target = {"_target_": fusion["_target_"], "dim": 0}
    with pytest.raises(ValueError, match=r"model\.network\.fusion\.dim must be at least 1, got 0"):
        check_values(target, "model.network.fusion")
