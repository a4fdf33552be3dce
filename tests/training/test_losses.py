"""Losses of classes and of numbers, each held to a formula of its own."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from avfusion.training.losses import (
    Concordance,
    CrossEntropy,
    Focal,
    MeanAbsoluteError,
    MeanSquaredError,
    NegativeLogLikelihood,
)

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.5, 0.5, 1.0], [-3.0, 1.0, 0.0], [0.0, 0.0, 4.0]])
LABEL = torch.tensor([0, 1, 1, 2])

NAN = float("nan")
NUMBER_LOSSES = [MeanSquaredError(), MeanAbsoluteError(), Concordance()]
NUMBERS = torch.tensor([[1.0, NAN], [2.0, 0.5], [3.0, NAN], [4.0, NAN]])
OUTPUTS = torch.tensor([[2.0, 7.0], [2.0, 2.5], [4.0, 7.0], [4.0, 7.0]])


def weighted_cross_entropy(weights: list[float], smoothing: float) -> float:
    scores, weight = LOGITS.double().numpy(), np.array(weights)
    log_probability = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    target = np.eye(3)[LABEL.numpy()] * (1 - smoothing) + smoothing / 3
    return -(target * weight * log_probability).sum() / weight[LABEL.numpy()].sum()


@pytest.mark.parametrize("smoothing", [0, 0.1, 0.9])
@pytest.mark.parametrize("weights", [[1, 1, 1], [0.5, 2.0, 0.0]])
def test_equals_weighted_smoothed_cross_entropy(weights, smoothing):
    loss = CrossEntropy([10, 20, 30], weights, smoothing)(LOGITS, LABEL)
    assert loss.item() == pytest.approx(weighted_cross_entropy(weights, smoothing), rel=1e-5)


def test_without_weights_all_clips_count_alike():
    loss = CrossEntropy([1, 50, 3])(LOGITS, LABEL)
    assert loss.item() == pytest.approx(weighted_cross_entropy([1, 1, 1], 0), rel=1e-5)


def test_balanced_weights_are_inverse_to_the_counts_with_mean_one_over_the_clips():
    counts = np.array([10, 30, 0, 60])
    weights = CrossEntropy(counts.tolist(), "balanced").weights.numpy()
    np.testing.assert_allclose(weights[[0, 1, 3]] * counts[[0, 1, 3]], 100 / 3, rtol=1e-6)
    assert weights[2] == 0
    assert (weights * counts).sum() / counts.sum() == pytest.approx(1)


def test_balanced_classes_need_no_weights():
    loss = CrossEntropy([7, 7, 7], "balanced")(LOGITS, LABEL)
    assert loss.item() == pytest.approx(weighted_cross_entropy([1, 1, 1], 0), rel=1e-5)


@pytest.mark.parametrize("weights", ["equal", "abc", [1.0, 2.0], [1.0, 2.0, -1.0], []])
def test_weights_that_fit_no_class_are_refused(weights):
    with pytest.raises(ValueError, match=r"loss\.weights must be null, balanced or (3|one) number"):
        CrossEntropy([1, 2, 3], weights)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, 2])
def test_smoothing_outside_its_range_is_refused(smoothing):
    with pytest.raises(ValueError, match=rf"must lie in \[0, 1\), got {smoothing}"):
        CrossEntropy([1, 2], label_smoothing=smoothing)


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 0.0]])
def test_negative_log_likelihood_takes_log_probabilities_and_logits_alike(weights):
    loss, expected = NegativeLogLikelihood([1, 2, 3], weights), CrossEntropy([1, 2, 3], weights)
    for scores in (LOGITS, LOGITS.log_softmax(dim=1)):
        torch.testing.assert_close(loss(scores, LABEL), expected(LOGITS, LABEL))


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("weights", [[1, 1, 1], [0.5, 2.0, 0.0]])
def test_focal_loss_equals_cross_entropy_times_the_modulating_factor(weights, gamma):
    scores, total, norm = LOGITS.double().numpy(), 0.0, 0.0
    for row, label in zip(scores, LABEL.tolist(), strict=True):
        probability = np.exp(row[label]) / np.exp(row).sum()
        total -= weights[label] * (1 - probability) ** gamma * np.log(probability)
        norm += weights[label]
    loss = Focal([10, 20, 30], weights, gamma)(LOGITS, LABEL)
    assert loss.item() == pytest.approx(total / norm, rel=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_loss_of_a_class_with_probability_one_has_a_finite_gradient(gamma):
    logits = torch.tensor([[200.0, 0.0], [0.0, 200.0]], requires_grad=True)
    Focal([1, 1], gamma=gamma)(logits, torch.tensor([0, 0])).backward()
    assert logits.grad.isfinite().all() and logits.grad[1].any()


@pytest.mark.parametrize("gamma", [-1.0, float("nan"), float("inf")])
def test_impossible_gammas_are_refused(gamma):
    with pytest.raises(ValueError, match=r"loss\.gamma must be at least 0"):
        Focal([1, 2], gamma=gamma)


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (MeanSquaredError(), (1 + 0 + 1 + 0 + 4) / 5),
        (MeanAbsoluteError(), (1 + 0 + 1 + 0 + 2) / 5),
        # 0.8 of the first name (see the metric); a single clip of the second agrees with nothing.
        (Concordance(), ((1 - 0.8) + 1) / 2),
    ],
)
def test_missing_numbers_do_not_count(loss, expected):
    assert loss(OUTPUTS, NUMBERS).item() == pytest.approx(expected, rel=1e-6)


def test_without_missing_numbers_errors_are_those_of_torch():
    outputs, label = torch.randn(6, 3), torch.randn(6, 3)
    torch.testing.assert_close(MeanSquaredError()(outputs, label), F.mse_loss(outputs, label))
    torch.testing.assert_close(MeanAbsoluteError()(outputs, label), F.l1_loss(outputs, label))


@pytest.mark.parametrize("loss", NUMBER_LOSSES, ids=lambda loss: type(loss).__name__)
def test_missing_numbers_get_no_gradient_and_known_ones_do(loss):
    outputs = OUTPUTS.clone().requires_grad_()
    loss(outputs, NUMBERS).backward()
    assert not outputs.grad[NUMBERS.isnan()].any()
    assert outputs.grad.isfinite().all() and outputs.grad[:, 0].any()


@pytest.mark.parametrize("loss", NUMBER_LOSSES, ids=lambda loss: type(loss).__name__)
def test_a_batch_without_numbers_teaches_nothing(loss):
    outputs = torch.randn(4, 2, requires_grad=True)
    value = loss(outputs, torch.full((4, 2), NAN))
    value.backward()
    assert value.item() == 0 and not outputs.grad.any()


def test_the_concordance_loss_pulls_a_constant_apart_and_is_zero_where_all_agrees():
    true = torch.tensor([[-1.0], [0.0], [1.0]])
    constant = torch.zeros(3, 1, requires_grad=True)
    loss = Concordance()(constant, true)
    loss.backward()
    assert loss.item() == pytest.approx(1)
    assert (constant.grad.flatten().sign() == torch.tensor([1.0, 0.0, -1.0])).all()
    assert Concordance()(true, true).item() == pytest.approx(0, abs=1e-6)
    alike = torch.ones(3, 1, requires_grad=True)
    Concordance()(alike, torch.ones(3, 1)).backward()
    assert alike.grad.isfinite().all()


@pytest.mark.parametrize("eps", [0.0, -1.0, float("inf")])
def test_impossible_eps_are_refused(eps):
    with pytest.raises(ValueError, match=r"loss\.eps must be above 0"):
        Concordance(eps)
