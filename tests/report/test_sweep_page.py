"""Claims about the page of runs side by side."""

import csv
import json
import runpy
import sys

import pytest
import yaml
from conftest import ROOT

from avfusion.evaluation.runs import find_runs
from avfusion.report.sweep_page import report_sweep
from avfusion.run.pooling import pool_runs

from ..evaluation.pooled_runs import write_sweep
from .conftest import HOSTILE, Page, check_self_contained

METRIC = "test/accuracy"
SCORES = {"lowrank": [0.91, 0.87], "concat": [0.71, 0.69]}


def write_job(folder, overrides, exit_code=0, results=None):
    """Write what a job leaves, with a curve where it has results."""
    (folder / "csv" / "version_0").mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps({"overrides": overrides, "exit_code": exit_code}))
    chosen = dict(one.split("=", 1) for one in overrides)
    config = {"monitor": "val/accuracy", "mode": "max", "data": {"batch_size": 32}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config | chosen))
    if results is not None:
        (folder / "results.json").write_text(json.dumps(results))
        with (folder / "csv" / "version_0" / "metrics.csv").open("w", newline="") as file:
            rows = [[n, 100 * n, results[METRIC] * n / 3] for n in (1, 2, 3)]
            csv.writer(file).writerows([["epoch", "step", "val/accuracy"], *rows])


@pytest.fixture
def sweep(tmp_path):
    """Two settings over two seeds, a run that failed, one that runs and one that was pruned."""
    number = 0
    for model, scores in SCORES.items():
        for seed, score in enumerate(scores):
            results = {METRIC: score, "test/loss": 1 - score, "epochs": 3}
            write_job(tmp_path / str(number), [f"model={model}", f"seed={seed}"], 0, results)
            number += 1
    write_job(tmp_path / "4", [f"model={HOSTILE}", "seed=0"], exit_code=1)
    (tmp_path / "4" / "train.log").write_text(f"beginning\n{HOSTILE}\nError: too large")
    write_job(tmp_path / "5", ["model=lowrank", "seed=9"], exit_code=None)
    write_job(tmp_path / "6", ["model=sum", "seed=0"], 0, {METRIC: 0.1, "pruned": True})
    return tmp_path


def page_of(folder) -> Page:
    return Page(report_sweep(find_runs([str(folder)]), [METRIC]).html)


@pytest.fixture
def page(sweep) -> Page:
    return page_of(sweep)


def test_settings_are_compared_the_best_first(page):
    head, best, other = page.table("comparison")
    assert head[:3] == ["setting", "runs", METRIC]
    assert best[:2] == ["model=lowrank", "2"] and best[2].startswith("0.890 (sd 0.028)")
    assert other[:2] == ["model=concat", "2"] and other[2].startswith("0.700 (sd 0.014)")
    assert [one.text for one in page.section("comparison").iter("strong")] == [best[2]]
    assert len(page.images("svg+xml")) == 2


def test_every_run_has_its_numbers_and_what_was_chosen(page):
    head, *rows = page.table("runs")
    assert head == ["run", "chosen", "accuracy", "loss", "epochs"]
    assert rows[0] == ["0", "model=lowrank seed=0", "0.9100", "0.0900", "3"]
    assert [row[2] for row in rows] == ["0.9100", "0.8700", "0.7100", "0.6900", "0.1000"]
    assert "data.batch_size: 32" in page.text("configuration")
    assert "lowrank" not in page.text("configuration")


def test_runs_that_are_not_compared_are_listed_with_their_end(page):
    rows = {row[0]: row[1:] for row in page.table("runs-that-are-not-compared")[1:]}
    assert {name: row[0] for name, row in rows.items()} == {
        "4": "Failed",
        "5": "Not finished",
        "6": "Pruned",
    }
    assert rows["4"][1] == f"model={HOSTILE} seed=0"
    assert rows["4"][2] == f"exit code 1 beginning {HOSTILE} Error: too large"
    assert rows["5"][2] == "It has written no train.log."


