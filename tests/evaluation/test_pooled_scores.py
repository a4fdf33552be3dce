"""Claims about scores of out-of-fold predictions, and about the tables of them."""

import csv
import io

import numpy as np
import pytest
from conftest import clip_record, indexed
from sklearn.metrics import balanced_accuracy_score, confusion_matrix, f1_score

from avfusion.evaluation.out_of_fold import pool_setting, pool_settings
from avfusion.evaluation.pooled_scores import (
    count_confusions,
    read_attributes,
    score_attributes,
    score_classes,
    score_settings,
    score_subjects,
)
from avfusion.evaluation.pooled_tables import (
    collect_details,
    make_tables,
    print_pooled,
    to_csv,
    to_latex,
    to_markdown,
)
from avfusion.figures.predictions import pooled_figure

from .pooled_runs import CLASSES, draw_clips, draw_taken, predict, write_fold, write_sweep

LEAK = "Training and test share everybody."


@pytest.fixture
def rows(tmp_path):
    """Three models over three folds and two seeds; one is much worse."""
    parts = {"good": 0.9, "close": 0.85, "bad": 0.1}
    settings, _ = pool_settings(write_sweep(tmp_path, parts, seeds=(1, 2)))
    return score_settings(settings)


def test_scores_over_all_clips_and_as_mean_over_folds_are_those_of_scikit_learn(rows):
    _, _, true, folds = draw_clips()
    row = next(row for row in rows if row.name == "model=good")
    taken = [draw_taken(true, 0.9, seed) for seed in (1, 2)]
    over_all = np.mean([balanced_accuracy_score(true, one) for one in taken])
    each = np.array(
        [
            np.mean([balanced_accuracy_score(true[folds == f], one[folds == f]) for one in taken])
            for f in range(3)
        ]
    )
    score = row.scores["UAR"]
    assert score.value == pytest.approx(over_all) and score.low < score.value < score.high
    assert score.fold_mean == pytest.approx(each.mean())
    assert score.fold_std == pytest.approx(each.std(ddof=1))
    weighted = np.mean([f1_score(true, one, average="weighted") for one in taken])
    assert row.scores["weighted F1"].value == pytest.approx(weighted)


def test_the_best_comes_first_and_others_are_compared_with_it_by_holm(rows):
    assert rows[0].gap is None and rows[-1].name == "model=bad"
    bad = rows[-1].gap
    assert bad.value == pytest.approx(rows[0].scores["UAR"].value - rows[-1].scores["UAR"].value)
    assert bad.low < bad.value < bad.high and bad.p == pytest.approx(2 * 2 / 10_001, rel=0.01)
    assert bad.mcnemar_p < 1e-4 < rows[1].gap.mcnemar_p


def test_subjects_are_scored_the_worst_first(tmp_path):
    ids, subjects = list("abcdef"), ["x", "x", "y", "y", "z", "z"]
    predictions = predict(ids, subjects, [0, 1, 0, 1, 2, 2], [0, 0, 1, 0, 2, 2])
    pooled = pool_setting("a", [write_fold(tmp_path / "1", predictions, "", {}, 1)])
    found = [(one.name, one.clips, one.war, one.uar) for one in score_subjects(pooled)]
    assert found == [("y", 2, 0.0, 0.0), ("x", 2, 0.5, 0.5), ("z", 2, 1.0, 1.0)]


def test_classes_have_recall_precision_f1_and_what_they_are_mistaken_for(tmp_path):
    true, taken = [0, 0, 0, 1, 1, 2], [0, 1, 1, 1, 1, 0]
    predictions = predict(list("abcdef"), list("uvwxyz"), true, taken)
    pooled = pool_setting("a", [write_fold(tmp_path / "1", predictions, "", {}, 1)])
    angry, happy, sad = score_classes(pooled)
    assert angry[:3] == ("angry", 3, pytest.approx(1 / 3)) and angry.mistaken_for == "happy"
    assert angry.precision == 0.5 and angry.f1 == pytest.approx(0.4)
    assert (happy.recall, happy.precision, happy.mistaken_for) == (1, 0.5, "")
    assert (sad.recall, sad.precision, sad.f1, sad.mistaken_for) == (0, 0, 0, "angry")
    assert count_confusions(pooled).tolist() == confusion_matrix(true, taken).tolist()


