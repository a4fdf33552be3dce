"""Claims about the page of runs side by side."""

import csv
import json
import runpy
import sys

import pytest
import yaml
from conftest import ROOT

from avfusion.evaluation.aggregate import compare, left_out, ranked
from avfusion.evaluation.runs import find_runs
from avfusion.report.plates import sweep_plates
from avfusion.report.sweep_page import sweep_page

from .conftest import HOSTILE, Page

METRIC = "test/accuracy"
SCORES = {"lowrank": [0.91, 0.87], "concat": [0.71, 0.69]}


def write_run(folder, overrides, exit_code=0, results=None):
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
    """Two settings over two seeds, a job that failed, one that runs and one that was given up."""
    number = 0
    for model, scores in SCORES.items():
        for seed, score in enumerate(scores):
            results = {METRIC: score, "test/loss": 1 - score, "epochs": 3}
            write_run(tmp_path / str(number), [f"model={model}", f"seed={seed}"], 0, results)
            number += 1
    write_run(tmp_path / "4", [f"model={HOSTILE}", "seed=0"], exit_code=1)
    (tmp_path / "4" / "train.log").write_text(f"beginning\n{HOSTILE}\nError: too large")
    write_run(tmp_path / "5", ["model=lowrank", "seed=9"], exit_code=None)
    write_run(tmp_path / "6", ["model=sum", "seed=0"], 0, {METRIC: 0.1, "pruned": True})
    return tmp_path


def page_of(place):
    runs = find_runs([str(place)])
    without = left_out(runs)
    rows = compare(ranked(runs, without), [METRIC])
    return Page(sweep_page(runs, rows, without, sweep_plates(rows)))


def test_settings_are_compared_and_every_run_has_its_numbers(sweep):
    page = page_of(sweep)
    assert {0.91, 0.87, 0.71, 0.69} <= page.numbers
    assert any(text.startswith("0.890 (sd ") for text in page.texts)
    headings = [tag for tag, _ in page.elements if tag == "h3"]
    assert len(headings) == 7 and [tag for tag, _ in page.elements].count("svg") == 2
    assert "data.batch_size: 32" in " ".join(page.texts)


def test_runs_that_are_not_compared_are_listed_with_their_end(sweep):
    page = page_of(sweep)
    for state, number in (("Failed", 4), ("Not finished", 5), ("Pruned", 6)):
        place = page.texts.index(state)
        assert str(sweep / str(number)) in page.texts[place - 1]
    assert any("Error: too large" in text and "beginning" in text for text in page.texts)


def test_it_needs_nothing_but_itself_and_trusts_no_name(sweep):
    page = page_of(sweep)
    assert page.fetches() == [] and page.open == []
    assert any(HOSTILE in text for text in page.texts)


def test_a_sweep_all_of_whose_runs_failed_has_a_page(tmp_path):
    for number in range(2):
        write_run(tmp_path / str(number), [f"seed={number}"], exit_code=1)
    page = page_of(tmp_path)
    assert "No run has results yet." in page.texts and page.texts.count("Failed") == 2


def test_a_code_that_changed_between_runs_is_remarked(sweep):
    for number in range(2):
        record = {"git": {"commit": f"c{number}", "dirty": False}, "started": f"day {number}"}
        (sweep / str(number) / "provenance.json").write_text(json.dumps(record))
    texts = page_of(sweep).texts
    assert "The runs differ in git.commit." in texts and "c0 | c1" in texts
    assert "day 0 to day 1" in texts


def test_the_program_writes_the_page_or_says_in_a_sentence_what_no_run_has(sweep, monkeypatch):
    program = str(ROOT / "src" / "report.py")
    monkeypatch.setattr(sys, "argv", ["report", str(sweep), "--figures", "svg"])
    runpy.run_path(program, run_name="__main__")
    assert "comparison" in Page((sweep / "report.html").read_text()).sections
    assert (sweep / "figures" / "comparison.svg").read_text().startswith("<?xml")
    monkeypatch.setattr(sys, "argv", ["report", str(sweep), "--metrics", "test/nope"])
    with pytest.raises(SystemExit, match=r"Error: None of the 4 runs has any of test/nope\."):
        runpy.run_path(program, run_name="__main__")


def test_leakage_is_marked_beside_every_score_and_explained_once(sweep):
    for name in ("0", "1", "2"):
        results = json.loads((sweep / name / "results.json").read_text())
        leaks = {"data/shared_subjects": 3 if name != "2" else 0, "data/same_sound_twice": 1}
        (sweep / name / "results.json").write_text(json.dumps(results | leaks))
    texts = page_of(sweep).texts
    (note,) = (text for text in texts if "Data leakage" in text and text.startswith("†"))
    assert "shared subjects (3)" in note
    assert any(text.startswith("0.890†") for text in texts)
    marked = [texts[place - 1] for place, text in enumerate(texts) if text == "†"]
    assert marked == ["0.9100", "0.0900", "0.8700", "0.1300"]  # of each run: accuracy, loss
