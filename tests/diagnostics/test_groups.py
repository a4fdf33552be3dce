"""Claims about groups of clips."""

import numpy as np
import pytest

from avfusion.diagnostics.groups import Groups
from avfusion.evaluation.out_of_fold import Pooled
from avfusion.evaluation.pooled_scores import score_attributes, score_classes
from avfusion.evaluation.subject_bootstrap import draw_subjects

from .evidence_by_hand import NAMES, evidence_of


@pytest.fixture(scope="module")
def drawn():
    """Evidence of 60 clips of six subjects, two seeds, and an attribute; and the same as pooled."""
    random = np.random.default_rng(0)
    targets = random.integers(0, 3, 60)
    outputs = random.standard_normal((2, 60, 3)) + 1.5 * np.eye(3)[targets]
    subjects = [f"s{clip // 10}" for clip in range(60)]
    gender = [("female", "male", None)[clip // 20] for clip in range(60)]
    evidence = evidence_of(outputs, targets, subjects=subjects, attributes={"gender": gender})
    folds = np.zeros(60, np.int64)
    pooled = Pooled(
        "",
        NAMES["single_label"],
        evidence.clip_ids,
        evidence.subjects,
        targets,
        outputs,
        folds,
        [""],
    )
    return evidence, pooled, gender


def rows_of(section, title):
    (table,) = (one for one in section.tables if one.title.startswith(title))
    return {row[0]: row[1:] for row in table.rows}


def test_scores_and_intervals_are_those_of_pooled_tables(drawn):
    evidence, pooled, gender = drawn
    section = Groups().measure(evidence)
    found = rows_of(section, "By gender")
    for one in score_attributes(pooled, {"gender": gender}):
        assert found[one.name] == [one.clips, pytest.approx((one.war, *one.war_interval))]
    found = rows_of(section, "By class")
    for one in score_classes(pooled):
        assert found[one.name] == [one.clips, pytest.approx((one.recall, *one.interval))]


def test_the_worst_comes_first_and_the_gap_is_to_the_best(drawn):
    evidence, _, _ = drawn
    section = Groups().measure(evidence)
    table = next(one for one in section.tables if one.title.startswith("By subject"))
    *groups, gap = table.rows
    scores = [row[2][0] for row in groups]
    assert scores == sorted(scores) and len(scores) == 6
    correct = np.array([one.argmax(axis=1) == evidence.targets for one in evidence.outputs])
    assert scores[0] == pytest.approx(
        min(correct[:, 10 * s : 10 * s + 10].mean() for s in range(6))
    )
    assert gap[2][0] == pytest.approx(scores[-1] - scores[0]) == section.numbers["gap/subject"]
    assert section.numbers["worst/subject"] == pytest.approx(scores[0])
    # Of one subject alone nothing says how others would fare.
    assert all(np.isnan(row[2][1]) for row in groups)


def test_a_small_group_is_shown_and_is_not_the_worst():
    outputs = np.eye(3)[[1, 0, 0, 0, 0, 0, 0]]
    subjects = ["one", "a", "a", "a", "b", "b", "b"]
    evidence = evidence_of(outputs, [0, 0, 0, 1, 0, 0, 0], subjects=subjects)
    numbers = Groups(min_clips=3).measure(evidence).numbers
    assert numbers["score/subject/one"] == 0 and numbers["worst/subject"] == pytest.approx(2 / 3)
    assert numbers["gap/subject"] == pytest.approx(1 / 3)


def test_of_several_classes_per_clip_a_class_has_its_recall():
    outputs = [[1, 1], [1, -1], [-1, 1], [-1, -1]]
    evidence = evidence_of(outputs, [[1, 1], [1, 1], [1, 0], [0, 0]], "multi_label")
    numbers = Groups(min_clips=1).measure(evidence).numbers
    assert numbers["score/class/happy"] == pytest.approx(2 / 3)
    assert numbers["score/class/loud"] == pytest.approx(1 / 2)
    assert numbers["score/subject/s2"] == 0 and numbers["score/subject/s1"] == 1 / 2


def test_numbers_are_grouped_by_their_errors_the_largest_first():
    outputs, targets = [[1.0, 0.0], [0.0, 0.0], [0.5, 0.5]], [[0, np.nan], [0, 1], [0.5, 0.5]]
    subjects = ["ann", "ann", "bob"]
    evidence = evidence_of(outputs, targets, "continuous", ["arousal", "valence"], subjects)
    section = Groups(min_clips=1).measure(evidence)
    table = section.tables[0]
    assert [row[0] for row in table.rows[:2]] == ["ann", "bob"]
    assert section.numbers["score/subject/ann"] == pytest.approx((1 + 0.5) / 2)
    assert section.numbers["gap/subject"] == pytest.approx(0.75)
    assert any("Numbers have no classes" in note for note in section.notes)


@pytest.mark.parametrize("kind", ["single_label", "continuous"])
def test_the_interval_of_a_gap_reaches_below_zero_where_the_worst_could_be_the_better(kind):
    """Six subjects, each with one clip of either group: the gap is the mean of differences."""
    right = np.array([[1, 1, 0, 0, 1, 0], [0, 0, 1, 1, 1, 1]])
    wrong = 1 - right.reshape(-1)
    outputs = np.eye(3)[wrong] if kind == "single_label" else wrong[:, None]
    targets = np.zeros(12 if kind == "single_label" else (12, 1))
    evidence = evidence_of(
        outputs, targets, kind, names=["a", "b", "c"] if kind == "single_label" else ["a"],
        subjects=[f"s{subject}" for subject in range(6)] * 2,
        attributes={"camera": ["old"] * 6 + ["new"] * 6},
    )  # fmt: skip
    gap, low, high = rows_of(Groups().measure(evidence), "By camera")["gap from new to old"][1]
    means = draw_subjects(6) @ (right[1] - right[0]) / 6
    assert gap == pytest.approx(1 / 6)
    assert (low, high) == pytest.approx((np.quantile(means, 0.025), np.quantile(means, 0.975)))
    assert low < 0
