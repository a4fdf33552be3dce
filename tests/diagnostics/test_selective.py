"""Claims about selective prediction, against cases worked out by hand."""

import numpy as np
import pytest

from avfusion.diagnostics.selective import SelectivePrediction, find_risks

from .evidence_by_hand import evidence_of, logits_of


def test_risk_is_the_part_of_the_surest_answers_that_is_wrong():
    risks = find_risks(np.array([0.6, 0.9, 0.8, 0.7]), np.array([1.0, 0.0, 1.0, 0.0]))
    assert risks.tolist() == pytest.approx([0, 1 / 2, 1 / 3, 2 / 4])


def test_answers_of_one_confidence_come_in_no_order():
    risks = find_risks(np.array([0.9, 0.5, 0.5, 0.5]), np.array([0.0, 1.0, 0.0, 0.0]))
    assert risks.tolist() == pytest.approx([0, (1 / 3) / 2, (2 / 3) / 3, 1 / 4])


def test_the_area_lies_between_that_of_the_best_order_and_the_risk_of_answering_always():
    outputs = logits_of([0.9, 0.1, 0], [0.8, 0.2, 0], [0.7, 0.3, 0], [0.6, 0.4, 0])
    found = SelectivePrediction().measure(evidence_of(outputs, [0, 1, 0, 0])).numbers
    assert found["aurc"] == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert found["best_aurc"] == pytest.approx((0 + 0 + 0 + 1 / 4) / 4)
    assert found["excess_aurc"] == pytest.approx(found["aurc"] - found["best_aurc"])
    assert found["risk_at_1"] == pytest.approx(1 / 4) and found["risk_at_0.5"] == pytest.approx(0.5)

    nothing = SelectivePrediction().measure(evidence_of(np.zeros((4, 3)), [0, 1, 0, 0])).numbers
    assert nothing["aurc"] == nothing["risk_at_1"] == 1 / 4


def test_of_several_classes_per_clip_risk_is_the_part_of_the_decisions():
    outputs = [[3.0, 3.0], [0.1, -0.1]]
    found = SelectivePrediction().measure(evidence_of(outputs, [[1, 1], [0, 0]], "multi_label"))
    assert found.numbers["risk_at_1"] == pytest.approx(1 / 4)
    assert found.numbers["aurc"] == pytest.approx((0 + 1 / 4) / 2)