def test_a_page_needs_nothing_but_itself(page):
    check_self_contained(page)


def test_a_sweep_all_of_whose_runs_failed_has_a_page(tmp_path):
    for number in range(2):
        write_job(tmp_path / str(number), [f"seed={number}"], exit_code=1)
    page = page_of(tmp_path)
    assert page.notes("comparison") == ["No run has results yet."]
    assert [row[1] for row in page.table("runs-that-are-not-compared")[1:]] == ["Failed"] * 2


def test_code_that_changed_between_runs_is_remarked(sweep):
    for number in range(2):
        record = {"git": {"commit": f"c{number}", "dirty": False}, "started": f"day {number}"}
        (sweep / str(number) / "provenance.json").write_text(json.dumps(record))
    page = page_of(sweep)
    assert page.notes("provenance") == ["The runs differ in git.commit."]
    rows = dict(page.table("provenance")[1:])
    assert rows == {"git.commit": "c0 | c1", "git.dirty": "False", "started": "day 0 to day 1"}


def test_the_program_writes_a_page_or_says_what_no_run_has(sweep, monkeypatch):
    program = str(ROOT / "src" / "report.py")
    monkeypatch.setattr(sys, "argv", ["report", str(sweep), "--figures", "svg"])
    runpy.run_path(program, run_name="__main__")
    assert "comparison" in Page((sweep / "report.html").read_text(encoding="utf-8")).sections
    assert (sweep / "figures" / "comparison.svg").read_text().startswith("<?xml")
    monkeypatch.setattr(sys, "argv", ["report", str(sweep), "--metrics", "test/nope"])
    with pytest.raises(SystemExit, match=r"Error: None of the 4 runs has any of test/nope\."):
        runpy.run_path(program, run_name="__main__")


def test_leakage_is_marked_at_every_score_and_explained_once(sweep):
    for name in ("0", "1", "2"):
        results = json.loads((sweep / name / "results.json").read_text())
        leaks = {"data/shared_subjects": 3 if name != "2" else 0, "data/same_sound_twice": 1}
        (sweep / name / "results.json").write_text(json.dumps(results | leaks))
    page = page_of(sweep)
    (note,) = page.notes("comparison")
    assert note.startswith("† Data leakage") and "shared subjects (3)" in note
    assert page.table("comparison")[1][2].startswith("0.890†")
    marked = [row[2:] for row in page.table("runs")[1:3]]
    assert marked == [["0.9100†", "0.0900†", "3"], ["0.8700†", "0.1300†", "3"]]
    assert page.text("runs").count("†") == 4


@pytest.mark.slow
def test_out_of_fold_predictions_stand_on_the_page_with_leaks_and_what_is_missing(tmp_path):
    leak = "Training and test share <everybody>."
    runs = write_sweep(tmp_path, {"good": 0.9, "bad": 0.2}, **{"data/protocol_leak": leak})
    pooled = pool_runs(runs, baselines=False)
    page = Page(report_sweep(runs, [METRIC], None, pooled.rows, pooled.details, ["Lost: x"]).html)
    check_self_contained(page)
    head, best, second = page.table("out-of-fold-predictions")
    assert head[:4] == ["setting", "seeds", "UAR", "WAR"]
    assert best[0] == "model=good" and second[0] == "model=bad"
    assert best[2].startswith(f"{pooled.rows[0].scores['UAR'].value:.3f}†")
    section = page.section("out-of-fold-predictions")
    assert len(list(section.iter("strong"))) == len(list(section.iter("u"))) == 8
    notes = page.notes("out-of-fold-predictions")
    assert f"† {leak}" in notes and "Lost: x" in notes
    assert "model=good: classes" in page.text("out-of-fold-predictions")


def test_without_predictions_there_is_no_such_section(page):
    assert "out-of-fold-predictions" not in page.sections
