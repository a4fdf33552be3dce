"""Claims about answers that are counted, each counted again by hand."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from avfusion.predictions.answers import Answer
from avfusion.report.answers import Answers
from avfusion.report.scores import class_scores, confusion, subject_scores

NAMES = ["low", "high", "none", "never"]


@pytest.fixture
def answers():
    """Sixty answers of five subjects; no clip is of the last class, and none is taken for it."""
    chance = np.random.default_rng(1)
    each = []
    for row in range(60):
        label = NAMES[chance.integers(3)]
        probabilities = torch.tensor([*chance.dirichlet([1, 1, 1]), 0.0])
        clip = {"clip_id": f"c{row}", "label": label, "subject": f"s{chance.integers(5)}"}
        glimpses = torch.zeros(2, 1, 2, 2)
        glimpses[:, 0, int(chance.integers(2)), 0] = 1  # the upper or the lower left cell
        each.append(Answer(clip, row, probabilities, glimpses))
    boxes = np.tile(np.array([0.0, 0.0, 0.2, 0.4], np.float32), (60, 1))
    return Answers(SimpleNamespace(boxes=boxes), "test", NAMES, each)


def said(answer):
    return NAMES[int(np.argmax(answer.probabilities.numpy()))]


def test_classes_are_scored_as_by_hand(answers):
    counts = confusion(answers)
    for true, row in zip(NAMES, class_scores(counts, NAMES), strict=True):
        own = [a for a in answers.each if a.clip["label"] == true]
        taken = [a for a in answers.each if said(a) == true]
        right = [a for a in own if said(a) == true]
        assert (row.name, row.clips) == (true, len(own))
        assert row.recall == (pytest.approx(len(right) / len(own)) if own else None)
        assert row.precision == (pytest.approx(len(right) / len(taken)) if taken else None)
        if own:
            both = row.precision * row.recall
            assert row.f1 == pytest.approx(2 * both / (row.precision + row.recall))
            others = [said(a) for a in own if said(a) != true]
            most = max(others.count(name) for name in NAMES)
            name, _, count = row.mistaken.partition(" ")
            assert others.count(name) == most and count == f"({most})"
    assert row == ("never", 0, None, None, None, "")


def test_subjects_are_scored_as_by_hand_the_worst_first(answers):
    scores = subject_scores(answers)
    assert [s.accuracy for s in scores] == sorted(s.accuracy for s in scores)
    assert {s.name for s in scores} == {f"s{n}" for n in range(5)}
    for score in scores:
        own = [a for a in answers.each if a.clip["subject"] == score.name]
        right = sum(said(a) == a.clip["label"] for a in own)
        assert (score.clips, score.right) == (len(own), right)
        hits = sum(float(a.glimpses[0, 0, 0, 0]) for a in own)  # the box is in the upper left
        assert score.attention_hit == pytest.approx(hits / len(own))


def test_the_interval_is_that_of_wilson(answers):
    z = 1.959964
    for score in subject_scores(answers):
        n, p = score.clips, score.accuracy
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        assert (score.low, score.high) == pytest.approx((middle - half, middle + half), abs=1e-6)


def test_a_network_without_glimpses_hits_nothing_and_misses_nothing(answers):
    blind = answers._replace(each=[answer._replace(glimpses=None) for answer in answers.each])
    assert {score.attention_hit for score in subject_scores(blind)} == {None}
