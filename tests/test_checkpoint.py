import os
import pickle
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import MODELS, build, build_task, load, toy_clips, toy_description
from hydra.utils import instantiate

from avfusion.checkpoint import (
    check_parameters,
    check_same_recipe,
    find_checkpoint,
    load_matching_weights,
    read_checkpoint,
)
from avfusion.run.restore import build_from_recipe


def with_recipe(model: str, *overrides: str, names: list[str] | None = None):
    """A task and its recipe, as training makes them."""
    cfg = load("train", f"model={model}", *overrides)
    description = toy_description()
    if names is not None:
        description |= {"output_names": names, "class_counts": [1] * len(names)}
    return build_task(cfg, description, recorded=True)


def save(path: Path, recipe: object, weights: dict | None = None) -> Path:
    torch.save({"state_dict": weights or {}, "recipe": recipe}, path)
    return path


def saved(path: Path, task) -> Path:
    return save(path, task.recipe.plain(), task.state_dict())


class Trap:
    """An object that makes a folder where it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_of_a_run_the_checkpoint_of_that_name_is_found_and_a_file_is_itself(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in ("best", "last"):
        (folder / f"{name}.ckpt").touch()
        assert find_checkpoint(str(tmp_path), name) == folder / f"{name}.ckpt"
    assert find_checkpoint(str(folder / "best.ckpt"), "last") == folder / "best.ckpt"


def test_the_last_checkpoint_is_the_best_of_a_run_that_chooses_none(tmp_path):
    last = tmp_path / "checkpoints" / "last.ckpt"
    last.parent.mkdir()
    last.touch()
    assert find_checkpoint(str(tmp_path), "best") == last
    best = last.with_name("best.ckpt")
    best.touch()
    assert find_checkpoint(str(tmp_path), "best") == best


def test_a_missing_checkpoint_is_named_with_where_it_was_looked_for(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere.ckpt"):
        with pytest.raises(FileNotFoundError, match=f"No checkpoint at {path}"):
            find_checkpoint(str(path), "best")


@pytest.mark.parametrize("model", MODELS)
def test_a_checkpoint_rebuilds_every_model_exactly(model, tmp_path):
    task, clips = with_recipe(model).eval(), toy_clips(3)
    checkpoint = read_checkpoint(saved(tmp_path / "a.ckpt", task))
    other = build_from_recipe(checkpoint["recipe"]).eval()
    check_parameters(tmp_path / "a.ckpt", checkpoint, other)
    other.load_state_dict(checkpoint["state_dict"])
    torch.manual_seed(1)  # the seed network adds noise in evaluation, too
    ours = task(clips).logits
    torch.manual_seed(1)
    assert torch.equal(ours, other(clips).logits)


def test_a_pickled_object_is_refused_and_not_run(tmp_path):
    trap, file = Trap(tmp_path / "sprung"), tmp_path / "a.ckpt"
    torch.save({"state_dict": {}, "recipe": {"model": trap}}, file)
    with pytest.raises(ValueError, match=r"holds more than weights and plain data: give one that"):
        read_checkpoint(file)
    assert not trap.folder.exists()
    torch.load(file, weights_only=False)
    assert trap.folder.exists()


@pytest.mark.parametrize(
    "content", [b"", b"hello world, no checkpoint", b"a: 3\nb: 4\n", b"PK\x03\x04", pickle.dumps(5)]
)
def test_a_file_of_another_kind_is_refused(content, tmp_path):
    file = tmp_path / "a.ckpt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=f"{file} is no checkpoint"):
        read_checkpoint(file)


@pytest.mark.parametrize("content", [[1, 2], {"state_dict": {}}, {"state_dict": {}, "recipe": {}}])
def test_a_checkpoint_without_a_recipe_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "a.ckpt")
    with pytest.raises(ValueError, match="has no recipe to restore its network from"):
        read_checkpoint(tmp_path / "a.ckpt")


@pytest.mark.parametrize("key", ["target", "streams", "output_names"])
def test_a_checkpoint_of_an_earlier_version_is_refused_with_what_to_do(key, tmp_path):
    recipe = with_recipe("audio_only").recipe.plain()
    if key == "target":
        del recipe[key]
    else:
        recipe["description"] = {k: v for k, v in recipe["description"].items() if k != key}
    with pytest.raises(ValueError, match=r"a\.ckpt was written by an earlier version.*train it"):
        read_checkpoint(save(tmp_path / "a.ckpt", recipe))


@pytest.mark.parametrize(
    ("kind", "loss"),
    [
        ("SingleLabel", {"_target_": "avfusion.training.losses.Focal"}),
        ("MultiLabel", {"_target_": "avfusion.training.losses.BinaryCrossEntropy", "clips": 3}),
    ],
)
def test_a_checkpoint_rebuilds_its_target(kind, loss, tmp_path):
    recipe = with_recipe("audio_only", names=["b", "a", "c"]).recipe.plain()
    recipe["target"] = {"_target_": f"avfusion.targets.{kind}", "_partial_": True}
    recipe["model"] = recipe["model"] | {"loss": loss | {"class_counts": [1, 1, 1]}}
    target = build_from_recipe(read_checkpoint(save(tmp_path / "a.ckpt", recipe))["recipe"]).target
    assert (type(target).__name__, target.output_names) == (kind, ["b", "a", "c"])


def test_a_foreign_call_is_refused_and_not_made(tmp_path):
    folder = tmp_path / "made"
    recipe = {"model": {"_target_": "os.mkdir", "path": str(folder)}}
    with pytest.raises(ValueError, match=r"calls 'os\.mkdir'.*not run"):
        read_checkpoint(save(tmp_path / "a.ckpt", recipe))
    assert not folder.exists()
    instantiate(recipe["model"])
    assert folder.exists()


FOREIGN = [
    "torch.hub.load",
    "os.system",
    "builtins.eval",
    "hydra.utils.instantiate",
    "torch.optim.SGD",
    "avfusion",
    "avfusion.training.task",
    "avfusion.nothing.Here",
    "avfusion.training.task.Missing",
    "avfusion.training.task.torch.hub.load",
    "avfusion.training.task.nn.Module",
    "avfusion.run.build.shutil.which",
    "avfusion.run.build.instantiate",
    "avfusion.checkpoint.Path",
    "avfusion.models.fusion.lowrank.LowRankFusion.__init__",
    "avfusion_evil.Module",
    "evil.avfusion.training.task.FusionTask",
    "",
]


@pytest.mark.parametrize("target", FOREIGN)
def test_a_recipe_calls_nothing_from_elsewhere(target, tmp_path):
    file = save(tmp_path / "a.ckpt", {"model": {"_target_": target}})
    with pytest.raises(ValueError, match=f"calls '{target}', which is n(either|o class)"):
        read_checkpoint(file)


@pytest.mark.parametrize(
    "target", ["avfusion.preparation.prepare.write_csv", "avfusion.checkpoint.find_checkpoint"]
)
def test_a_recipe_cannot_call_the_functions_of_this_package_that_touch_files(target, tmp_path):
    with pytest.raises(ValueError, match=f"calls '{target}', which is n(either|o class)"):
        read_checkpoint(save(tmp_path / "a.ckpt", {"model": {"_target_": target}}))


@pytest.mark.parametrize("depth", range(4))
def test_a_foreign_call_is_found_however_deep_it_lies(depth, tmp_path):
    part: object = {"_target_": "os.system", "command": "true"}
    for level in range(depth):
        part = [{"fine": 1}, part] if level % 2 else {"network": (part, 0)}
    with pytest.raises(ValueError, match=r"calls 'os\.system'"):
        read_checkpoint(save(tmp_path / "a.ckpt", {"data": part}))


@pytest.mark.parametrize("text", ["${oc.env:HOME}", "a ${b} c", "${hydra:runtime.cwd}"])
def test_an_interpolation_is_refused(text, tmp_path):
    file = save(tmp_path / "a.ckpt", {"data": {"store": [text]}})
    with pytest.raises(ValueError, match="holds an interpolation"):
        read_checkpoint(file)


def test_a_checkpoint_that_does_not_fit_names_the_first_parameter_that_differs(tmp_path):
    task = build("lowrank", "model.network.fusion.dim=16")
    weights = build("lowrank", "model.network.fusion.dim=32").state_dict()
    with pytest.raises(ValueError, match=r"5 parameters differ, the first is network\.fusion") as e:
        check_parameters(tmp_path, {"state_dict": weights}, task)
    assert "network.fusion.audio_factors.bias ((32,) there, (16,) here)" in str(e.value)


def test_a_missing_and_an_additional_parameter_do_not_fit_either(tmp_path):
    task = build("lowrank")
    weights = task.state_dict()
    check_parameters(tmp_path, {"state_dict": weights}, task)
    value = weights.pop("network.head.logits.bias")
    with pytest.raises(ValueError, match=r"1 parameters differ.*logits\.bias \(missing there"):
        check_parameters(tmp_path, {"state_dict": weights}, task)
    more = weights | {"network.head.logits.bias": value, "z": value}
    with pytest.raises(ValueError, match=r"the first is z \(\(3,\) there, missing here\)"):
        check_parameters(tmp_path, {"state_dict": more}, task)


def test_a_checkpoint_of_other_classes_is_not_continued_even_if_it_fits(tmp_path):
    theirs, ours = with_recipe("lowrank", names=["a", "b", "c"]), with_recipe("lowrank")
    checkpoint = read_checkpoint(saved(tmp_path / "a.ckpt", theirs))
    check_parameters(tmp_path, checkpoint, ours)
    check_same_recipe(tmp_path, checkpoint, theirs.recipe)
    with pytest.raises(
        ValueError, match=r"another description \(output_names: \['a', 'b', 'c'\] there.*init"
    ):
        check_same_recipe(tmp_path, checkpoint, ours.recipe)


@pytest.mark.parametrize(
    ("part", "key", "value"), [("model", "network", {}), ("description", "boxes", False)]
)
def test_going_on_with_something_else_is_refused_with_its_name(part, key, value, tmp_path):
    task = with_recipe("lowrank")
    checkpoint = read_checkpoint(saved(tmp_path / "a.ckpt", task))
    other = replace(task.recipe, **{part: getattr(task.recipe, part) | {key: value}})
    with pytest.raises(ValueError, match=f"another {part} \\({key}"):
        check_same_recipe(tmp_path, checkpoint, other)


def test_a_checkpoint_from_before_a_kind_of_leak_was_looked_for_goes_on_where_it_is_allowed(
    tmp_path,
):
    recipe = with_recipe("lowrank").recipe
    before = recipe.plain() | {"description": dict(recipe.description, leaks={"old": []})}
    now = dict(recipe.description, leaks={"old": [], "new": ["a = b"]})
    check_same_recipe(tmp_path, {"recipe": before}, replace(recipe, description=now))
    now["leaks"] = {"old": ["a = b"], "new": []}
    with pytest.raises(ValueError, match=r"another description \(leaks: old: \[\] there"):
        check_same_recipe(tmp_path, {"recipe": before}, replace(recipe, description=now))


def test_a_checkpoint_from_before_there_was_an_option_goes_on_with_its_default(tmp_path):
    recipe = with_recipe("lowrank").recipe
    model = dict(recipe.model, new=None)
    model["network"] = dict(model["network"], also_new=None)
    checkpoint = {"recipe": recipe.plain() | {"model": model}}
    check_same_recipe(tmp_path, checkpoint, recipe)
    model["network"]["also_new"] = 1
    with pytest.raises(ValueError, match=r"another model \(network: also_new: 1 there, None here"):
        check_same_recipe(tmp_path, checkpoint, recipe)


def test_going_on_with_another_seed_is_refused(tmp_path):
    task = with_recipe("lowrank")
    checkpoint = read_checkpoint(saved(tmp_path / "a.ckpt", task))
    with pytest.raises(ValueError, match="another seed \\(0 there, 7 here"):
        check_same_recipe(tmp_path, checkpoint, replace(task.recipe, seed=7))


def test_a_class_in_the_place_of_its_name_is_refused(tmp_path):
    file = save(tmp_path / "a.ckpt", {"model": {"_target_": OrderedDict}})
    with pytest.raises(ValueError, match="not plain data: not run"):
        read_checkpoint(file)


def loaded_parts(task, theirs) -> set[str]:
    """The tensors of a task that are theirs."""
    other = theirs.state_dict()
    return {
        name
        for name, value in task.state_dict().items()
        if name in other and torch.equal(value, other[name])
    }


def fill(task, value: float):
    """Tell every tensor of a task apart from those of any other."""
    for tensor in task.state_dict().values():
        tensor.fill_(value)
    return task


def test_for_the_same_classes_all_but_the_normalization_and_the_loss_is_loaded(tmp_path):
    overrides = ("loss.weights=[1,2,3]",)
    theirs, ours = (fill(with_recipe("lowrank", *overrides), value) for value in (1, 2))
    file = saved(tmp_path / "a.ckpt", theirs)
    load_matching_weights(file, read_checkpoint(file), ours, ours.recipe)
    kept = {name for name in ours.state_dict() if ".normalize." in name} | {"loss.weights"}
    assert len(kept) == 5
    assert set(ours.state_dict()) - loaded_parts(ours, theirs) == kept


@pytest.mark.parametrize("names", [["other", "names", "three"], ["class_0", "class_1"]])
def test_for_other_classes_the_output_layer_is_made_anew(names, tmp_path):
    theirs, ours = fill(with_recipe("lowrank"), 1), fill(with_recipe("lowrank", names=names), 2)
    file = saved(tmp_path / "a.ckpt", theirs)
    load_matching_weights(file, read_checkpoint(file), ours, ours.recipe)
    kept = set(ours.state_dict()) - loaded_parts(ours, theirs)
    assert {name for name in kept if "normalize" not in name} == {
        "network.head.logits.weight",
        "network.head.logits.bias",
    }
    assert all((ours.state_dict()[name] == 2).all() for name in kept)


def test_of_another_architecture_what_fits_is_loaded(tmp_path):
    theirs, ours = fill(with_recipe("audio_only"), 1), fill(with_recipe("lowrank"), 2)
    file = saved(tmp_path / "a.ckpt", theirs)
    load_matching_weights(file, read_checkpoint(file), ours, ours.recipe)
    loaded = loaded_parts(ours, theirs)
    assert {name.split(".")[1] for name in loaded} == {"audio_encoder", "head"}
    assert "network.head.hidden.weight" not in loaded


def test_where_nothing_fits_loading_is_refused(tmp_path):
    theirs = with_recipe("audio_only", "model.network.audio_encoder.hidden_dim=8", names=["a", "b"])
    ours = with_recipe("lowrank")
    recipe = theirs.recipe.plain()
    file = save(tmp_path / "a.ckpt", recipe, {"somewhere.else": torch.zeros(3)})
    with pytest.raises(ValueError, match=r"Nothing in .* fits this model"):
        load_matching_weights(file, read_checkpoint(file), ours, ours.recipe)


def test_the_message_lists_what_was_loaded_ignored_and_initialized(tmp_path):
    theirs, ours = with_recipe("audio_only"), with_recipe("lowrank", names=["a", "b"])
    file = saved(tmp_path / "a.ckpt", theirs)
    sentence = load_matching_weights(file, read_checkpoint(file), ours, ours.recipe)
    counts, ignored, initialized = sentence.split("; ")
    shared = 8 + 1  # weights and biases of both LSTMs, and the bias of the head's hidden layer
    assert counts == f"From {file}: loaded {shared} of {len(ours.state_dict())} tensors"
    lists = [text.split(" ", 1)[1].rstrip(".").split(", ") for text in (ignored, initialized)]
    assert len(lists[0]) == len(theirs.state_dict()) - shared
    assert set(lists[1]) == {
        name
        for name in ours.state_dict()
        if ("audio_encoder" not in name or "normalize" in name) and "hidden.bias" not in name
    } | {"network.attention.face_hidden.bias"}
