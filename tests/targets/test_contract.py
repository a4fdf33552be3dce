"""Claims about what every shipped target fulfills; a new one is tested without an edit."""

import pytest
import torch
from conftest import (
    CONF,
    build,
    clip_record,
    encoded_labels,
    indexed,
    single_label,
    toy_clips,
)
from hydra.utils import get_object
from omegaconf import OmegaConf
from torch import nn

from avfusion.targets import (
    TARGETS,
    Target,
    check_kind,
    check_loss,
    check_outputs,
    choose_target,
    name_loss,
)
from avfusion.training.losses import BinaryCrossEntropy, CrossEntropy, Focal
from avfusion.training.metrics.stages import stage_metrics

NAMES = ["sad", "angry", "calm"]
LOSSES = {path.stem: OmegaConf.load(path)._target_ for path in (CONF / "loss").glob("*.yaml")}


@pytest.fixture(params=TARGETS)
def target(request) -> Target:
    return choose_target({"labels": request.param, "output_names": NAMES})


@pytest.fixture(params=["single_label", "multi_label"])
def classes(request) -> Target:
    """A target whose labels name classes."""
    return choose_target({"labels": request.param, "output_names": NAMES})


def test_a_target_is_what_the_contract_lists_and_its_kind_is_its_name(target):
    assert isinstance(target, Target)
    assert type(target) is TARGETS[target.kind]


def test_labels_of_a_store_are_decoded_as_they_were_encoded_and_unknown_ones_are_told_apart(
    target, tmp_path
):
    labels: list[dict] = [{"label": name} for name in NAMES]
    if target.number_names:
        labels = [{"label": "angry|calm", "numbers": (n / 2, -n / 4)} for n in range(3)]
    labels += [{"label": ""}, {"label": "merry"}]
    records = [clip_record(f"c{number}", **one) for number, one in enumerate(labels)]
    store = indexed(tmp_path, records, labels=target.kind, output_names=NAMES)

    encoded = torch.from_numpy(target.read_labels(store))
    for record, clip in zip(records[:3], encoded, strict=False):
        assert target.decode(clip) == record.label_text
        assert set(target.classes_of(record.label)) <= set(NAMES)
    assert [target.decode(clip) for clip in encoded[3:]] == ["?", "?"]
    assert target.indicators(encoded).amax(dim=1).tolist() == [1, 1, 1, -1, -1]
    nothing = torch.from_numpy(target.encode_unlabeled(2))
    assert torch.equal(nothing.nan_to_num(-1), encoded[3:].nan_to_num(-1))


def test_a_prediction_is_described_by_a_cell_for_each_column(target):
    for prediction in (torch.zeros(3), torch.ones(3), torch.tensor([0.25, 0.75, 0.0])):
        assert len(target.describe(prediction)) == len(target.columns)


def test_indicators_say_of_each_class_whether_a_clip_has_it_or_that_nothing_is_known(classes):
    found = classes.indicators(torch.from_numpy(classes.encode([*NAMES, "merry"])))
    assert torch.equal(found[:3], torch.eye(3, dtype=torch.long))
    assert found[3].tolist() == [-1] * 3


def test_a_sure_prediction_of_the_encoded_class_is_decided_as_its_label(classes):
    target = classes
    for number, label in enumerate(NAMES):
        outputs = torch.full((3,), -9.0)
        outputs[number] = 9.0
        prediction = target.predict(outputs)
        decision = target.decide(prediction)
        assert decision.label == label
        assert decision.parts == {label: pytest.approx(float(prediction[number]))}
        assert target.is_right(decision, label) and target.is_right(decision, "") is None
        assert not target.is_right(decision, NAMES[number - 1])


def test_predictions_are_in_single_precision_and_within_their_limits(target):
    low, high = target.limits or (-float("inf"), float("inf"))
    prediction = target.predict(torch.randn(50, target.outputs).bfloat16() * 20)
    assert prediction.dtype == torch.float32
    assert low <= prediction.min() and prediction.max() <= high
    exclusive = torch.allclose(prediction.sum(dim=1), torch.ones(50))
    assert exclusive == target.exclusive


def test_labels_are_spelled_as_the_classes_that_they_look_like(classes):
    assert [classes.spell(label) for label in ("SAD\u200b", " \uff21ngry", "merry", "")] == [
        "sad",
        "angry",
        "merry",
        "",
    ]


