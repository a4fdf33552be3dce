import json

import pytest
from conftest import build_for, clip_record, indexed, quiet_trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.protocols import SubjectFolds
from avfusion.data.splits import make_plan, split_clips
from avfusion.run.results import (
    collect_results,
    describe_plan,
    format_headline,
    log_final_results,
    report_results,
    write_results,
)

CHOSEN = {"model": "audio_only", "optimizer.lr": 0.002, "seed": 0}


@pytest.fixture(scope="module")
def finished(party_store, tmp_path_factory):
    """Folder, trainer, task and data of a run of two epochs that was tested."""
    folder = tmp_path_factory.mktemp("run")
    data = FaceAudioDataModule(str(party_store), batch_size=8)
    task = build_for(data, "audio_only")
    logger = TensorBoardLogger(folder, name="", version="", default_hp_metric=False)
    trainer = quiet_trainer(max_epochs=2, logger=logger, log_every_n_steps=1)
    trainer.fit(task, datamodule=data)
    trainer.test(task, datamodule=data, verbose=False)
    results = collect_results(trainer, task, data, {}) | {"val/accuracy": 0.125}
    report_results(folder, trainer, results, CHOSEN)
    return folder, trainer, task, data


def test_results_are_flat_and_hold_the_scores_of_the_test(finished):
    folder, trainer = finished[:2]
    results = json.loads((folder / "results.json").read_text())
    assert all(isinstance(value, str | int | float) for value in results.values())
    scores = {name: value for name, value in results.items() if name.startswith("test/")}
    assert scores == {name: value.item() for name, value in trainer.callback_metrics.items()}
    assert {"test/loss", "test/accuracy", "test/balanced_accuracy"} <= set(scores)


def test_results_say_what_has_to_be_known_about_them(finished):
    folder, _, task, data = finished
    results = json.loads((folder / "results.json").read_text())
    weights = sum(value.numel() for value in task.network.state_dict().values())
    assert results["parameters"] == weights - 2 * data.description["streams"]["mfcc"]["shape"][-1]
    assert results["data/store"] == str(data.path)
    assert results["data/split"] == "test"
    assert results["data/shared_subjects"] == 0


@pytest.mark.slow
def test_results_name_the_modality_that_was_left_where_one_was_taken_away(party_store):
    data = FaceAudioDataModule(str(party_store), batch_size=8)
    task, trainer = build_for(data, "lowrank"), quiet_trainer()
    trainer.test(task, datamodule=data, verbose=False)
    whole = collect_results(trainer, task, data, {})
    assert "data/modalities" not in whole and format_headline(whole).startswith("Test: accuracy")
    for removed, left in (("audio", "face"), ("face", "audio")):
        trainer.test(task, datamodule=data.without(removed), verbose=False)
        results = collect_results(trainer, task, data.without(removed), {})
        assert results["data/modalities"] == left
        line = format_headline(results)
        assert line.startswith(f"Test ({left} only): accuracy {results['test/accuracy']:.3f}")
        assert "nan" not in line
    assert results["data/corpus"] == whole["data/corpus"]


def test_tensorboard_keeps_the_choices_and_the_final_scores(finished):
    events = EventAccumulator(str(finished[0] / "final")).Reload()
    contents = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert all(name.encode() in contents for name in CHOSEN)
    assert events.Scalars("val/accuracy")[-1].value == 0.125
    assert events.Scalars("test/accuracy")


SCORES = {
    "test/accuracy": 0.5,
    "test/accuracy_angry": 0.25,
    "test/attention_hit": 0.75,
    "test/attention_hit_large": 0.5,
    "test/attention_mass": 0.5,
    "test/balanced_accuracy": 0.4,
    "test/loss": 1.5,
    "val/accuracy": 0.6,
    "parameters": 3,
}


def row_of(folder, chosen, results=SCORES):
    """Write curves, and the row of a run that has ended."""
    logger = TensorBoardLogger(folder, name="", version="", default_hp_metric=False)
    logger.log_metrics({"train/gradient_norm_head": 1.0, "attention": 2.0}, 1)
    log_final_results(quiet_trainer(logger=logger), chosen, results)
    logger.finalize("success")


def tab(logdir):
    """What the HPARAMS tab shows of a folder: columns of choices, and of metrics in their order."""
    runs = EventMultiplexer().AddRunsFromDirectory(str(logdir)).Reload()
    context = Context(TBContext(data_provider=MultiplexerDataProvider(runs, str(logdir))))
    ask = RequestContext()
    found = context.experiment_from_metadata(
        ask,
        "",
        True,
        context.hparams_metadata(ask, ""),
        context.hparams_from_data_provider(ask, "", 0),
    )
    return (
        {column.name for column in found.hparam_infos},
        [metric.name.tag for metric in found.metric_infos],
    )


