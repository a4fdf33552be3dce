"""Claims about the page of one run."""

import json
import runpy
import shutil
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT

from avfusion.evaluation.predictions import FILE_NAME, Predictions, load_predictions
from avfusion.evaluation.runs import read_run
from avfusion.figures.style import INK
from avfusion.report.run_page import report_run

from .conftest import HOSTILE, Page, check_self_contained, text_of, write_run

ALWAYS = ["results", "curves", "configuration", "provenance"]
OF_CLASSES = ["classes", "subjects"]
EXAMPLES = ["correct-predictions", "incorrect-predictions"]
NOT_TESTED = [*ALWAYS[:2], "predictions", *ALWAYS[2:]]


def page_of(run, examples=0) -> Page:
    return Page(report_run(run, examples).html)


@pytest.fixture(scope="module")
def page(hostile_run) -> Page:
    return page_of(hostile_run, examples=1)


@pytest.fixture
def folder(hostile_run, tmp_path) -> Path:
    """A copy of the run without its curves, to change."""
    skipped = shutil.ignore_patterns("csv")
    return shutil.copytree(hostile_run.folder, tmp_path / "run", ignore=skipped)


def test_a_page_lists_its_sections_and_holds_every_result(page, hostile_run):
    assert page.sections == [*ALWAYS[:2], *OF_CLASSES, *EXAMPLES, *ALWAYS[2:]]
    links = [link.get("href") for link in page.tree.iter("a")]
    assert links == [f"#{name}" for name in page.sections]
    numbers = [value for value in hostile_run.results.values() if not isinstance(value, str)]
    assert set(numbers) == set(page.numbers("results"))
    tiles = next(page.section("results").iter("dl"))
    shown = [text_of(part) for tile in tiles for part in tile]
    assert shown[:4] == ["accuracy", "0.7500", "loss", "0.5156"]
    assert shown[4:] == ["parameters", "1,889,680", "megaflops per clip", "126.1", "epochs", "3"]


def test_a_page_needs_nothing_but_itself(page):
    check_self_contained(page)
    assert len(page.images("svg+xml")) == 3 and len(page.images("png")) == 2
    assert all(image.get("alt") for image in page.tree.iter("img"))


def test_drawings_take_the_ink_of_a_dark_page(page):
    for drawing in page.images("svg+xml"):
        assert INK not in drawing.decode() and "currentColor" in drawing.decode()
        *_, style = ElementTree.fromstring(drawing)
        assert "prefers-color-scheme: dark" in style.text


def test_a_name_is_text_whatever_it_holds(page):
    assert page.text("configuration").startswith(f"Configuration Chosen: name={HOSTILE}")
    assert HOSTILE in [row[0] for row in page.table("classes")]
    assert HOSTILE in [row[0] for row in page.table("subjects")]
    assert f"test/accuracy_{HOSTILE}" in [row[0] for row in page.table("results")]


def test_classes_and_subjects_count_the_clips(page, hostile_run):
    found = load_predictions(hostile_run.folder)
    classes, subjects = page.table("classes")[1:], page.table("subjects")[1:]
    assert [row[0] for row in classes] == found.output_names
    assert {row[0] for row in subjects} == set(found.subjects)
    correct = (found.outputs.argmax(axis=1) == found.targets).sum()
    assert sum(int(row[2]) for row in subjects) == correct == 9
    for rows in (classes, subjects):
        assert sum(int(row[1]) for row in rows) == len(found) == 12


def test_configuration_and_provenance_are_those_of_the_run(folder):
    page = page_of(read_run(folder))
    assert "lr: 0.004" in page.text("configuration")
    assert "... 75 values" in page.text("configuration")
    assert ["git.commit", "c0ffee"] in page.table("provenance")
    assert ["command", f"python {HOSTILE}"] in page.table("provenance")
    assert page.notes("provenance") == []
    (folder / "git.diff").write_text("-old\n+<b>new")
    page = page_of(read_run(folder))
    assert "differed from its commit" in page.notes("provenance")[0]
    assert page.text("provenance").endswith("-old +<b>new")


