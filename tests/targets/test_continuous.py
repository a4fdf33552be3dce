"""Clips with numbers: what is stored, learned, reported and answered."""

import csv
import json

import numpy as np
import pytest
import torch
from conftest import (
    build_for,
    clip_record,
    events_of,
    indexed,
    load,
    quiet_trainer,
    results,
    single_label,
    split_by,
    write_numbers,
)
from hydra.utils import instantiate
from lightning.pytorch.loggers import TensorBoardLogger

from avfusion.dashboard.scatter import Scatter
from avfusion.data.checks import check_labels
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.index import export_index
from avfusion.data.store import Store
from avfusion.evaluation.inference import collect_predictions
from avfusion.evaluation.prediction_files import group_by_recording, write_predictions
from avfusion.evaluation.prediction_table import format_predictions
from avfusion.evaluation.predictions import load_predictions
from avfusion.evaluation.runs import read_run
from avfusion.figures.clip import clip_view
from avfusion.figures.scatter import scatter_figure
from avfusion.preparation.leakage import CONTENT_COLUMNS, find_leaks, find_repeats
from avfusion.preparation.summary import summarize_store
from avfusion.report.run_page import report_run
from avfusion.run.results import collect_results, format_headline, write_results
from avfusion.targets.continuous import Continuous
from avfusion.training.metrics.stages import check_monitor

NAMES = ("pitch", "tint")


def target_of(*names: str) -> Continuous:
    return Continuous({"output_names": names})


def store_of_numbers(root, *labels: tuple, names=NAMES, **known) -> Store:
    """A store of clips with these labels and numbers."""
    clips = [
        clip_record(f"c{n}", label=label, numbers=numbers, **known)
        for n, (label, numbers) in enumerate(labels)
    ]
    return indexed(root, clips, labels="continuous", output_names=list(names))


def test_a_label_is_a_number_for_each_name_and_what_is_missing_is_nan(tmp_path):
    target = target_of("pitch", "tint")
    store = store_of_numbers(tmp_path, ("tint|pitch", (2.5, -1.0)), ("tint", (0.1,)), ("", ()))
    expected = np.array([[-1, 2.5], [np.nan, 0.1], [np.nan, np.nan]], np.float32)
    np.testing.assert_array_equal(target.read_labels(store), expected)
    other = target_of("loudness", "TINT").read_labels(store)  # of a network, spelled otherwise
    np.testing.assert_array_equal(other[:, 1], expected[:, 1])
    assert np.isnan(other[:, 0]).all()
    assert target.decode(torch.tensor([0.1, torch.nan])) == "pitch=0.1"
    assert (target.classes_of("pitch|tint"), target.classes_of("")) == (["pitch", "tint"], [])
    assert target.spell("TINT|\uff30itch|x") == "tint|pitch|x" and target.spell("") == ""
    known = target.indicators(torch.tensor([[0.0, torch.nan]]))
    assert known.tolist() == [[1, -1]]


