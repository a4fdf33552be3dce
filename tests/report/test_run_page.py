"""Claims about the page of one run."""

import json
import runpy
import shutil
import sys
from dataclasses import replace

import pytest
from conftest import ROOT

from avfusion.comparison.records import read_run
from avfusion.report.answers import ask, ask_or_say_why
from avfusion.report.plates import run_plates
from avfusion.report.run_page import HEADLINES, run_page
from avfusion.report.scores import class_scores, confusion

from .conftest import HOSTILE, Page

ALWAYS = ["results", "curves", "classes", "configuration", "provenance"]
ASKED = ["confusion-matrix", "subjects", "right-answers", "wrong-answers"]


@pytest.fixture(scope="module")
def page(told) -> Page:
    answers = ask(told, None)
    return Page(run_page(told, answers, run_plates(told, answers, 1)))


def test_every_section_is_there_with_every_number_of_the_results(page, told):
    assert set(page.sections) == {*ALWAYS, *ASKED}
    numbers = {value for value in told.results.values() if isinstance(value, int | float)}
    assert len(numbers) > 10 and numbers <= page.numbers
    links = [given["href"] for tag, given in page.elements if tag == "a"]
    assert links == [f"#{name}" for name in page.sections]


def test_the_page_needs_nothing_but_itself(page):
    assert page.fetches() == [] and page.open == []
    tags = [tag for tag, _ in page.elements]
    assert tags.count("svg") == 5 and tags.count("img") == 2  # four charts and the confusions


def test_a_name_is_a_text_whatever_it_holds(page):
    named = [text for text in page.texts if text == HOSTILE]
    assert len(named) >= 2  # a class and a subject
    assert {tag for tag, _ in page.elements}.isdisjoint({"script", "b"})
    shown = [given for tag, given in page.elements if tag in ("img", "svg")]
    assert all(given.get("alt") or given.get("aria-label") for given in shown)


def test_configuration_and_provenance_are_those_of_the_run(page, told):
    record = json.loads((told.folder / "provenance.json").read_text())
    whole = " ".join(page.texts)
    assert record["versions"]["torch"] in whole and str(record["git"]["commit"]) in whole
    assert "LowRankFusion" in whole and "75 values" in whole
    assert f"name={HOSTILE}" in page.texts


def test_names_in_a_figure_lead_to_nothing_in_another(page):
    names = [given["id"] for _, given in page.elements if "id" in given]
    assert len(set(names)) == len(names)
    used = [given["xlink:href"] for _, given in page.elements if "xlink:href" in given]
    used = [name[1:] for name in used if name.startswith("#")]
    assert used and set(used) <= set(names)


def test_a_run_whose_store_is_gone_gets_its_page_which_says_so(told, tmp_path):
    folder = shutil.copytree(told.folder, tmp_path / "run")
    results = told.results | {"data/store": "/nowhere/store"}
    (folder / "results.json").write_text(json.dumps(results))
    run = read_run(folder)
    why = ask_or_say_why(run, None)
    page = Page(run_page(run, why, run_plates(run, None, 1)))
    assert page.sections == ALWAYS
    assert any("not at /nowhere/store: give --store" in text for text in page.texts)
    recalls = {v for name, v in results.items() if name.startswith("test/accuracy_")}
    assert recalls <= page.numbers
    assert ask(run, told_store(told)).names == ask(told, None).names


def told_store(told):
    return told.folder.parent / "store"


def test_a_checkpoint_that_is_none_is_said_not_raised(told, tmp_path):
    folder = shutil.copytree(told.folder, tmp_path / "run")
    (folder / "checkpoints" / "best.ckpt").write_text("hello")
    assert "is no checkpoint" in ask_or_say_why(read_run(folder), None)


def test_other_clips_than_those_of_the_results_are_remarked(told, tmp_path):
    folder = shutil.copytree(told.folder, tmp_path / "run")
    results = told.results | {"test/accuracy": 0.987, "data/shared_subjects": 3}
    (folder / "results.json").write_text(json.dumps(results))
    run = read_run(folder)
    answers = ask(run, None)
    texts = " ".join(Page(run_page(run, answers, run_plates(run, answers, 0))).texts)
    assert (
        "not that of results.json" in texts
        and "† Data leakage" in texts
        and "shared subjects (3)" in texts
    )
    assert "None is shown." in texts


def test_every_score_of_a_run_with_leakage_is_marked_and_no_cost(told, tmp_path):
    folder = shutil.copytree(told.folder, tmp_path / "run")
    told = replace(told, results=told.results | {"data/untrained_classes": 0})
    results = told.results | {"data/subjects_seen_in_training": 2}
    (folder / "results.json").write_text(json.dumps(results))
    run = read_run(folder)
    answers = ask(run, None)
    clean, texts = (
        Page(run_page(one, answers, run_plates(one, answers, 0))).texts for one in (told, run)
    )
    marked = [texts[place - 1] for place, text in enumerate(texts) if text == "†"]
    scores = [name for name in results if name.startswith("test/")]
    tiles = sum(name in results for name in HEADLINES if name.startswith("test/"))
    classes = sum(
        score.recall is not None for score in class_scores(confusion(answers), answers.names)
    )
    assert len(marked) >= len(scores) + tiles + classes
    assert f"{results['test/accuracy']:.4f}" in marked
    assert f"{results['parameters']:,}" not in marked
    assert "†" not in clean


@pytest.mark.parametrize(("exit_code", "words"), [(1, "failed"), (None, "has not finished")])
def test_a_run_without_results_gets_a_page_that_says_so(exit_code, words, tmp_path):
    (tmp_path / "job.json").write_text(json.dumps({"overrides": [], "exit_code": exit_code}))
    run = read_run(tmp_path)
    page = Page(run_page(run, ask_or_say_why(run, None), run_plates(run, None, 1)))
    assert page.sections == ALWAYS and page.fetches() == []
    assert any(f"This run {words}: it has no results" in text for text in page.texts)


@pytest.mark.slow
def test_the_program_writes_the_page_and_its_figures_as_vectors(told, tmp_path, monkeypatch):
    command = ["report", str(told.folder), "--out", str(tmp_path), "--figures", "pdf"]
    monkeypatch.setattr(sys, "argv", [*command, "--examples", "1"])
    runpy.run_path(str(ROOT / "src" / "report.py"), run_name="__main__")
    assert set(Page((tmp_path / "report.html").read_text()).sections) == {*ALWAYS, *ASKED}
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"loss.pdf", "confusion.pdf", "right_1.pdf", "wrong_1.pdf"} <= names
    assert all(p.read_bytes().startswith(b"%PDF") for p in (tmp_path / "figures").iterdir())
