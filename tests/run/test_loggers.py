"""Claims about loggers: all are given the same, as far as they can show it."""

import csv
import wave
from importlib import import_module

import numpy as np
import pytest
import yaml
from conftest import build_for, events_of, load, quiet_trainer
from hydra.utils import instantiate
from lightning.pytorch.loggers import (
    CSVLogger,
    Logger,
    MLFlowLogger,
    TensorBoardLogger,
    WandbLogger,
)
from matplotlib.figure import Figure

from avfusion.dashboard.media_loggers import (
    MLFlowMedia,
    WandbMedia,
    has_media_loggers,
    media_loggers,
)
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.run.loggers import CurvesLogger, build_loggers, log_hyperparameters
from avfusion.run.results import log_final_results

CLASSES = {"wandb": "WandbLogger", "mlflow": "MLFlowLogger"}
SOUND = np.array([0, 1, -(2**15), 2**15 - 1], np.int16)
CHOSEN = {"model": "lowrank", "optimizer.lr": 0.25}
ENDED = {"test/accuracy": 0.125, "val/accuracy": 0.375, "parameters": 3}


@pytest.mark.parametrize("name", CLASSES)
def test_a_logger_without_its_package_is_told_what_to_install(name, tmp_path, monkeypatch):
    module = import_module(f"lightning.pytorch.loggers.{name}")
    monkeypatch.setattr(module, f"_{name.upper()}_AVAILABLE", False)
    chosen = {
        "csv": {"_target_": "lightning.pytorch.loggers.CSVLogger", "save_dir": str(tmp_path)},
        name: {"_target_": f"lightning.pytorch.loggers.{CLASSES[name]}"},
    }
    sentence = rf"^logger={name} needs .*: pip install -e '\.\[{name}\]', .* logger\.{name}=null\.$"
    with pytest.raises(ValueError, match=sentence):
        build_loggers(chosen)
    assert [type(logger) for logger in build_loggers(chosen | {name: None})] == [CSVLogger]


def test_files_of_hyperparameters_are_never_empty_and_those_of_the_last_part(tmp_path):
    for lr in (0.5, 0.25):  # the second one goes on in the same folder
        board = CurvesLogger(tmp_path, name="", version="", default_hp_metric=False)
        table = CSVLogger(tmp_path, name="csv")
        trainer = quiet_trainer(logger=[board, table])
        log_hyperparameters(trainer, CHOSEN | {"optimizer.lr": lr})
        for logger in (board, table):
            logger.log_metrics({"val/loss": 1.0}, 1)
            logger.save()
            logger.finalize("success")
    files = sorted(tmp_path.rglob("hparams.yaml"))
    found = {str(f.parent.relative_to(tmp_path)): yaml.safe_load(f.read_text()) for f in files}
    assert found == {
        ".": CHOSEN,
        "csv/version_0": CHOSEN | {"optimizer.lr": 0.5},
        "csv/version_1": CHOSEN,
    }


def test_the_page_of_curves_opens_with_a_stage_and_not_with_the_number_of_the_epoch(tmp_path):
    given = load("train", "logger=tensorboard", f"logger.tensorboard.save_dir={tmp_path}").logger
    (chosen,) = build_loggers(given)
    chosen.log_metrics({"epoch": 3, "val/loss": 0.5}, 7)
    chosen.finalize("success")
    assert sorted(events_of(tmp_path).Tags()["scalars"]) == ["train/epoch", "val/loss"]


