import numpy as np
import pytest
import torch
from conftest import single_label

from avfusion.training.metrics.stages import check_monitor, stage_metrics

NAN_BOX = [float("nan")] * 4
TOY = single_label("class_0", "class_1", "class_2")
CLASSES = ["calm", "cross", "merry", "never"]


def count(metrics, logits, target, box=NAN_BOX, glimpses=None, loss=1.0):
    metrics.update(
        value=torch.full((len(target),), loss),
        preds=logits,
        target=target,
        glimpses=glimpses,
        box=torch.tensor([box]).repeat(len(target), 1),
    )
    return metrics


def scores_of(*batch):
    return count(stage_metrics(single_label(*CLASSES)), *batch)


def test_overall_scores_equal_their_formulas():
    logits, target = torch.randn(60, 4), torch.randint(0, 3, (60,))
    scores = scores_of(logits, target).compute()
    guess, truth = logits.argmax(dim=1).numpy(), target.numpy()
    true_positive = np.array([((guess == k) & (truth == k)).sum() for k in range(4)])
    guessed, occurring = (np.bincount(labels, minlength=4) for labels in (guess, truth))
    assert scores["accuracy"].item() == pytest.approx((guess == truth).mean())
    recall = true_positive[:3] / occurring[:3]
    assert scores["balanced_accuracy"].item() == pytest.approx(recall.mean())
    for name, value in zip(CLASSES, recall, strict=False):
        assert scores[f"accuracy_{name}"].item() == pytest.approx(value)
    f1 = 2 * true_positive / (guessed + occurring)
    assert scores["macro_f1"].item() == pytest.approx(f1.mean())


def test_classes_that_never_occur_have_no_accuracy_and_no_part_in_the_balance():
    logits = torch.eye(4)[torch.tensor([0, 0, 3, 1])]
    scores = scores_of(logits, torch.tensor([0, 0, 0, 1])).compute()
    assert scores["balanced_accuracy"].item() == pytest.approx((2 / 3 + 1) / 2)
    assert {name for name in scores if name.startswith("accuracy_")} == {
        "accuracy_calm",
        "accuracy_cross",
    }


def test_processes_that_each_saw_a_part_agree_with_one_that_saw_all():
    logits, target = torch.randn(12, 4), torch.randint(0, 4, (12,))
    glimpses = torch.rand(12, 2, 1, 4, 4)
    box = [0.1, 0.2, 0.5, 0.6]
    whole = scores_of(logits, target, box, glimpses).compute()
    first, second = (
        scores_of(logits[part], target[part], box, glimpses[part])
        for part in (slice(0, 5), slice(5, 12))
    )
    for name in first:
        first[name].merge_state(second[name])
    merged = first.compute()
    assert set(merged) == set(whole)
    for name, value in whole.items():
        torch.testing.assert_close(merged[name], value)


def test_the_loss_is_the_mean_over_the_clips_not_over_the_batches():
    metrics = stage_metrics(single_label(*CLASSES))
    for clips, loss in ((3, 1.0), (1, 5.0)):
        count(metrics, torch.rand(clips, 4), torch.zeros(clips, dtype=torch.long), loss=loss)
    assert metrics.compute()["loss"] == 2


def test_a_stage_begins_anew_after_a_reset():
    box, glimpses = [0.0, 0.0, 0.2, 1.0], torch.rand(4, 1, 1, 4, 4)
    metrics = scores_of(torch.eye(4), torch.arange(4), box, glimpses)
    metrics.reset()
    scores = count(metrics, torch.eye(4)[[1, 0]], torch.tensor([0, 1])).compute()
    assert scores["accuracy"] == 0
    assert "attention_hit" not in scores


@pytest.mark.parametrize(
    ("monitor", "mode"),
    [
        ("val/loss", "min"),
        ("train/loss", "min"),
        ("val/accuracy", "max"),
        ("val/balanced_accuracy", "max"),
        ("train/macro_f1", "max"),
        ("val/accuracy_class_2", "max"),
        ("val/attention_hit", "max"),
        ("val/attention_mass_small", "max"),
    ],
)
def test_a_monitor_that_will_be_logged_is_accepted(monitor, mode):
    check_monitor(monitor, mode)
    check_monitor(monitor, mode, TOY)


@pytest.mark.parametrize("monitor", ["accuracy", "val/acc", "test/accuracy", "val/hit_small", ""])
def test_a_monitor_that_no_metric_has_is_refused_with_those_that_exist(monitor):
    with pytest.raises(ValueError, match=f"monitor={monitor} is no metric.*balanced_accuracy"):
        check_monitor(monitor, "max")


def test_what_the_data_lacks_is_refused_once_it_is_known():
    check_monitor("val/accuracy_merry", "max")
    with pytest.raises(ValueError, match=r"accuracy_merry is no metric.*accuracy_class_0"):
        check_monitor("val/accuracy_merry", "max", TOY)
    with pytest.raises(ValueError, match="attention_hit is no metric"):
        check_monitor("val/attention_hit", "max", TOY, looks=False)


@pytest.mark.parametrize(("monitor", "mode"), [("val/loss", "max"), ("val/accuracy", "min")])
def test_a_mode_that_keeps_the_worst_is_refused(monitor, mode):
    with pytest.raises(ValueError, match=f"mode={mode} would keep the worst {monitor}"):
        check_monitor(monitor, mode)


def test_every_score_of_a_stage_can_be_monitored():
    metrics = stage_metrics(single_label(*CLASSES)).clone(prefix="val/")
    for width in (0.1, 0.3, 0.9):
        box, glimpses = [0.0, 0.0, width, 1.0], torch.rand(4, 1, 1, 4, 4)
        count(metrics, torch.eye(4), torch.arange(4), box, glimpses)
    names = list(metrics.compute())
    assert len(names) == 4 + len(CLASSES) + 8
    for name in names:
        check_monitor(name, "min" if name == "val/loss" else "max", single_label(*CLASSES))
