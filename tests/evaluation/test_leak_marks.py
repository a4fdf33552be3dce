"""Claims about marks of data leakage: no affected score is shown without one."""

import csv
import io
import re
import runpy
import sys

import pytest
from conftest import ROOT

from avfusion.console import replace_unprintable
from avfusion.evaluation.aggregate import compare_settings
from avfusion.evaluation.leak_marks import count_leaks, list_leaks, mark_leaks
from avfusion.evaluation.runs import find_runs
from avfusion.evaluation.tables import print_table, to_csv, to_latex, to_markdown
from avfusion.figures.predictions import comparison_figure

from .test_aggregate import METRIC, write_run

RECORDED = {
    "data/corpus": "manifest",
    "data/shared_subjects": 0,
    "data/same_sound_twice": 4,
    "data/untrained_classes": 0,
}
LEAKS = {
    "shared": {"data/shared_subjects": 3},
    "seen": {"data/subjects_seen_in_training": 2, "data/same_picture_in_two_splits": 1},
    "clean": {},
}
SCORE = {"clean": 0.5, "shared": 0.9, "seen": 0.75}


@pytest.fixture
def rows(tmp_path):
    """Three settings of one run each, two of which were tested on what they had seen."""
    for name, leaks in LEAKS.items():
        results = {METRIC: SCORE[name], "test/loss": 1 - SCORE[name], "parameters": 7777}
        write_run(tmp_path / name, name, 1, RECORDED | results | leaks)
    return compare_settings(find_runs([str(tmp_path)]), [METRIC, "test/loss"])


@pytest.mark.parametrize(
    ("results", "leaks"),
    [
        (RECORDED, {}),
        (RECORDED | {"data/shared_subjects": None}, {}),
        (RECORDED | {"data/shared_subjects": 2}, {"shared_subjects": 2}),
        (RECORDED | {"data/two_labels_for_one_recording": 1}, {"two_labels_for_one_recording": 1}),
        ({"data/recordings_seen_in_training": 5, "data/split": "val", "epochs": 3},
         {"recordings_seen_in_training": 5}),
    ],
)  # fmt: skip
def test_counts_of_results_are_leakage_except_a_sound_twice_in_one_split(results, leaks):
    assert count_leaks(results) == leaks


def test_equal_kinds_share_a_mark_and_each_has_one_footnote():
    found = [{"a": 1}, {}, {"b": 2, "a": 1}, {"a": 5}, *({f"c{n}": 1} for n in range(3))]
    marks, footnotes = mark_leaks(found)
    assert marks == ["†", "", "‡", "†", "§", "¶", "††"]
    assert footnotes[:2] == [
        "† Data leakage, so that scores may show memory: a (5).",
        "‡ Data leakage, so that scores may show memory: b (2), a (1).",
    ]
    assert len(footnotes) == 5
    assert mark_leaks([{"untrained_classes": 1}])[1] == ["† Faulty labels: untrained classes (1)."]


def test_every_affected_score_of_every_table_has_its_mark(rows, monkeypatch, capsys):
    assert [row.name for row in rows] == ["model=shared", "model=seen", "model=clean"]
    print_table(rows)
    printed = capsys.readouterr().out
    for table in (to_markdown(rows).replace("**", ""), printed):
        text = " ".join(table.split())  # footnotes go on in the next line
        assert "0.900†" in text and "0.100†" in text and "0.750‡" in text and "0.250‡" in text
        assert not re.search(r"0\.500[†‡]|7,777[†‡]", text)
        assert "† Data leakage, so that scores may show memory: shared subjects (3)." in text
        assert "same picture in two splits (1)" in text
    text = to_latex(rows)
    assert r"\textbf{0.900$^\dagger$}" in text and r"0.750$^\ddagger$" in text
    assert r"\footnotesize $^\dagger$ Data leakage, so that scores may show memory: " in text
    table = list(csv.DictReader(io.StringIO(to_csv(rows))))
    for metric in (METRIC, "test/loss"):
        assert [line[f"{metric}/mark"] for line in table] == ["†", "‡", ""]
    assert [line["leakage"] for line in table] == [
        "shared_subjects=3",
        "subjects_seen_in_training=2 same_picture_in_two_splits=1",
        "",
    ]
    assert [float(line[f"{METRIC}/mean"]) for line in table] == [0.9, 0.75, 0.5]