def heard(path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
        return np.frombuffer(file.readframes(-1), "<i2")


class Kept(WandbLogger):
    """Weights & Biases without its package."""

    def __init__(self):
        self.given = []

    def log_image(self, key, images, step):
        self.given.append((key, images, step))

    def log_audio(self, key, audios, step):
        self.given.append((key, heard(audios[0]).tolist(), step))

    def log_text(self, key, columns, data, step):
        self.given.append((key, data, step))


def test_weights_and_biases_is_given_pictures_sounds_and_texts():
    logger, figure = Kept(), Figure()
    place = WandbMedia(logger)
    place.figure("clips/a", figure, 1)
    place.sound("sounds/a", SOUND, 2)
    place.text("run/config.yaml", "a: 1\nb: 2", 3)
    assert logger.given == [
        ("clips/a", [figure], 1),
        ("sounds/a", SOUND.tolist(), 2),
        ("run/config.yaml", [["a: 1\nb: 2"]], 3),
    ]


class KeptFiles(MLFlowLogger):
    """MLflow without its package."""

    def __init__(self):
        self.given = []

    experiment = property(lambda self: self)
    run_id = "a run"

    def log_figure(self, *given):
        self.given.append(given)

    def log_text(self, *given):
        self.given.append(given)

    def log_artifact(self, run, path, folder):
        self.given.append((run, heard(path).tolist(), f"{folder}/{path.rpartition('/')[2]}"))


def test_mlflow_is_given_pictures_and_sounds_as_files_in_the_order_of_their_steps():
    logger, figure = KeptFiles(), Figure()
    place = MLFlowMedia(logger)
    place.figure("clips/a", figure, 90)
    place.figure("clips/a", figure, 1000)
    place.sound("sounds/a", SOUND, 2)
    place.text("run/config.yaml", "a: 1", 3)
    names = ["clips/a/step_000090.png", "clips/a/step_001000.png"]
    assert logger.given == [
        *[("a run", figure, name) for name in names],
        ("a run", SOUND.tolist(), "sounds/a/step_000002.wav"),
        ("a run", "a: 1", "run/config.yaml"),
    ]


def test_images_go_to_loggers_that_take_media_and_from_the_first_process(tmp_path, monkeypatch):
    loggers = [CSVLogger(tmp_path), Kept(), KeptFiles()]
    trainer = quiet_trainer(logger=loggers)
    assert [type(place) for place in media_loggers(trainer)] == [WandbMedia, MLFlowMedia]
    monkeypatch.setattr("lightning.Trainer.is_global_zero", False)
    assert media_loggers(trainer) == [] and has_media_loggers(trainer)
    assert not has_media_loggers(quiet_trainer(logger=loggers[:1]))


@pytest.fixture(params=CLASSES)
def logger(request, tmp_path, monkeypatch) -> Logger:
    """A logger that needs no server."""
    pytest.importorskip(request.param)
    if request.param == "wandb":
        monkeypatch.setenv("WANDB_SILENT", "true")
        options = {"project": "test", "offline": True, "save_dir": str(tmp_path)}
        return WandbLogger(**options, reinit="create_new")
    place = {"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"}
    return MLFlowLogger(**place, artifact_location=str(tmp_path / "files"))


def known(logger: Logger) -> tuple[dict, dict, set[str]]:
    """What a logger was given at last: numbers and choices by name, and the tags of pictures."""
    if isinstance(logger, WandbLogger):
        summary = dict(logger.experiment.summary)
        pictures = {key for key in summary if key.startswith(("clips/", "train/first"))}
        pictures |= {key for key in summary if key.endswith("confusion")}
        numbers = {key: value for key, value in summary.items() if isinstance(value, float | int)}
        return numbers, dict(logger.experiment.config), pictures
    client, run = logger.experiment, logger.experiment.get_run(logger.run_id)

    def files(folder=None):
        for file in client.list_artifacts(logger.run_id, folder):
            yield from files(file.path) if file.is_dir else [file.path]

    pictures = {file.rpartition("/")[0] for file in files() if file.endswith(".png")}
    return run.data.metrics, run.data.params, pictures


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:::(mlflow|wandb|sqlalchemy|alembic|pydantic)")
def test_every_logger_is_given_the_same_scalars_choices_and_pictures(logger, party_store, tmp_path):
    board = TensorBoardLogger(tmp_path / "board", name="", version="", default_hp_metric=False)
    table = CSVLogger(tmp_path, name="csv")
    callbacks = instantiate(load("train", "callbacks=dashboard").callbacks)
    trainer = quiet_trainer(
        max_epochs=1,
        logger=[board, table, logger],
        callbacks=list(callbacks.values()),
        log_every_n_steps=1,
    )
    data = FaceAudioDataModule(str(party_store), batch_size=8)
    task = build_for(data, "lowrank")
    log_hyperparameters(trainer, CHOSEN)
    trainer.fit(task, datamodule=data)
    trainer.test(task, datamodule=data, verbose=False)
    log_final_results(trainer, CHOSEN, ENDED)
    numbers, choices, pictures = known(logger)
    tags = events_of(tmp_path / "board").Tags()
    assert set(tags["scalars"]) == {
        key for key in numbers if "global_step" not in key and key[0] != "_"
    }
    with (tmp_path / "csv/version_0/metrics.csv").open() as file:
        assert set(next(csv.reader(file))) == {*tags["scalars"], "step"}
    assert (numbers["test/accuracy"], numbers["val/accuracy"]) == (0.125, 0.375)
    assert "parameters" not in numbers
    assert {key: str(value) for key, value in choices.items()} == {
        k: str(v) for k, v in CHOSEN.items()
    }
    assert pictures == set(tags["images"])
    if isinstance(logger, WandbLogger):
        logger.experiment.finish()