def test_a_sweep_whose_jobs_chose_different_things_has_a_column_for_each(tmp_path):
    jobs = [{"seed": 1, "optimizer.lr": 0.1}, {"seed": 1, "optimizer.momentum": 0.9, "model": "a"}]
    for number, chosen in enumerate(jobs):
        row_of(tmp_path / str(number), chosen)
    columns, _ = tab(tmp_path)
    assert columns == {name for chosen in jobs for name in chosen}


def test_the_row_of_a_run_begins_with_the_headline_metrics_and_holds_no_others(tmp_path):
    row_of(tmp_path / "a_run", CHOSEN)
    headlines = ["accuracy", "attention_hit", "balanced_accuracy", "loss"]
    assert tab(tmp_path)[1] == [*(f"test/{name}" for name in headlines), "val/accuracy"]


def test_a_row_begins_with_the_name_of_its_run_and_is_that_of_no_other_sweep(tmp_path):
    rows = []
    for sweep in ("sweep_a", "sweep_b"):
        row_of(tmp_path / sweep / "lowrank_seed1", CHOSEN)
        events = EventAccumulator(str(tmp_path / sweep / "lowrank_seed1" / "final")).Reload()
        content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
        rows.append(HParamsPluginData.FromString(content).session_start_info)
    assert [row.group_name for row in rows] == ["lowrank_seed1 sweep_a", "lowrank_seed1 sweep_b"]
    assert {row.hparams["model"].string_value for row in rows} == {"audio_only"}


def test_a_run_that_was_continued_has_one_row_with_what_it_chose_last(tmp_path):
    for epochs in (2, 9):
        row_of(tmp_path, {f"epochs_{epochs}": epochs}, {"test/accuracy": epochs / 10})
    assert tab(tmp_path) == ({"epochs_9"}, ["test/accuracy"])
    (event,) = EventAccumulator(str(tmp_path / "final")).Reload().Scalars("test/accuracy")
    assert event.value == pytest.approx(0.9)


def test_final_scores_do_not_bend_the_curves(finished):
    events = EventAccumulator(str(finished[0]), purge_orphaned_data=False).Reload()
    steps = [event.step for event in events.Scalars("val/accuracy")]
    assert len(steps) == 2  # of two epochs
    assert 0 < steps[0] < steps[1]


def test_the_line_at_the_end_names_the_balanced_accuracy_as_emotion_research_does():
    scores = {"test/accuracy": 0.9934, "test/balanced_accuracy": 0.99, "test/loss": None}
    assert format_headline(scores | {"test/attention_hit": 0.5}) == (
        "Test: accuracy 0.993, UAR 0.990, attention hit 0.500"
    )
    assert format_headline({"parameters": 3}) == "Results"
    assert format_headline(scores | {"data/shared_subjects": 3}) == (
        "Test: accuracy 0.993†, UAR 0.990† "
        "(† Data leakage, so that scores may show memory: shared subjects (3))"
    )


def test_a_number_that_is_not_finite_is_null_for_any_reader_of_json(tmp_path):
    path = write_results(tmp_path, {"test/loss": float("nan"), "test/accuracy": 0.5})
    assert json.loads(path.read_text(), parse_constant=pytest.fail) == {
        "test/loss": None,
        "test/accuracy": 0.5,
    }


def test_results_say_protocol_fold_and_that_the_best_epoch_was_chosen_on_the_test(tmp_path):
    clips = (clip_record(f"c{n}", subject=str(1 + n % 3), split="") for n in range(9))
    store = indexed(tmp_path / "store", clips)
    protocol = SubjectFolds("three", "here", [[1], [2], [3]], leak="Nothing is shared.")
    splits = split_clips(protocol.make_plan(2, 0), store, "test")
    assert describe_plan(splits) == {
        "data/protocol": "three",
        "data/protocol_leak": "Nothing is shared.",
        "data/fold": "2",
        "data/folds": '{"1": 3, "2": 3, "3": 3}',
        "data/best_epoch_chosen_on_test_clips": 3,
    }
    own = split_clips(make_plan({"train": [0, 6], "val": [6, 8], "test": [8, 9]}), store)
    assert describe_plan(own) == {}
