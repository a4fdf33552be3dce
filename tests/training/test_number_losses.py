"""Claims about the losses of numbers, each worked by hand or by another formula."""

import pytest
import torch
import torch.nn.functional as F

from avfusion.training.losses import Concordance, MeanAbsoluteError, MeanSquaredError

NAN = float("nan")
LOSSES = [MeanSquaredError(), MeanAbsoluteError(), Concordance()]
TRUE = torch.tensor([[1.0, NAN], [2.0, 0.5], [3.0, NAN], [4.0, NAN]])
OUTPUTS = torch.tensor([[2.0, 7.0], [2.0, 2.5], [4.0, 7.0], [4.0, 7.0]])


@pytest.mark.parametrize(
    ("loss", "by_hand"),
    [
        (MeanSquaredError(), (1 + 0 + 1 + 0 + 4) / 5),
        (MeanAbsoluteError(), (1 + 0 + 1 + 0 + 2) / 5),
        # 0.8 of the first name (see the metric); a single clip of the second agrees with nothing.
        (Concordance(), ((1 - 0.8) + 1) / 2),
    ],
)
def test_missing_numbers_do_not_count(loss, by_hand):
    assert loss(OUTPUTS, TRUE).item() == pytest.approx(by_hand, rel=1e-6)


def test_without_missing_numbers_errors_are_those_of_torch():
    outputs, label = torch.randn(6, 3), torch.randn(6, 3)
    torch.testing.assert_close(MeanSquaredError()(outputs, label), F.mse_loss(outputs, label))
    torch.testing.assert_close(MeanAbsoluteError()(outputs, label), F.l1_loss(outputs, label))


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_missing_numbers_get_no_gradient_and_known_ones_do(loss):
    outputs = OUTPUTS.clone().requires_grad_()
    loss(outputs, TRUE).backward()
    assert not outputs.grad[TRUE.isnan()].any()
    assert outputs.grad.isfinite().all() and outputs.grad[:, 0].any()


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
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
