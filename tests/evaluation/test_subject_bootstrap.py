"""Claims about scores of classes, their intervals over subjects, and tests of differences."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score

from avfusion.evaluation.subject_bootstrap import (
    Counts,
    combine_p_values,
    correct_holm,
    count_classes,
    draw_subjects,
    find_difference_p,
    find_interval,
    find_mcnemar_p,
    resample_recalls,
    resample_scores,
    score_counts,
)


@pytest.fixture
def drawn():
    """True and predicted classes of 90 clips of nine subjects, of four classes."""
    random = np.random.default_rng(3)
    true = random.integers(0, 4, 90)
    predicted = np.where(random.random(90) < 0.6, true, random.integers(0, 4, 90))
    return true, predicted, np.repeat(np.arange(9), 10)


def sklearn_scores(true, predicted):
    return {
        "UAR": balanced_accuracy_score(true, predicted),
        "WAR": accuracy_score(true, predicted),
        "macro F1": f1_score(true, predicted, average="macro"),
        "weighted F1": f1_score(true, predicted, average="weighted"),
    }


def test_scores_are_those_of_scikit_learn(drawn):
    true, predicted, _ = drawn
    counts = count_classes(true, predicted, np.zeros(90, np.int64), (1, 4))
    scores = {name: float(value[0]) for name, value in score_counts(counts).items()}
    assert scores == pytest.approx(sklearn_scores(true, predicted))


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
def test_scores_of_groups_that_lack_classes_are_those_of_scikit_learn():
    """Class 2 has no clip but is predicted, class 3 is neither there nor predicted."""
    true, predicted = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    counts = count_classes(true, predicted, np.zeros(4, np.int64), (1, 4))
    scores = {name: float(value[0]) for name, value in score_counts(counts).items()}
    assert scores == pytest.approx(sklearn_scores(true, predicted))
    assert scores["UAR"] == 0.75 and scores["macro F1"] == pytest.approx((2 / 3 + 0 + 1) / 3)


def test_a_draw_scores_the_clips_of_the_subjects_that_it_holds_as_often_as_it_holds_them(drawn):
    true, predicted, subjects = drawn
    counts = count_classes(true, predicted, subjects, (9, 4))
    draws = draw_subjects(9, samples=20)
    assert (draws.sum(axis=1) == 9).all()
    scores = resample_scores([counts], draws)
    recalls = resample_recalls([counts], draws)
    for number, draw in enumerate(draws):
        rows = np.concatenate([np.flatnonzero(subjects == s) for s in np.repeat(range(9), draw)])
        expected = sklearn_scores(true[rows], predicted[rows])
        assert {n: v[number] for n, v in scores.items()} == pytest.approx(expected)
        own = predicted[rows][true[rows] == 1] == 1
        assert recalls[number, 1] == pytest.approx(own.mean())


def test_scores_of_several_repetitions_are_their_mean(drawn):
    true, predicted, subjects = drawn
    one = count_classes(true, predicted, subjects, (9, 4))
    other = count_classes(true, true, subjects, (9, 4))
    draws = draw_subjects(9, samples=7)
    single = resample_scores([one], draws)["WAR"]
    assert resample_scores([one, other], draws)["WAR"] == pytest.approx((single + 1) / 2)


def test_the_interval_of_an_accuracy_is_that_of_the_mean_over_subjects_of_equal_size():
    """With equally many clips each, WAR is the mean of 40 numbers, whose error is known."""
    random = np.random.default_rng(0)
    right = random.integers(20, 80, 40)
    counts = Counts(np.full((40, 1), 100), right[:, None], np.full((40, 1), 100))
    low, high = find_interval(resample_scores([counts], draw_subjects(40))["WAR"])
    error = 1.96 * (right / 100).std() / 40**0.5
    assert (high - low) / 2 == pytest.approx(error, rel=0.05)
    assert (high + low) / 2 == pytest.approx(right.mean() / 100, abs=0.003)


def test_draws_are_those_of_their_seed():
    assert np.array_equal(draw_subjects(5, 10, 1), draw_subjects(5, 10, 1))
    assert not np.array_equal(draw_subjects(5, 10, 1), draw_subjects(5, 10, 2))


def test_the_interval_leaves_out_draws_without_a_score():
    assert find_interval(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)
    assert np.isnan(find_interval(np.array([np.nan]))).all()


def test_the_p_value_counts_the_draws_on_the_other_side_of_zero():
    assert find_difference_p(np.array([1.0] * 97 + [-1.0] * 2)) == pytest.approx(2 * 3 / 100)
    assert find_difference_p(np.zeros(9)) == 1.0


def test_mcnemar_is_a_binomial_test_of_the_clips_that_only_one_gets_right():
    """Six clips only by the first, one only by the other: 2 * (7 + 1) / 2 ** 7."""
    one = np.array([True] * 6 + [False] + [True] * 20)
    other = np.array([False] * 6 + [True] + [True] * 20)
    assert find_mcnemar_p(one, other) == pytest.approx(2 * 8 / 128)
    assert find_mcnemar_p(one, one) == 1.0
    assert find_mcnemar_p(other, one) == find_mcnemar_p(one, other)


def test_p_values_of_several_seeds_are_combined_by_twice_their_median():
    assert combine_p_values([0.03]) == 0.03
    assert combine_p_values([0.2, 0.01, 0.02]) == pytest.approx(0.04)
    assert combine_p_values([0.9, 0.8, 0.7]) == 1.0


def test_holm_corrects_as_in_his_example():
    """The smallest of three is tripled, the next doubled; none becomes smaller than one before."""
    corrected = correct_holm({"a": 0.03, "b": 0.01, "c": 0.04})
    assert corrected == pytest.approx({"a": 0.06, "b": 0.03, "c": 0.06})
    assert list(corrected) == ["a", "b", "c"]
    assert correct_holm({}) == {} and correct_holm({"a": 0.5}) == {"a": 0.5}


def test_the_bootstrap_of_a_difference_agrees_with_a_paired_t_test_where_subjects_are_many():
    random = np.random.default_rng(5)
    gaps = random.normal(0.02, 0.06, 60)
    draws = draw_subjects(60)
    p = find_difference_p((draws @ gaps) / 60)
    assert p == pytest.approx(stats.ttest_1samp(gaps, 0).pvalue, abs=0.02)