def test_without_the_store_examples_are_told_in_words(folder, monkeypatch):
    monkeypatch.setattr("avfusion.data.store.data_folder", lambda: "/nowhere/data")
    found = replace(load_predictions(folder), store="/nowhere/store")
    found.save(folder)
    page = page_of(read_run(folder), examples=2)
    assert page.images("png") == []
    for section, right in (("correct-predictions", True), ("incorrect-predictions", False)):
        (note,) = page.notes(section)
        assert "their store is not at /nowhere/store" in note
        told = [text_of(one) for one in page.section(section).iter("li")]
        captions = [
            f"{clip}, subject {subject}: true {found.output_names[true]}, "
            f"predicted {found.output_names[outputs.argmax()]}"
            for clip, subject, true, outputs in zip(
                found.clip_ids, found.subjects, found.targets, found.outputs, strict=True
            )
            if (true == outputs.argmax()) == right
        ]
        assert len(told) == 2
        assert all(any(one.startswith(caption) for caption in captions) for one in told)


def test_a_store_is_found_among_those_of_this_machine(folder, monkeypatch):
    found = load_predictions(folder)
    (folder.parent / "data").mkdir()
    (folder.parent / "data" / "stores").symlink_to(Path(found.store).parent)
    replace(found, store=f"/nowhere/{Path(found.store).name}").save(folder)
    monkeypatch.setattr("avfusion.data.store.data_folder", lambda: str(folder.parent / "data"))
    assert len(page_of(read_run(folder), examples=1).images("png")) == 2


def test_other_clips_in_the_store_are_not_taken_for_those_tested(folder):
    found = load_predictions(folder)
    replace(found, clip_ids=found.clip_ids[::-1]).save(folder)
    page = page_of(read_run(folder), examples=1)
    assert page.images("png") == []
    assert "holds others than were tested" in page.notes("correct-predictions")[0]


@pytest.mark.parametrize("content", [None, b"hello", b""])
def test_missing_predictions_are_answered_by_the_command_that_makes_them(folder, content):
    (folder / FILE_NAME).unlink()
    if content is not None:
        (folder / FILE_NAME).write_bytes(content)
    page = page_of(read_run(folder))
    assert page.sections == NOT_TESTED
    command = f"python src/eval.py ckpt_path={folder} callbacks.predictions.folder={folder}"
    assert page.notes("predictions")[0].endswith(command)
    assert 0.25 in page.numbers("results")


def test_predictions_of_another_test_are_remarked(hostile_run, folder):
    assert page_of(hostile_run).notes("results") == []
    results = hostile_run.results | {"test/accuracy": 0.987}
    (folder / "results.json").write_text(json.dumps(results))
    (other,) = page_of(read_run(folder)).notes("results")
    assert other.startswith("The predictions give a test/accuracy of 0.7500, but results.json has")


def test_leakage_is_marked_at_every_score_and_explained_once(hostile_run, folder):
    assert "†" not in text_of(page_of(hostile_run).tree)
    results = hostile_run.results | {"data/subjects_seen_in_training": 2}
    (folder / "results.json").write_text(json.dumps(results))
    page = page_of(read_run(folder))
    (note,) = page.notes("results")
    assert note.startswith("† Data leakage") and "subjects seen in training (2)" in note
    values = dict(page.table("results")[1:])
    assert values["test/accuracy"] == "0.7500†" and values["test/loss"] == "0.5156†"
    assert values["parameters"] == "1,889,680" and values["epochs"] == "3"
    for row in [*page.table("classes")[1:], *page.table("subjects")[1:]]:
        assert all(cell.endswith("†") == (cell != "-") for cell in row[2:])


def test_clips_of_several_classes_have_scores_and_no_confusions(folder):
    found = load_predictions(folder)
    several = (found.targets[:, None] == np.arange(len(found.output_names))).astype(np.int64)
    several[:, 0] = 1
    replace(found, labels="multi_label", targets=several).save(folder)
    page = page_of(read_run(folder))
    assert page.sections == [*ALWAYS[:2], *OF_CLASSES, *EXAMPLES, *ALWAYS[2:]]
    assert "correct where none of its classes is wrong" in page.text("subjects")
    assert page.table("classes")[1][1] == str(len(found))