def test_numbers_are_columns_of_the_index_with_every_digit_that_are_opened_when_asked(tmp_path):
    labels = [("pitch|tint", (0.1 + 0.2, 1 / 3)), ("tint", (-1e-300,)), ("", ())]
    store = store_of_numbers(tmp_path, *labels)
    assert [(record.label, record.numbers) for record in store.records(range(3))] == labels
    assert store.record(0).label_text == "pitch=0.30000000000000004|tint=0.3333333333333333"
    assert store.labels.counts() == {"pitch|tint": 1, "tint": 1, "": 1}
    assert store.index.opened == ["label"]
    tint = store.numbers("tint")
    assert tint[:2].tolist() == [1 / 3, -1e-300] and np.isnan(tint[2])
    assert store.index.opened == ["label", "target.tint"]

    export_index(store.index, tmp_path / "clips.csv")
    with (tmp_path / "clips.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["target.pitch"] for row in rows] == ["0.30000000000000004", "", ""]
    assert [float(row["target.tint"] or "nan") for row in rows[:2]] == [1 / 3, -1e-300]


def test_as_many_labels_are_kept_in_memory_as_there_are_sets_of_known_numbers(tmp_path):
    labels = [(("pitch", "pitch|tint")[n % 2], (n / 7, n / 9)[: 1 + n % 2]) for n in range(500)]
    store = store_of_numbers(tmp_path, *labels)
    assert len(store.labels.names) == 2
    assert target_of(*NAMES).read_labels(store).nbytes == 500 * 2 * 4


def test_two_numbers_for_one_recording_are_told_with_both(tmp_path):
    labels = [("tint", (0.5,)), ("tint", (0.25,)), ("tint", (0.5,))]
    store = store_of_numbers(tmp_path, *labels, audio_digest=7)
    found = find_repeats(store.columns(*CONTENT_COLUMNS, *store.index.number_columns))
    told = ["c0 (tint=0.5) = c1 (tint=0.25) = c2 (tint=0.5)"]
    assert found["two_labels_for_one_recording"] == told
    same = store_of_numbers(tmp_path, *labels[::2], audio_digest=7)
    found = find_repeats(same.columns(*CONTENT_COLUMNS, *same.index.number_columns))
    assert found == {"two_labels_for_one_recording": [], "same_sound_twice": ["c0 = c1"]}


def test_a_number_without_training_clips_is_untrained(tmp_path):
    labels = [("tint", (1.0,)), ("pitch|tint", (1.0, 2.0))]
    store = store_of_numbers(tmp_path, *labels)
    clips = split_by(store, {"train": [0, 1], "test": [1, 2]}).tabulate(
        store.columns(*CONTENT_COLUMNS)
    )
    assert find_leaks(clips, target_of(*NAMES).classes_of)["untrained_classes"] == ["pitch"]


def test_a_prediction_is_the_numbers_themselves_and_neither_right_nor_wrong():
    target = target_of("pitch", "tint")
    said = target.decide(target.predict(torch.tensor([0.25, -2.0])))
    assert said == ("pitch=0.25|tint=-2", {"pitch": 0.25, "tint": -2.0})
    assert target.is_right(said, "pitch=0.25") is None
    assert (target.columns, target.describe(torch.tensor([0.25, -2.0]))) == (NAMES, ["0.25", "-2"])


@pytest.mark.parametrize("name", ["ccc", "pcc", "ccc_tint"])
def test_what_is_reported_can_be_monitored(name):
    check_monitor(f"val/{name}", "max", target_of(*NAMES))
    check_monitor(f"val/{name}", "max")  # before the data is known
    with pytest.raises(ValueError, match=f"would keep the worst val/{name}"):
        check_monitor(f"val/{name}", "min", target_of(*NAMES))
    with pytest.raises(ValueError, match="is no metric of this run"):
        check_monitor(f"val/{name}", "max", single_label("a", "b"))
    check_monitor("val/rmse", "min", target_of(*NAMES))


def test_a_store_counts_the_clips_of_each_number_and_names_loss_and_monitor(number_store):
    description = Store(number_store).description
    assert description["labels"] == "continuous" and description["output_names"] == list(NAMES)
    lines = [line.split() for line in summarize_store(number_store).splitlines()]
    assert ["pitch", "16", "4", "4"] in lines and ["tint", "8", "2", "2"] in lines
    assert lines[-1][-2:] == ["loss=mse", "monitor=val/ccc"]


def test_a_network_of_other_numbers_is_not_tested_on_these(number_store):
    store = Store(number_store)
    with pytest.raises(ValueError, match=r"does not know, pitch: it knows loudness, tint"):
        check_labels(store, split_by(store), "test", target_of("loudness", "tint"))


@pytest.fixture(scope="module")
def trained(number_store, tmp_path_factory):
    """Folder, task, data and scores of a run that everything looked at."""
    folder = tmp_path_factory.mktemp("numbers")
    data = FaceAudioDataModule(str(number_store), batch_size=8)
    callbacks = load("train", "callbacks=default", "callbacks.predictions.folder=x").callbacks
    wanted = ("predictions", *load("train", "callbacks=dashboard").callbacks)
    callbacks.predictions.folder = str(folder)
    looking = [instantiate(callbacks[name]) for name in wanted]
    logger = TensorBoardLogger(folder, name="", version="", default_hp_metric=False)
    trainer = quiet_trainer(max_epochs=1, logger=logger, callbacks=looking, log_every_n_steps=1)
    task = build_for(data, "lowrank", "loss=mse")
    trainer.fit(task, datamodule=data)
    trainer.test(task, datamodule=data, verbose=False)
    scores = collect_results(trainer, task, data, {})
    write_results(folder, scores)
    return folder, task, data, scores


def test_the_scores_of_a_test_follow_from_its_predictions(trained):
    folder, _, _, scores = trained
    found = load_predictions(folder)
    assert found.labels == "continuous" and found.output_names == list(NAMES)
    for number, name in enumerate(NAMES):
        true, said = (values[:, number].astype(float) for values in (found.targets, found.outputs))
        known = ~np.isnan(true)
        assert known.sum() == (4, 2)[number]
        true, said = true[known], said[known]
        apart = true.var() + said.var() + (true.mean() - said.mean()) ** 2
        ccc = 2 * ((true - true.mean()) * (said - said.mean())).mean() / apart
        assert scores[f"test/ccc_{name}"] == pytest.approx(ccc, rel=1e-4)
        assert scores[f"test/mae_{name}"] == pytest.approx(np.abs(true - said).mean(), rel=1e-5)
    errors = (found.outputs - found.targets)[~np.isnan(found.targets)]
    assert scores["test/loss"] == pytest.approx((errors**2).mean(), rel=1e-5)
    means = [scores[f"test/ccc_{name}"] for name in NAMES]
    assert scores["test/ccc"] == pytest.approx(np.mean(means))
    assert f"CCC {scores['test/ccc']:.3f}" in format_headline(scores)


def test_there_is_a_scatter_plot_in_place_of_confusions_and_curves(trained):
    tags = events_of(trained[0]).Tags()
    assert {"val/scatter", "test/scatter", "train/first_batch"} <= set(tags["images"])
    assert not any("confusion" in tag for tag in tags["images"])
    assert not any("precision_recall" in tag for tag in tags["tensors"])
    clips = {tag for tag in tags["images"] if tag.startswith("clips/")}
    assert clips and {tag.split("/")[1].rpartition("_")[0] for tag in clips} <= set(NAMES)


def test_a_scatter_plot_has_every_clip_whose_number_is_known_and_its_ccc():
    scatter = Scatter()
    counts = scatter.count(torch.zeros(0, 2), torch.zeros(0, 2))
    true = torch.tensor([[1.0, 5.0], [2.0, torch.nan], [3.0, torch.nan], [4.0, torch.nan]])
    said = torch.tensor([[2.0, 4.0], [2.0, 0.0], [4.0, 0.0], [4.0, 0.0]])
    for some in (slice(0, 1), slice(1, 4)):
        counts = scatter.add(counts, scatter.count(said[some], true[some]))
    one, other = scatter_figure(counts[..., 0], counts[..., 1], NAMES).axes
    assert one.get_title() == "pitch: CCC 0.80, 4 clips"
    assert other.get_title() == "tint: CCC 0.00, 1 clip"
    points = np.stack(one.lines[-1].get_data(), axis=1)
    np.testing.assert_array_equal(points, np.stack([true[:, 0], said[:, 0]], axis=1))


def test_answers_have_a_column_per_number(trained, tmp_path):
    _, task, data, scores = trained
    answers = collect_predictions(
        data, quiet_trainer().predict(task, datamodule=data), task.network
    )
    with write_predictions(tmp_path, answers, data.target).open() as file:
        rows = list(csv.DictReader(file))
    true = data.target.read_labels(data.store)[data.splits.rows("test")]
    for row, numbers in zip(rows, true, strict=True):
        assert row["label"] == data.target.decode(torch.from_numpy(numbers))
    said = np.array([[float(row[name]) for name in NAMES] for row in rows])
    assert np.nanmean(np.abs(true - said)[:, 0]) == pytest.approx(
        scores["test/mae_pitch"], rel=1e-4
    )
    table = json.loads((tmp_path / "predictions.json").read_text())
    assert table[0]["values"] == pytest.approx(dict(zip(NAMES, said[0], strict=True)), abs=1e-5)
    head, first, *_ = format_predictions(*group_by_recording(answers), data.target).splitlines()
    assert head.split() == ["recording", "true", *NAMES]
    assert first.split()[-1] == f"{said[0, 1]:.3g}"


def test_a_drawn_clip_has_no_verdict(trained, number_store):
    store, target = Store(number_store), trained[2].target
    view = clip_view(store, 0, torch.tensor([0.5, 4.0]), None, target)
    assert view.right is None
    assert view.answer == "true: pitch=-0.75|tint=3.0   predicted: pitch (0.50) | tint (4.00)"


@pytest.mark.slow
def test_a_report_of_numbers_agrees_with_the_results_and_draws_the_clips(trained):
    folder, *_ = trained
    (folder / "config.yaml").write_text("monitor: val/ccc\n")
    report = report_run(read_run(folder), 1)
    assert "is of another test" not in report.html and report.missing == ""
    figures = {figure.name for figure in report.figures}
    assert {"scatter", "smallest_errors_1", "largest_errors_1"} <= figures


@pytest.mark.slow
def test_recordings_are_prepared_learned_and_answered_for(run, recordings, tmp_path):
    table = write_numbers(recordings, tmp_path / "numbers")
    root = (f"corpus.root={table}", f"corpus.media_root={recordings}")
    small = ("features.face.size=32", "prepare.workers=1")
    prepared = run("prepare", "corpus=manifest", *root, *small)
    command = prepared.stdout.strip().splitlines()[-1].split()
    brief = ("trainer=debug", "callbacks=minimal", "data.batch_size=8")
    run("train", *command[2:], *brief, f"hydra.run.dir={tmp_path}/run")
    assert -1 <= results(tmp_path / "run")["test/ccc"] <= 1
    answered = ("workers=1", f"hydra.run.dir={tmp_path}/answers")
    run("predict", f"ckpt_path={tmp_path}/run", f"input={recordings}/s0_0.wav", *answered)
    with (tmp_path / "answers" / "predictions.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert set(NAMES) < set(row) and row["label"] == ""
