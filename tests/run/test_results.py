import json

import pytest
from conftest import load, quiet_trainer
from hydra.utils import instantiate
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins.base_plugin import TBContext
from tensorboard.plugins.hparams.backend_context import Context

from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.run.results import (
    collect_results,
    log_hyperparameters,
    report,
    write_results,
)

CHOSEN = {"model": "audio_only", "optimizer.lr": 0.002, "seed": 0}


@pytest.fixture(scope="module")
def finished(party_store, tmp_path_factory):
    """Folder, trainer, task and data of a run of two epochs that was tested."""
    folder = tmp_path_factory.mktemp("run")
    data = FaceAudioDataModule(str(party_store), batch_size=8)
    cfg = load("train", "model=audio_only")
    cfg.description = data.description
    task = instantiate(cfg.model, _convert_="all")
    logger = TensorBoardLogger(folder, name="", version="", default_hp_metric=False)
    trainer = quiet_trainer(max_epochs=2, logger=logger, log_every_n_steps=1)
    trainer.fit(task, datamodule=data)
    trainer.test(task, datamodule=data, verbose=False)
    results = collect_results(trainer, task, data) | {"val/accuracy": 0.125}
    report(folder, trainer, results, CHOSEN)
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
    assert results["parameters"] == weights - 2 * data.description["audio"]["features"]
    assert results["data/store"] == str(data.path)
    assert results["data/split"] == "test"
    assert results["data/shared_subjects"] == 0


def test_tensorboard_keeps_the_choices_and_the_final_scores(finished):
    events = EventAccumulator(str(finished[0])).Reload()
    contents = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert all(name.encode() in contents for name in CHOSEN)
    assert events.Scalars("val/accuracy")[-1].value == 0.125
    assert events.Scalars("test/accuracy")


def row_of(folder, chosen):
    """Write the row of a run that has ended without training."""
    logger = TensorBoardLogger(folder, name="", version="", default_hp_metric=False)
    results = {"test/accuracy": 0.5, "parameters": 3}
    log_hyperparameters(quiet_trainer(logger=logger), chosen, results)
    logger.finalize("success")


def test_a_sweep_whose_jobs_chose_different_things_has_a_column_for_each(tmp_path):
    jobs = [{"seed": 1, "optimizer.lr": 0.1}, {"seed": 1, "optimizer.momentum": 0.9, "model": "a"}]
    for number, chosen in enumerate(jobs):
        row_of(tmp_path / str(number), chosen)
    runs = EventMultiplexer().AddRunsFromDirectory(str(tmp_path)).Reload()
    tab = Context(TBContext(data_provider=MultiplexerDataProvider(runs, str(tmp_path))))
    ask = RequestContext()
    found = tab.experiment_from_metadata(
        ask, "", True, tab.hparams_metadata(ask, ""), tab.hparams_from_data_provider(ask, "", 0)
    )
    columns = {column.name for column in found.hparam_infos}
    assert columns == {name for chosen in jobs for name in chosen}
    assert [metric.name.tag for metric in found.metric_infos] == ["test/accuracy"]


def test_final_scores_do_not_bend_the_curves_back_to_the_first_step(finished):
    events = EventAccumulator(str(finished[0]), purge_orphaned_data=False).Reload()
    steps = [event.step for event in events.Scalars("val/accuracy")]
    assert len(steps) == 3
    assert steps == sorted(steps)
    assert steps[0] > 0


def test_a_number_that_is_not_finite_is_null_for_any_reader_of_json(tmp_path):
    path = write_results(tmp_path, {"test/loss": float("nan"), "test/accuracy": 0.5})
    assert json.loads(path.read_text(), parse_constant=pytest.fail) == {
        "test/loss": None,
        "test/accuracy": 0.5,
    }
