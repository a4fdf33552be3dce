import numpy as np
import pytest
import torch
from sklearn import metrics as oracle

from avfusion.targets import MultiLabel
from avfusion.training.metrics.stages import stage_metrics

CLASSES = ["calm", "cross", "merry", "never"]


def count(*batches):
    metrics = stage_metrics(MultiLabel({"output_names": CLASSES}))
    for logits, labels in batches:
        metrics.update(
            value=torch.ones(len(labels)),
            preds=logits,
            target=labels,
            glimpses=None,
            box=torch.full((len(labels), 4), torch.nan),
        )
    return metrics


def scores_of(*batches) -> dict[str, float]:
    found = count(*batches).compute()
    return {name: float(value) for name, value in found.items() if name != "loss"}


LOGITS = torch.tensor(
    [[2.0, -1.0, 0.5, -3.0], [1.0, 3.0, -0.5, -3.0], [-1.0, 1.0, 0.25, 1.0], [-2.0, -2.0, 4.0, -1]]
)
LABELS = torch.tensor([[1, 0, 0, 0], [1, 1, 0, 0], [0, 1, 1, 0], [1, 0, 1, 0]])


def test_scores_of_four_clips_equal_those_worked_out_by_hand():
    assert scores_of((LOGITS, LABELS)) == pytest.approx(
        {
            "accuracy": 13 / 16,
            "subset_accuracy": 1 / 4,
            "balanced_accuracy": (2 / 3 + 1 + 1) / 3,
            "macro_f1": (4 / 5 + 1 + 4 / 5 + 0) / 4,  # never is predicted once, and never true
            "accuracy_calm": 2 / 3,
            "accuracy_cross": 1,
            "accuracy_merry": 1,
            "mean_average_precision": (11 / 12 + 1 + 5 / 6) / 3,
            "average_precision_calm": (1 + 1 + 3 / 4) / 3,
            "average_precision_cross": 1,
            "average_precision_merry": (1 + 2 / 3) / 2,
        }
    )


def test_a_class_neither_true_nor_predicted_has_no_part_in_macro_f1():
    logits = LOGITS.clone()
    logits[2, 3] = -1
    assert scores_of((logits, LABELS))["macro_f1"] == pytest.approx((4 / 5 + 1 + 4 / 5) / 3)


def test_clips_without_any_class_have_accuracy_and_no_average_precision():
    found = scores_of((LOGITS, torch.zeros_like(LABELS)))
    assert found["accuracy"] == 8 / 16 and found["macro_f1"] == 0
    assert np.isnan([found["balanced_accuracy"], found["mean_average_precision"]]).all()
    assert not [name for name in found if name.endswith(tuple(CLASSES))]


def draw(clips: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits with ties, and labels of which the last class never is one."""
    logits = torch.randint(-6, 7, (clips, 4)) / 2
    return logits, torch.cat([torch.randint(0, 2, (clips, 3)), torch.zeros(clips, 1).long()], 1)


def test_scores_over_all_batches_equal_those_of_scikit_learn():
    batches = [draw(30), draw(1), draw(17)]
    logits, true = (torch.cat(parts).numpy() for parts in zip(*batches, strict=True))
    predicted = logits > 0
    recall = oracle.recall_score(true[:, :3], predicted[:, :3], average=None)
    areas = [oracle.average_precision_score(true[:, k], logits[:, k]) for k in range(3)]
    each = zip(CLASSES, recall, areas, strict=False)
    by_class = {f"accuracy_{name}": value for name, value, _ in each}
    each = zip(CLASSES, areas, strict=False)
    by_class |= {f"average_precision_{name}": value for name, value in each}
    assert scores_of(*batches) == pytest.approx(
        {
            "accuracy": 1 - oracle.hamming_loss(true, predicted),
            "subset_accuracy": oracle.accuracy_score(true, predicted),
            "balanced_accuracy": recall.mean(),
            "macro_f1": oracle.f1_score(true, predicted, average="macro", zero_division=0),
            "mean_average_precision": np.mean(areas),
            **by_class,
        }
    )


def test_logits_are_no_probabilities_even_where_all_of_a_batch_lie_between_0_and_1():
    logits, labels = torch.full((3, 4), 0.25), torch.ones(3, 4).long()
    assert scores_of((logits, labels))["subset_accuracy"] == 1
    assert scores_of((logits, labels))["accuracy"] == 1


def test_the_order_of_large_logits_counts_though_their_probabilities_are_equal():
    logits = torch.tensor([[40.0, 1e4], [39.0, 1e4 + 1], [38.0, -1e4]])
    assert (logits[:, 0].sigmoid() == 1).all()
    logits = torch.cat([logits, torch.zeros(3, 2)], dim=1)
    found = scores_of((logits, torch.tensor([[1, 0, 1, 1], [1, 1, 1, 1], [0, 0, 1, 1]])))
    assert found["average_precision_calm"] == found["average_precision_cross"] == 1


def test_a_perfect_order_has_average_precision_1_and_chance_the_frequency_of_the_class():
    labels = torch.tensor([[1, 0, 1, 0]] * 3 + [[0, 1, 0, 0]] * 9)
    assert scores_of((labels * 2.0 - 3, labels))["mean_average_precision"] == pytest.approx(1)
    even = scores_of((torch.zeros(12, 4), labels))
    assert even["average_precision_calm"] == pytest.approx(3 / 12)
    assert even["average_precision_cross"] == pytest.approx(9 / 12)


def test_processes_that_each_saw_some_clips_agree_with_one_that_saw_all():
    first, second = count((LOGITS[:1], LABELS[:1])), count((LOGITS[1:], LABELS[1:]))
    for name in first:
        first[name].merge_state(second[name])
    found = {name: float(value) for name, value in first.compute().items() if name != "loss"}
    assert found == scores_of((LOGITS, LABELS))
