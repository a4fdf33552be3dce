"""Claims about the page of one run."""

import json
import runpy
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

from avfusion.evaluation.predictions import FILE, load_predictions
from avfusion.evaluation.runs import read_run
from avfusion.report.plates import run_plates
from avfusion.report.run_page import HEADLINES, run_page
from avfusion.report.scores import class_scores
from avfusion.report.sources import read_sources
from avfusion.report.views import view_of

from .conftest import HOSTILE, Page

ALWAYS = ["results", "curves", "classes", "configuration", "provenance"]
PREDICTED = ["confusion-matrix", "subjects", "right-answers", "wrong-answers"]


@pytest.fixture(scope="module")
def page(told) -> Page:
    return page_of(told, 1)


def page_of(run, examples) -> Page:
    """The page of a run; of one without predictions the page that says so."""
    try:
        sources = read_sources(run)
    except (ValueError, OSError) as error:
        return Page(run_page(run, str(error), run_plates(run, None, examples), examples))
    return Page(run_page(run, sources, run_plates(run, sources, examples), examples))


def test_every_section_is_there_with_every_number_of_the_results(page, told):
    assert set(page.sections) == {*ALWAYS, *PREDICTED}
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


@pytest.fixture
def copy(told, tmp_path):
    """A copy of the run, to change."""
    return shutil.copytree(told.folder, tmp_path / "run")


def test_without_its_store_a_page_lacks_nothing_but_the_pictures(told, copy, monkeypatch):
    monkeypatch.setattr("avfusion.report.sources.data_folder", lambda: "/nowhere/data")
    predictions = load_predictions(copy)
    replace(predictions, store="/nowhere/store").save(copy)
    page = page_of(read_run(copy), 2)
    assert set(page.sections) == {*ALWAYS, *PREDICTED}
    assert [tag for tag, _ in page.elements].count("img") == 0
    texts = [text for text in page.texts if "cannot be shown" in text]
    assert len(texts) == 2 and "their store is not at /nowhere/store" in texts[0]
    examples = view_of(predictions).examples(predictions, 2)
    drawn = [place for some in examples.values() for place in some]
    right = int(predictions.right.sum())
    assert len(drawn) == min(2, right) + min(2, len(predictions.right) - right) > 0
    assert {*predictions.clip_ids[drawn]} <= {*page.texts}
    numbers = page_of(told, 0).numbers
    assert numbers <= page.numbers


def test_a_store_that_moved_to_where_this_machine_keeps_them_is_found(copy, monkeypatch):
    predictions = load_predictions(copy)
    home, name = Path(predictions.store).parent, Path(predictions.store).name
    (copy.parent / "data").mkdir()
    (copy.parent / "data" / "stores").symlink_to(home)
    replace(predictions, store=f"/nowhere/{name}").save(copy)
    monkeypatch.setattr("avfusion.report.sources.data_folder", lambda: str(copy.parent / "data"))
    assert read_sources(read_run(copy)).store is not None


def test_other_clips_at_the_place_of_the_store_are_not_taken_for_those_tested(copy):
    predictions = load_predictions(copy)
    replace(predictions, clip_ids=predictions.clip_ids[::-1]).save(copy)
    sources = read_sources(read_run(copy))
    assert sources.store is None and "holds others than were tested" in sources.missing


@pytest.mark.parametrize("content", [None, b"hello", b""])
def test_a_run_without_predictions_is_answered_by_the_command_that_makes_them(copy, content):
    (copy / FILE).unlink()
    if content is not None:
        (copy / FILE).write_bytes(content)
    page = page_of(read_run(copy), 1)
    assert page.sections == ALWAYS
    command = f"python src/eval.py ckpt_path={copy} callbacks.predictions.folder={copy}"
    assert any(text.endswith(command) for text in page.texts)
    recalls = {v for name, v in read_run(copy).results.items() if name.startswith("test/accuracy_")}
    assert recalls <= page.numbers


def test_predictions_of_another_test_than_that_of_the_results_are_remarked(told, copy):
    results = told.results | {"test/accuracy": 0.987, "data/shared_subjects": 3}
    (copy / "results.json").write_text(json.dumps(results))
    texts = " ".join(page_of(read_run(copy), 0).texts)
    assert (
        "not that of results.json" in texts
        and "† Data leakage" in texts
        and "shared subjects (3)" in texts
    )
    assert "None is shown." in texts
    assert "not that of results.json" not in " ".join(page_of(told, 0).texts)


def test_every_score_of_a_run_with_leakage_is_marked_and_no_cost(told, copy):
    told = replace(told, results=told.results | {"data/untrained_classes": 0})
    results = told.results | {"data/subjects_seen_in_training": 2}
    (copy / "results.json").write_text(json.dumps(results))
    run = read_run(copy)
    clean, texts = (page_of(one, 0).texts for one in (told, run))
    marked = [texts[place - 1] for place, text in enumerate(texts) if text == "†"]
    scores = [name for name in results if name.startswith("test/")]
    tiles = sum(name in results for name in HEADLINES if name.startswith("test/"))
    classes = sum(s.recall is not None for s in class_scores(read_sources(run).predictions))
    assert len(marked) >= len(scores) + tiles + classes
    assert f"{results['test/accuracy']:.4f}" in marked
    assert f"{results['parameters']:,}" not in marked
    assert "†" not in clean


def test_clips_of_several_classes_have_a_row_for_each_class_and_no_confusion(told, copy):
    found = load_predictions(copy)
    one = np.arange(len(found.class_names))
    several = (found.targets[:, None] == one).astype(np.int64)
    several[:, 0] = 1
    replace(found, labels="multi_label", targets=several).save(copy)
    (copy / "results.json").write_text(json.dumps(told.results | {"test/accuracy": 0.5}))
    page = page_of(read_run(copy), 0)
    assert set(page.sections) == {*ALWAYS, *PREDICTED} - {"confusion-matrix"}
    assert any("none of its classes is wrong" in text for text in page.texts)
    scores = class_scores(load_predictions(copy))
    assert scores[0].clips == len(several) and scores[0].precision in (1.0, None)


@pytest.mark.parametrize(("exit_code", "words"), [(1, "failed"), (None, "has not finished")])
def test_a_run_without_results_gets_a_page_that_says_so(exit_code, words, tmp_path):
    (tmp_path / "job.json").write_text(json.dumps({"overrides": [], "exit_code": exit_code}))
    run = read_run(tmp_path)
    page = page_of(run, 1)
    assert page.sections == ALWAYS and page.fetches() == []
    assert any("the run has not been tested" in text for text in page.texts)
    assert any(f"This run {words}: it has no results" in text for text in page.texts)


@pytest.mark.slow
def test_the_program_writes_the_page_and_its_figures_as_vectors(told, tmp_path, monkeypatch):
    command = ["report", str(told.folder), "--out", str(tmp_path), "--figures", "pdf"]
    monkeypatch.setattr(sys, "argv", [*command, "--examples", "1"])
    runpy.run_path(str(ROOT / "src" / "report.py"), run_name="__main__")
    assert set(Page((tmp_path / "report.html").read_text()).sections) == {*ALWAYS, *PREDICTED}
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"loss.pdf", "confusion.pdf", "right_1.pdf", "wrong_1.pdf"} <= names
    assert all(p.read_bytes().startswith(b"%PDF") for p in (tmp_path / "figures").iterdir())