def test_metrics_have_the_names_that_the_target_announces(target):
    metrics = stage_metrics(target)
    clips = toy_clips(9)
    metrics.update(
        value=torch.ones(9),
        preds=torch.randn(9, 3),
        target=encoded_labels(target, clips.label.tolist()),
        glimpses=None,
        box=clips.box,
    )
    each = {f"{score}_{name}" for score in target.class_scores for name in NAMES}
    assert set(metrics.compute()) == {"loss", *target.scores} | each


@pytest.mark.parametrize("names", [[], ["only"]])
@pytest.mark.parametrize("kind", ["single_label", "multi_label"])
def test_fewer_than_two_classes_are_refused_where_a_network_would_tell_them_apart(kind, names):
    target = choose_target({"labels": kind, "output_names": names})
    assert target.classes_of("only") == ["only"]  # a corpus of one class can be prepared
    with pytest.raises(ValueError, match="at least 2 classes to tell apart, got"):
        check_outputs(target)


def test_labels_of_a_kind_without_a_target_are_refused_with_the_kinds_that_have_one():
    with pytest.raises(ValueError, match=r"'ranking'.*single_label, multi_label.*_target_"):
        choose_target({"labels": "ranking", "output_names": NAMES})


def test_a_target_and_labels_of_different_kinds_are_refused(target):
    check_kind(target, target.kind, "a/store")
    for other in TARGETS.keys() - {target.kind}:
        with pytest.raises(ValueError, match=f"clip of a/store has .*clips of {target.has}: prep"):
            check_kind(target, other, "a/store")
    with pytest.raises(ValueError, match="has labels of the kind ranking, and"):
        check_kind(target, "ranking", "a/store")


def test_every_loss_fits_a_target_and_every_loss_of_a_target_can_be_chosen(target):
    assert set(target.losses) <= set(LOSSES)
    assert {name for some in TARGETS.values() for name in some.losses} == set(LOSSES)
    for name, path in LOSSES.items():
        assert name_loss(get_object(path)) == name


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_fits_as_the_target_says_and_what_fits_can_be_learned(target, name):
    labels = {"labels": target.kind}
    if name not in target.losses:
        with pytest.raises(ValueError, match=f"set loss={target.losses[0]} "):
            build("audio_only", f"loss={name}", **labels)
        return
    task, clips = build("audio_only", f"loss={name}", **labels), toy_clips(6)
    clips = clips._replace(label=encoded_labels(task.target, [0, 1, 2] * 2))
    task.step(clips, task.train_metrics)[0].backward()
    assert task.network.head.logits.weight.grad.isfinite().all()


class Own(nn.Module):
    """A loss that a user has written."""


class OwnFocal(Focal):
    """A loss that a user has derived from a shipped one."""


def test_an_own_loss_is_taken_and_one_that_is_derived_is_for_what_its_parent_is_for(target):
    check_loss(target, Own())
    assert (name_loss(Own), name_loss(OwnFocal)) == (None, "focal")
    if "focal" not in target.losses:
        with pytest.raises(ValueError, match=r"OwnFocal is for clips of one class"):
            check_loss(target, OwnFocal([1, 1]))


def test_a_loss_for_other_labels_is_refused_with_both_cures():
    several = choose_target({"labels": "multi_label", "output_names": NAMES})
    with pytest.raises(
        ValueError,
        match=r"CrossEntropy is for clips of one class.*these clips have"
        r" several classes: set loss=bce \(or .*corpus\.multilabel=false\)",
    ):
        check_loss(several, CrossEntropy([1, 1, 1]))
    with pytest.raises(
        ValueError,
        match=r"several classes.*one class: set loss=cross_entropy \(or"
        r" .*corpus\.multilabel=true\)",
    ):
        check_loss(single_label(*NAMES), BinaryCrossEntropy([1, 1, 1], 3))


def test_a_shipped_loss_of_no_target_is_refused_too():
    class Foreign(nn.Module):
        choice = "foreign"

    with pytest.raises(ValueError, match=r"Foreign is for another target.*set loss=cross_entropy"):
        check_loss(single_label(*NAMES), Foreign())