def test_attributes_of_the_store_group_the_clips(tmp_path):
    levels = ["weak", "strong"] * 3
    records = [
        clip_record(f"c{n}", subject=f"s{n % 3}", attributes=(("level", level),))
        for n, level in enumerate(levels)
    ]
    store = indexed(tmp_path / "store", records[::-1])
    true, taken = [0, 1, 0, 1, 0, 1], [0, 1, 1, 1, 0, 0]
    ids = [f"c{n}" for n in range(6)]
    predictions = predict(ids, [f"s{n % 3}" for n in range(6)], true, taken)
    pooled = pool_setting("a", [write_fold(tmp_path / "1", predictions, "", {}, 1)])
    attributes = read_attributes(pooled.clip_ids, store)
    assert attributes == {"level": levels}
    strong, weak = score_attributes(pooled, attributes)
    assert strong[:5] == ("level", "strong", 3, pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert weak.war == pytest.approx(2 / 3) and weak.war_interval == (0, 1)


def test_markdown_has_the_best_in_bold_and_the_second_underlined(rows):
    over_all, over_folds, against = make_tables(rows)
    assert over_all.title == "Over all clips" and over_folds.title == "Mean over folds"
    assert against.title == f"Against {rows[0].name}" and len(against.rows) == 2
    lines = to_markdown([over_all]).splitlines()
    best, second = (row.scores["UAR"].value for row in rows[:2])
    assert f"| **{best:.3f} [" in lines[4] and f"| <u>{second:.3f} [" in lines[5]
    assert "48 clips of 6 subjects in 3 folds; 95 % intervals by bootstrap" in over_all.notes[-1]


def test_latex_escapes_names_and_marks_the_best_and_the_second(rows):
    text = to_latex(make_tables(rows))
    assert text.count(r"\toprule") == text.count(r"\bottomrule") == 3
    assert r"\textbf{" in text and r"\underline{" in text and "\0" not in text


def test_csv_holds_every_number_once(rows):
    details = {row.name: collect_details(row) for row in rows}
    lines = list(csv.DictReader(io.StringIO(to_csv(rows, details))))
    keys = [(r["setting"], r["of"], r["name"], r["score"]) for r in lines]
    assert len(set(keys)) == len(keys)
    (uar,) = (
        r
        for r, key in zip(lines, keys, strict=True)
        if key == (rows[0].name, "all clips", "", "UAR")
    )
    assert float(uar["value"]) == rows[0].scores["UAR"].value
    assert {r["name"] for r in lines if r["of"] == "class"} == set(CLASSES)
    assert {r["name"] for r in lines if r["of"] == "subject"} == {f"s{n}" for n in range(6)}


def test_the_sentence_of_a_leaky_protocol_stands_in_every_table(tmp_path):
    runs = write_sweep(
        tmp_path, {"a": 0.8}, **{"data/protocol_leak": LEAK, "data/shared_subjects": 6}
    )
    rows = score_settings(pool_settings(runs)[0])
    markdown, latex = (form(make_tables(rows)) for form in (to_markdown, to_latex))
    for text in (markdown, latex, to_csv(rows, {})):
        assert LEAK in text
    assert "† [" in markdown
    figure = pooled_figure(rows)
    assert figure.axes[0].get_yticklabels()[0].get_text().endswith("†")
    assert LEAK in figure.get_supxlabel().replace("\n", " ")


def test_figures_that_a_protocol_names_stand_beneath(tmp_path):
    protocol = {"name": "p", "published": ["WAR 87.99, chosen on test"]}
    runs = write_sweep(tmp_path, {"a": 0.8}, config={"data": {"protocol": protocol}})
    for run in runs:  # of one setting, although the configuration lacks its fold
        run.config["data.fold"] = run.results["data/fold"]
    (table, *_) = make_tables(score_settings(pool_settings(runs)[0]))
    assert table.notes[-1] == (
        "Published for data.protocol=p, in percent: WAR 87.99, chosen on test."
    )


def test_tables_are_printed_and_drawn(rows, capsys):
    print_pooled(rows, {row.name: collect_details(row) for row in rows})
    said = capsys.readouterr().out
    assert "Over all clips" in said and "subjects, the worst first" in said
    figure = pooled_figure(rows)
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "UAR over all clips",
        "WAR over all clips",
    ]
