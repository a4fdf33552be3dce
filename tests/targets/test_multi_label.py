"""Clips of several classes: what is stored, learned, reported and answered."""

import csv
import json

import numpy as np
import pytest
import torch
from conftest import (
    build,
    build_for,
    clip_record,
    events_of,
    load,
    quiet_trainer,
    results,
    single_label,
    split_by,
    toy_clips,
    toy_description,
    write_several,
)
from hydra.utils import instantiate
from lightning.pytorch.loggers import TensorBoardLogger

from avfusion.corpora.labels import split_label
from avfusion.dashboard.clip_images import choose_clips
from avfusion.dashboard.precision_recall import THRESHOLDS, count_above_thresholds
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.dataset import SplitDataset
from avfusion.data.index import tabulate
from avfusion.data.store import Store
from avfusion.evaluation.inference import collect_predictions
from avfusion.evaluation.prediction_files import write_predictions
from avfusion.figures.clip import clip_view
from avfusion.figures.predictions import batch_figure
from avfusion.preparation.description import describe_splits
from avfusion.preparation.leakage import find_untrained_classes
from avfusion.preparation.summary import summarize_store
from avfusion.targets import MultiLabel
from avfusion.training.losses import BinaryCrossEntropy
from avfusion.training.metrics.stages import check_monitor


def target_of(*output_names: str) -> MultiLabel:
    return MultiLabel({"output_names": output_names})


def test_a_label_is_a_flag_for_each_class_and_unknown_as_a_whole_if_one_class_is():
    target = target_of("a", "b", "c")
    found = target.encode(["a|c", "b", "b|d", ""])
    assert found.tolist() == [[1, 0, 1], [0, 1, 0], [-1, -1, -1], [-1, -1, -1]]
    assert target.decode(torch.tensor([1, 0, 1])) == "a|c"
    assert target.spell("C|\uff41") == "a|c"


def test_all_classes_above_one_half_are_said_in_the_order_of_their_names():
    target = target_of("c", "a", "b")
    said = target.decide(torch.tensor([0.75, 0.5, 0.875]))
    assert (said.label, said.parts) == ("b|c", {"c": 0.75, "b": 0.875})
    assert target.decide(torch.tensor([0.25, 0.5, 0.0])) == ("", {})


@pytest.mark.parametrize("name", ["accuracy", "subset_accuracy", "average_precision_class_1"])
def test_what_is_reported_can_be_monitored(name):
    names = toy_description()["output_names"]
    check_monitor(f"val/{name}", "max", target_of(*names))
    check_monitor(f"val/{name}", "max")  # before the data is known
    if name != "accuracy":
        with pytest.raises(ValueError, match="is no metric of this run"):
            check_monitor(f"val/{name}", "max", single_label(*names))


@pytest.mark.parametrize("weights", [None, [0.5, 2.0, 3.0], "balanced"])
def test_the_loss_is_the_mean_over_the_decisions(weights):
    logits, label = torch.randn(8, 3), torch.randint(0, 2, (8, 3))
    loss = BinaryCrossEntropy([10, 20, 5], 40, weights)(logits, label).item()
    each = {None: [1, 1, 1], "balanced": [30 / 10, 20 / 20, 35 / 5]}
    positive = each.get(weights, weights) if not isinstance(weights, list) else weights
    sure = 1 / (1 + np.exp(-logits.double().numpy()))
    true = label.numpy()
    by_hand = -(true * np.log(sure) * positive + (1 - true) * np.log(1 - sure)).mean()
    assert loss == pytest.approx(by_hand, rel=1e-5)


def test_a_batch_says_of_each_class_whether_a_clip_has_it(several_store):
    store = Store(several_store)
    assert store.description["output_names"] == ["high", "late", "low"]
    dataset = SplitDataset(store, np.arange(16), target_of("low", "high", "late"))
    clips = dataset.__getitems__([0, 1, 2, 3])
    assert clips.label.tolist() == [[1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 1, 1]]
    unknown = SplitDataset(store, np.arange(16), target_of("low", "high")).__getitems__([0, 2])
    assert unknown.label.tolist() == [[1, 0], [-1, -1]]


def test_a_store_counts_the_clips_of_each_class_and_names_the_loss(several_store):
    store = Store(several_store)
    description = describe_splits(store, split_by(store))
    assert description["labels"] == "multi_label" and description["class_counts"] == [8, 8, 8]
    lines = [line.split() for line in summarize_store(several_store).splitlines()]
    assert ["late", "8", "2", "2"] in lines
    assert lines[-1][-1] == "loss=bce"


def test_a_class_is_trained_whatever_it_is_trained_with():
    pairs = [("train", "a|b"), ("test", "b|c")]
    clips = tabulate(clip_record(split=split, label=label) for split, label in pairs)
    assert find_untrained_classes(clips, split_label) == ["c"]
    assert find_untrained_classes(clips) == ["b|c"]


def test_probabilities_are_those_of_each_class_alone():
    task, clips = build("audio_only", "loss=bce", labels="multi_label").eval(), toy_clips(4)
    _, probabilities, _ = task.predict_step(clips, 0)
    torch.testing.assert_close(probabilities, 1 / (1 + (-task(clips).logits).exp()))


def test_precision_and_recall_count_each_decision():
    probabilities, label = torch.rand(30, 3), torch.randint(-1, 2, (30, 1)).expand(30, 3).clone()
    label[label >= 0] = torch.randint(0, 2, (int((label >= 0).sum()),))
    true, false = count_above_thresholds(probabilities, label)
    for place in (0, 30, 63, 126):
        above = probabilities.double().numpy() >= np.linspace(0, 1, THRESHOLDS)[place]
        for name in range(3):
            own, other = (label[:, name].numpy() == has for has in (1, 0))
            assert int(true[name, place]) == (above[:, name] & own).sum()
            assert int(false[name, place]) == (above[:, name] & other).sum()