def test_the_figure_marks_names_and_means_and_explains_the_marks(rows):
    figure = comparison_figure(rows)
    figure.draw_without_rendering()
    panels = figure.get_axes()
    names = [text.get_text() for text in panels[0].get_yticklabels()]
    assert names == ["model=shared †", "model=seen ‡", "model=clean"]
    for axes in panels:
        assert [text.get_text() for text in axes.texts] == ["†", "‡"]
    assert "shared subjects (3)" in figure.get_supxlabel().replace("\n", " ")


def test_one_affected_run_marks_its_setting(tmp_path):
    for seed, leaks in enumerate(({}, {"data/shared_subjects": 1}, {"data/shared_subjects": 4})):
        write_run(tmp_path / str(seed), "lowrank", seed, {METRIC: 0.5} | leaks)
    (row,) = compare_settings(find_runs([str(tmp_path)]), [METRIC])
    assert row.leaks == {"shared_subjects": 4}
    assert "0.500†" in to_markdown([row])


def test_without_leakage_there_are_no_marks_and_no_footnotes(tmp_path):
    write_run(tmp_path / "0", "lowrank", 1, RECORDED | {METRIC: 0.5})
    rows = compare_settings(find_runs([str(tmp_path)]), [METRIC])
    for text in (to_markdown(rows), to_latex(rows)):
        assert not re.search(r"[†‡]|dagger|leakage", text)
    assert comparison_figure(rows).get_supxlabel() == ""


def test_differences_of_two_runs_have_four_digits_or_as_many_as_tell_them_apart(
    tmp_path, monkeypatch, capsys
):
    for name, accuracy, loss in [("one", 1 / 3, 0.5), ("other", 2 / 3, 0.5000000001)]:
        results = RECORDED | {METRIC: accuracy, "test/loss": loss}
        write_run(tmp_path / name, "lowrank", 1, results)
    monkeypatch.setattr(sys, "argv", ["summarize", *map(str, sorted(tmp_path.iterdir()))])
    runpy.run_path(str(ROOT / "src" / "summarize.py"), run_name="__main__")
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert f"{METRIC} 0.3333 | 0.6667" in lines
    assert "test/loss 0.5 | 0.5000000001" in lines


def test_the_differences_of_two_runs_are_marked_too(rows, tmp_path, monkeypatch, capsys):
    places = [str(tmp_path / name) for name in ("clean", "shared")]
    monkeypatch.setattr(sys, "argv", ["summarize", *places])
    runpy.run_path(str(ROOT / "src" / "summarize.py"), run_name="__main__")
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert f"{METRIC} 0.5 | 0.9†" in lines
    assert "† Data leakage, so that scores may show memory: shared subjects (3)." in lines


@pytest.mark.parametrize("encoding", ["ascii", "iso-8859-1", "cp1252"])
def test_a_terminal_without_such_signs_shows_stars(encoding, monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    text = replace_unprintable("0.900† ± 0.1 0.750‡ \N{SNOWMAN}")
    text.encode(encoding)
    assert text.startswith("0.900* +- 0.1 0.750**")


def test_a_leaky_protocol_and_a_best_epoch_of_the_test_stand_beside_every_score():
    sentence = "The lists of OGM-GE share all 91 actors."
    results = {
        "test/accuracy": 0.6,
        "data/shared_subjects": 91,
        "data/protocol_leak": sentence,
        "data/best_epoch_chosen_on_test_clips": 744,
        "data/folds": '{"0": 4}',
    }
    leaks = count_leaks(results)
    (mark,), (note,) = mark_leaks([leaks])
    assert mark == "†" and note == (
        "† Data leakage, so that scores may show memory: shared subjects (91), best epoch chosen "
        f"on test clips (744). {sentence}"
    )
    assert list_leaks(leaks) == (
        f"shared_subjects=91 best_epoch_chosen_on_test_clips=744 {sentence}"
    )
