"""Claims about scores of classes and subjects, each counted again by hand."""

from dataclasses import replace

import numpy as np
import pytest

from avfusion.evaluation.predictions import GlimpsePeaks, Predictions
from avfusion.report.scores import count_confusions, score_classes, score_subjects

NAMES = ["low", "high", "none", "never"]


@pytest.fixture
def predictions():
    """Sixty clips of five subjects; none is of the last class, and none is taken for it."""
    chance = np.random.default_rng(1)
    outputs = np.log(np.c_[chance.dirichlet([1, 1, 1], 60), np.full(60, 1e-9)]).astype(np.float32)
    hits = chance.integers(2, size=60).astype(np.float32)
    hits[::7] = np.nan  # of clips without a box
    glimpses = GlimpsePeaks(
        np.array([1, 2, 2]), np.zeros((60, 2, 3), int), np.ones((60, 2), np.float32), hits, hits
    )
    return Predictions(
        "test",
        "a/store",
        "single_label",
        NAMES,
        np.arange(60),
        np.array([f"c{row}" for row in range(60)]),
        np.array([f"s{number}" for number in chance.integers(5, size=60)]),
        outputs,
        chance.integers(3, size=60),
        np.zeros((60, 4), np.float32),
        glimpses,
    )


def rows_of(table):
    """The rows of a table, their cells by what stands above them."""
    return [dict(zip(table.head, row, strict=True)) for row in table.rows]


def clips_of(predictions):
    """True class, predicted class, subject and hit of each clip."""
    true, said = (
        [NAMES[number] for number in numbers]
        for numbers in (predictions.targets, predictions.outputs.argmax(axis=1))
    )
    hits = predictions.glimpses.attention_hit
    return list(zip(true, said, predictions.subjects, hits, strict=True))


def test_classes_have_precision_recall_and_f1(predictions):
    clips = clips_of(predictions)
    for true, row in zip(NAMES, rows_of(score_classes(predictions)), strict=True):
        own = [said for label, said, *_ in clips if label == true]
        taken = [label for label, said, *_ in clips if said == true]
        correct = own.count(true)
        assert (row["class"], row["clips"]) == (true, len(own))
        assert row["recall"] == (pytest.approx(correct / len(own)) if own else None)
        assert row["precision"] == (pytest.approx(correct / len(taken)) if taken else None)
        if own:
            both = row["precision"] * row["recall"]
            assert row["F1"] == pytest.approx(2 * both / (row["precision"] + row["recall"]))
            most = max(own.count(name) for name in NAMES if name != true)
            name, _, count = row["most often mistaken for"].partition(" ")
            assert name != true and own.count(name) == most and count == f"({most})"
    assert list(row.values()) == ["never", 0, None, None, None, None]
    for (true, said), count in np.ndenumerate(count_confusions(predictions)):
        assert count == sum(clip[:2] == (NAMES[true], NAMES[said]) for clip in clips)


def test_subjects_have_accuracies_the_worst_first(predictions):
    rows = rows_of(score_subjects(predictions))
    assert [row["accuracy"] for row in rows] == sorted(row["accuracy"] for row in rows)
    assert {row["subject"] for row in rows} == {f"s{n}" for n in range(5)}
    for row in rows:
        own = [clip for clip in clips_of(predictions) if clip[2] == row["subject"]]
        assert row["clips"] == len(own)
        assert row["correct"] == sum(label == said for label, said, *_ in own)
        hits = [hit for *_, hit in own if hit == hit]
        assert row["attention hit"] == pytest.approx(sum(hits) / len(hits))


def test_the_interval_of_a_subject_is_that_of_wilson(predictions):
    z = 1.959964
    for row in rows_of(score_subjects(predictions)):
        n, p = row["clips"], row["accuracy"]
        middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
        half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
        assert row["95 % interval"] == f"{middle - half:.3f} to {middle + half:.3f}"


def test_without_attention_a_subject_has_no_attention_hit(predictions):
    blind = replace(predictions, glimpses=None)
    assert {row["attention hit"] for row in rows_of(score_subjects(blind))} == {None}


def test_with_several_classes_each_is_scored_by_itself(predictions):
    true = np.random.default_rng(2).integers(2, size=(60, 4))
    outputs = predictions.outputs + 1
    several = replace(predictions, labels="multi_label", targets=true, outputs=outputs)
    said = outputs > 0  # a probability above one half
    for number, row in enumerate(rows_of(score_classes(several))):
        both = int((said[:, number] & (true[:, number] == 1)).sum())
        taken = int(said[:, number].sum())
        assert row["clips"] == true[:, number].sum()
        assert row["recall"] == pytest.approx(both / row["clips"])
        assert row["precision"] == (pytest.approx(both / taken) if taken else None)
        assert row["most often mistaken for"] is None
    correct = (said == (true == 1)).all(axis=1).sum()
    assert sum(row["correct"] for row in rows_of(score_subjects(several))) == correct
