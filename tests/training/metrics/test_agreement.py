"""Claims about concordance, correlation and errors of numbers, worked by hand or by scipy."""

import sys

import fork_server
import numpy as np
import pytest
import torch
from conftest import ROOT
from ddp_numbers import draw_numbers
from scipy import stats

from avfusion.training.metrics.agreement import Agreement

NAN = float("nan")
TRUE, PREDICTED = [1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 4.0, 4.0]
# Means 2.5 and 3, variances 1.25 and 1, covariance 1: CCC = 2 / (1.25 + 1 + 0.5 ** 2).
BY_HAND = {"ccc": 0.8, "pcc": 1 / 1.25**0.5, "rmse": 0.5**0.5, "mae": 0.5}


def scores_of(*batches, names=("arousal",)) -> dict[str, float]:
    metric = Agreement(names)
    for predicted, true in batches:
        metric.update(preds=torch.tensor(predicted), target=torch.tensor(true))
    return {name: value.item() for name, value in metric.compute().items()}


def column(numbers) -> list[list[float]]:
    return [[number] for number in numbers]


def test_scores_are_those_worked_by_hand_whatever_the_batches():
    whole = scores_of((column(PREDICTED), column(TRUE)))
    assert whole == pytest.approx(BY_HAND | {f"{k}_arousal": v for k, v in BY_HAND.items()})
    parts = [(column(PREDICTED[some]), column(TRUE[some])) for some in (slice(1), slice(1, 4))]
    assert scores_of(*parts) == whole


@pytest.mark.parametrize("scale", [1.0, 1e-3, 1e3])
def test_scores_equal_their_formulas_far_from_zero(scale):
    rng = np.random.default_rng(0)
    true = (1000 + rng.normal(size=200)) * scale
    predicted = true + scale * rng.normal(size=200) + 0.5 * scale
    true, predicted = true.astype(np.float32), predicted.astype(np.float32)
    found = scores_of((column(predicted.tolist()), column(true.tolist())))
    t, p = true.astype(np.float64), predicted.astype(np.float64)
    apart = t.var() + p.var() + (t.mean() - p.mean()) ** 2
    assert found["ccc"] == pytest.approx(2 * np.cov(t, p, ddof=0)[0, 1] / apart, rel=1e-5)
    assert found["pcc"] == pytest.approx(stats.pearsonr(t, p).statistic, rel=1e-5)
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean((t - p) ** 2)), rel=1e-5)


@pytest.mark.parametrize("constant", [0.0, 0.1, 1 / 3, 1e6])
def test_a_constant_agrees_with_nothing_and_is_never_nan(constant):
    true = torch.rand(100).tolist()
    for pair in (([constant] * 100, true), (true, [constant] * 100), ([constant] * 100,) * 2):
        found = scores_of(tuple(map(column, pair)))
        assert found["ccc"] == found["pcc"] == 0
        assert np.isfinite(found["rmse"])
    assert scores_of((column([constant]), column([0.5])))["ccc"] == 0  # a single clip


def test_missing_numbers_are_left_out_and_means_are_over_the_names_that_are_known():
    predicted = [
        [2.0, 9.0, 7.0],
        [2.0, 1.0, 7.0],
        [4.0, 2.0, 7.0],
        [4.0, 3.0, 7.0],
        [9.0, 4.0, 7.0],
    ]
    true = [[1.0, NAN, NAN], [2.0, 1.0, NAN], [3.0, 2.0, NAN], [4.0, 3.0, NAN], [NAN, 4.0, NAN]]
    found = scores_of((predicted, true), names=("arousal", "valence", "never"))
    assert not any(name.endswith("never") for name in found)
    for name, value in BY_HAND.items():
        perfect = 1.0 if name in ("ccc", "pcc") else 0.0
        assert found[f"{name}_arousal"] == pytest.approx(value)
        assert found[f"{name}_valence"] == pytest.approx(perfect)
        assert found[name] == pytest.approx((value + perfect) / 2)


def test_without_any_number_nothing_is_known():
    found = scores_of(([[1.0], [2.0]], [[NAN], [NAN]]))
    assert set(found) == set(BY_HAND) and all(np.isnan(value) for value in found.values())


def test_a_prediction_that_is_no_number_is_not_hidden():
    assert np.isnan(scores_of(([[NAN], [2.0]], [[1.0], [2.0]]))["ccc"])


@pytest.mark.slow
def test_two_processes_have_the_scores_of_one(tmp_path):
    script = str(ROOT / "tests" / "ddp_numbers.py")
    ranks = [fork_server.Popen([sys.executable, script, str(n), str(tmp_path)]) for n in range(2)]
    assert [rank.wait() for rank in ranks] == [0, 0]
    metric = Agreement(["a", "b"])
    metric.update(*draw_numbers())
    alone = metric.compute()
    for rank in range(2):
        assert torch.load(tmp_path / f"{rank}.pt", weights_only=True) == alone