def test_clips_to_draw_are_so_many_of_each_class_and_each_is_drawn_once():
    rows, labels = list(range(40)), ["a|b", "a", "b|c", "a|b|c"] * 10
    chosen = choose_clips(rows, labels, 2, 3, split_label)
    assert sorted(chosen.values()) == ["a_1", "a_2", "b_1", "b_2", "c_1", "c_2"]
    assert all(tag[0] in labels[row].split("|") for row, tag in chosen.items())


def test_a_picture_of_the_batch_names_all_classes_of_a_clip():
    label = torch.tensor([[1, 0, 1], [0, 1, 0], [-1, -1, -1]])
    clips = toy_clips(3)._replace(label=label)
    shown = (clips.streams["frames"], clips.streams["mfcc"], clips)
    texts = batch_figure(*shown, target_of("a", "b", "c")).axes[0].texts
    assert [text.get_text() for text in texts] == ["a|c", "b", "?"]


def test_a_drawn_clip_is_right_only_if_all_its_classes_are(several_store):
    store, target = Store(several_store), target_of("low", "late", "high")
    row = store.texts("label").index("late|low")
    for sure, right in (([0.9, 0.6, 0.2], True), ([0.9, 0.4, 0.2], False), ([0.1] * 3, False)):
        view = clip_view(store, row, torch.tensor(sure), None, target)
        assert view.right is right
    assert "predicted: none" in view.answer and "true: late|low" in view.answer


@pytest.fixture(scope="module")
def trained(several_store, tmp_path_factory):
    """Folder, task, data and scores of a run that everything looked at."""
    folder = tmp_path_factory.mktemp("several")
    data = FaceAudioDataModule(str(several_store), batch_size=8)
    looking = list(instantiate(load("train", "callbacks=dashboard").callbacks).values())
    logger = TensorBoardLogger(folder, name="", version="", default_hp_metric=False)
    trainer = quiet_trainer(max_epochs=1, logger=logger, callbacks=looking, log_every_n_steps=1)
    task = build_for(data, "lowrank", "loss=bce")
    trainer.fit(task, datamodule=data)
    (scores,) = trainer.test(task, datamodule=data, verbose=False)
    return folder, task, data, scores


@pytest.mark.slow
def test_a_run_is_scored_by_class_and_over_all(trained):
    overall = {"loss", "accuracy", "subset_accuracy", "macro_f1", "mean_average_precision"}
    each = {f"{score}_{name}" for score in ("accuracy", "average_precision") for name in NAMES}
    assert {f"test/{name}" for name in overall | each} <= set(trained[3])


NAMES = ("high", "late", "low")


@pytest.mark.slow
def test_what_can_be_drawn_is_drawn_and_there_is_no_confusion(trained):
    tags = events_of(trained[0]).Tags()
    assert not any("confusion" in tag for tag in tags["images"])
    assert "train/first_batch" in tags["images"]
    clips = {tag.rpartition("_")[0] for tag in tags["images"] if tag.startswith("clips/")}
    assert clips <= {f"clips/{name}" for name in NAMES} and len(clips) > 1
    assert {f"test_precision_recall/{name}" for name in NAMES} <= set(tags["tensors"])


def test_answers_name_every_class_that_is_likely(trained, tmp_path):
    _, task, data, scores = trained
    answers = collect_predictions(
        data, quiet_trainer().predict(task, datamodule=data), task.network
    )
    with write_predictions(tmp_path, answers, data.target).open() as file:
        rows = list(csv.DictReader(file))
    likely = ["|".join(n for n in NAMES if float(row[n]) > 0.5) for row in rows]
    assert [row["predicted"] for row in rows] == likely
    assert {row["label"] for row in rows} == {"high", "low", "high|late", "late|low"}
    right = np.mean([row["predicted"] == row["label"] for row in rows])
    assert right == pytest.approx(scores["test/subset_accuracy"])
    table = json.loads((tmp_path / "predictions.json").read_text())
    assert [entry["predicted"] for entry in table] == likely


def test_a_checkpoint_is_tested_only_on_its_own_kind_of_labels(trained, party_store):
    task = trained[1]
    own, other = (
        FaceAudioDataModule(str(store), target=lambda description: task.target)
        for store in (trained[2].path, party_store)
    )
    assert own.target is task.target
    with pytest.raises(ValueError, match=r"has one class, .* several classes: .*multilabel=true"):
        other.prepare_data()


@pytest.mark.slow
def test_recordings_are_prepared_learned_and_answered_for(run, recordings, tmp_path):
    table = write_several(recordings, tmp_path / "several")
    root = (f"corpus.root={table}", f"corpus.media_root={recordings}")
    small = ("features.face.size=32", "prepare.workers=1")
    prepared = run("prepare", "corpus=manifest", *root, *small)
    command = prepared.stdout.strip().splitlines()[-1].split()
    brief = ("trainer=debug", "callbacks=minimal", "data.batch_size=8")
    run("train", *command[2:], *brief, f"hydra.run.dir={tmp_path}/run")
    assert 0 <= results(tmp_path / "run")["test/mean_average_precision"] <= 1
    answered = ("workers=1", f"hydra.run.dir={tmp_path}/answers")
    run("predict", f"ckpt_path={tmp_path}/run", f"input={recordings}/s0_0.wav", *answered)
    with (tmp_path / "answers" / "predictions.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert set(NAMES) < set(row) and row["label"] == ""
