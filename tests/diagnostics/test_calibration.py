"""Claims about calibration, against cases worked out by hand, torchmetrics and scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss
from torchmetrics.functional.classification import (
    binary_calibration_error,
    multiclass_calibration_error,
)

from avfusion.diagnostics.calibration import Calibration, bin_events, decompose_brier
from avfusion.diagnostics.section import NotMeasured

from .evidence_by_hand import evidence_of, logits_of

QUICK = Calibration(temperature=False)


def draw(kind: str, clips: int = 300, classes: int = 3):
    """Outputs of any confidence for random labels, of which about half are right."""
    random = np.random.default_rng(0)
    targets = random.integers(0, classes, clips)
    outputs = 2 * random.standard_normal((clips, classes)) + 2 * np.eye(classes)[targets]
    if kind == "multi_label":
        targets = random.integers(0, 2, (clips, classes))
        outputs = 2 * random.standard_normal((clips, classes)) + targets
    names = [f"class_{number}" for number in range(classes)]
    return evidence_of(outputs, targets, kind, names)


def test_the_calibration_error_is_that_of_torchmetrics():
    one = draw("single_label")
    ours = QUICK.measure(one).numbers["ece"]
    theirs = multiclass_calibration_error(
        torch.from_numpy(one.outputs[0]).softmax(dim=1), torch.from_numpy(one.targets), 3, n_bins=15
    )
    assert ours == pytest.approx(float(theirs), abs=1e-6)

    several = draw("multi_label")
    ours = QUICK.measure(several).numbers["ece"]
    probabilities = torch.from_numpy(several.outputs[0]).sigmoid().flatten()
    labels = torch.from_numpy(several.targets).flatten()
    theirs = binary_calibration_error(probabilities, labels, n_bins=15)
    assert ours == pytest.approx(float(theirs), abs=1e-6)


def test_bins_of_equal_width_and_of_equal_mass_are_those_of_a_case_by_hand():
    probability = np.array([0.55, 0.6, 0.65, 0.9, 0.95, 1.0])
    happened = np.array([0.0, 1.0, 1.0, 1.0, 1.0, 0.0])
    wide = bin_events(probability, happened, 2)  # all of them lie in the upper half
    assert wide.share.tolist() == [1.0]
    assert wide.error == pytest.approx(abs(4.65 / 6 - 4 / 6))
    heavy = bin_events(probability, happened, 2, equal_mass=True)
    assert heavy.share.tolist() == [0.5, 0.5]
    assert heavy.error == pytest.approx(0.5 * abs(1.8 / 3 - 2 / 3) + 0.5 * abs(2.85 / 3 - 2 / 3))
    same = bin_events(np.full(4, 0.7), np.array([1.0, 1.0, 1.0, 0.0]), 2, equal_mass=True)
    assert same.share.tolist() == [1.0] and same.error == pytest.approx(0.05)


def test_brier_score_and_likelihood_are_those_of_scikit_learn():
    one = draw("single_label")
    numbers = QUICK.measure(one).numbers
    probabilities = torch.from_numpy(one.outputs[0]).softmax(dim=1).numpy()
    own = brier_score_loss(one.targets, probabilities, scale_by_half=False)
    assert numbers["brier"] == pytest.approx(own)
    assert numbers["nll"] == pytest.approx(log_loss(one.targets, probabilities))

    several = draw("multi_label")
    numbers = QUICK.measure(several).numbers
    p, labels = torch.from_numpy(several.outputs[0]).sigmoid().numpy(), several.targets
    each = [brier_score_loss(y, q) for y, q in zip(labels.T, p.T, strict=True)]
    assert numbers["brier"] == pytest.approx(np.mean(each))
    each = [log_loss(y, q) for y, q in zip(labels.T, p.T, strict=True)]
    assert numbers["nll"] == pytest.approx(np.mean(each))


def test_the_parts_of_the_brier_score_are_murphys_of_few_forecasts_and_add_up():
    # Ten days of 0.8, of which 6 are right; ten of 0.2, of which 1 is: 7 of 20 happen.
    says = np.repeat([0.8, 0.2], 10)
    rain = np.array([1] * 6 + [0] * 4 + [1] + [0] * 9)
    answers = evidence_of(
        logits_of(*np.stack([1 - says, says], axis=1)), rain, names=["dry", "wet"]
    )
    found = decompose_brier(answers.predict_classes(answers.outputs[0]))
    reliability = 0.5 * (0.8 - 0.6) ** 2 + 0.5 * (0.2 - 0.1) ** 2
    resolution = 0.5 * (0.6 - 0.35) ** 2 + 0.5 * (0.1 - 0.35) ** 2
    parts = {"reliability": reliability, "resolution": resolution, "uncertainty": 0.35 * 0.65}
    assert {name: found[name] for name in parts} == pytest.approx(
        {name: 2 * part for name, part in parts.items()}  # of both classes
    )
    for kind in ("single_label", "multi_label"):
        found = QUICK.measure(draw(kind)).numbers
        whole = found["reliability"] - found["resolution"] + found["uncertainty"]
        assert found["brier"] == pytest.approx(whole)
        assert found["reliability"] >= 0 and found["resolution"] >= 0


def test_what_is_as_often_right_as_it_says_has_no_error():
    outputs = logits_of(*[[0.75, 0.25, 0]] * 4)
    section = QUICK.measure(evidence_of(outputs, [0, 0, 0, 1]))
    assert section.numbers["ece"] == pytest.approx(0, abs=1e-9)
    assert section.numbers["mean_confidence"] == pytest.approx(section.numbers["accuracy"])
    (line,) = section.charts[0].lines
    assert line.x == pytest.approx([0.75]) and line.y == pytest.approx([0.75])


def test_of_several_seeds_each_number_is_the_mean():
    outputs = np.stack([draw("single_label").outputs[0], np.zeros((300, 3))])
    targets = draw("single_label").targets
    each = [QUICK.measure(evidence_of(one, targets)).numbers for one in outputs]
    both = QUICK.measure(evidence_of(outputs, targets)).numbers
    assert both == pytest.approx({name: (each[0][name] + each[1][name]) / 2 for name in both})


def test_numbers_have_no_calibration():
    with pytest.raises(NotMeasured, match="Numbers are predicted here"):
        QUICK.measure(evidence_of([[0.5], [1.0]], [[0.4], [0.9]], "continuous", ["arousal"]))