def test_predicted_numbers_have_agreement_errors_and_extreme_clips(tmp_path):
    clips = np.array([f"clip{number}" for number in range(4)])
    found = Predictions(
        split="test",
        store="/nowhere/store",
        labels="continuous",
        output_names=["pitch", "tint"],
        rows=np.arange(4),
        clip_ids=clips,
        subjects=np.array(["ann", "ann", "bob", "bob"]),
        outputs=np.array([[2, 3], [2, 0], [4, 0], [4, 0]], np.float32),
        targets=np.array([[1, 5], [2, np.nan], [3, np.nan], [4, np.nan]], np.float32),
        boxes=np.full((4, 4), np.nan, np.float32),
    )
    # Of pitch: means 2.5 and 3, variances 1.25 and 1, covariance 1.
    results = {"test/ccc": (2 / 2.5 + 0) / 2, "data/split": "test"}
    page = page_of(write_run(tmp_path / "run", found, results), examples=1)
    assert page.sections[2:6] == ["numbers", "subjects", "smallest-errors", "largest-errors"]
    head, pitch, tint = page.table("numbers")
    assert head == ["number", "clips", "CCC", "PCC", "RMSE", "MAE"]
    assert pitch == ["pitch", "4", "0.8000", f"{1 / 1.25**0.5:.4f}", "0.7071", "0.5000"]
    assert tint[:2] == ["tint", "1"] and tint[4:] == ["2.0000", "2.0000"]
    # Over all numbers, ann has errors of 1, -2 and 0, bob of 1 and 0.
    _, ann, bob = page.table("subjects")
    assert ann == ["ann", "2", f"{(5 / 3) ** 0.5:.4f}", "1.0000", "-"]
    assert bob == ["bob", "2", "0.7071", "0.5000", "-"]
    assert page.notes("results") == [] and len(page.images("svg+xml")) == 3
    ((near,), (far,)) = (
        page.section(f"{size}-errors").iter("li") for size in ("smallest", "largest")
    )
    assert (
        text_of(near) == "clip1, subject ann: true pitch=2.0, predicted pitch (2.00), tint (0.00)"
    )
    assert text_of(far).startswith("clip0, subject ann: true pitch=1.0|tint=5.0")


@pytest.mark.parametrize(("exit_code", "words"), [(1, "failed"), (None, "has not finished")])
def test_a_run_without_results_has_a_page_that_says_so(exit_code, words, tmp_path):
    (tmp_path / "job.json").write_text(json.dumps({"overrides": [], "exit_code": exit_code}))
    page = page_of(read_run(tmp_path))
    check_self_contained(page)
    assert page.sections == NOT_TESTED
    assert page.notes("results") == [f"This run {words}: it has no results."]
    assert page.notes("curves") == ["No curves were logged."]
    assert page.notes("configuration") == ["There is no config.yaml to read."]
    assert page.notes("provenance") == ["There is no provenance.json to read."]
    assert "the run has not been tested" in page.notes("predictions")[0]


@pytest.mark.slow
def test_the_program_writes_a_page_and_its_figures(hostile_run, tmp_path, monkeypatch):
    command = ["report", str(hostile_run.folder), "--out", str(tmp_path), "--figures", "pdf"]
    monkeypatch.setattr(sys, "argv", [*command, "--examples", "1"])
    runpy.run_path(str(ROOT / "src" / "report.py"), run_name="__main__")
    assert EXAMPLES[0] in Page((tmp_path / "report.html").read_text(encoding="utf-8")).sections
    figures = {path.name: path.read_bytes() for path in (tmp_path / "figures").iterdir()}
    drawn = ["accuracy", "confusion", "correct_predictions_1", "incorrect_predictions_1", "loss"]
    assert sorted(figures) == [f"{name}.pdf" for name in drawn]
    assert all(content.startswith(b"%PDF") for content in figures.values())


def test_an_installed_package_has_the_templates():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    package = ROOT / "src" / "avfusion" / "report"
    shipped = {f for p in settings["package-data"]["avfusion.report"] for f in package.glob(p)}
    files = {path for path in package.rglob("*") if path.is_file() and path.suffix[:3] != ".py"}
    assert {path.name for path in files} >= {"base.html", "style.css"} and files == shipped


def test_weights_of_layers_are_drawn_from_the_best_checkpoint(folder):
    state = {"network.audio_encoder.layer_weights.logits": torch.tensor([0.0, 1.0, 2.0])}
    (folder / "checkpoints").mkdir()
    recipe = {"description": {"streams": {}, "output_names": []}, "target": {}}
    torch.save({"state_dict": state, "recipe": recipe}, folder / "checkpoints" / "best.ckpt")
    caption = "Weights of the layers that audio_encoder reads, in the best checkpoint."
    assert caption not in page_of(read_run(folder)).text("curves")

    config = yaml.safe_load((folder / "config.yaml").read_text())
    config["description"] = {"streams": {"wavlm": {"layers": 3}, "mfcc": {"layers": 0}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    assert caption in page_of(read_run(folder)).text("curves")

    (folder / "checkpoints" / "best.ckpt").unlink()
    assert caption not in page_of(read_run(folder)).text("curves")
