"""What is wrong is refused before any work, and nothing else is."""

import pytest
from conftest import CONF, MODELS, load, quiet_trainer
from omegaconf import OmegaConf

from avfusion.run import checks
from avfusion.run.checks import check_devices, check_model, check_training
from avfusion.run.start import read_start_checkpoint


@pytest.mark.parametrize("key", ["ckpt_path", "init_from"])
def test_a_missing_checkpoint_is_refused_before_any_work(key, tmp_path):
    with pytest.raises(FileNotFoundError, match="give the folder of a run"):
        read_start_checkpoint(load("train", f"{key}={tmp_path}/none"))


@pytest.mark.parametrize("seed", ["null", "-1", "1.5"])
def test_a_seed_that_is_no_whole_number_is_refused(seed):
    with pytest.raises(ValueError, match="seed must be a whole number"):
        check_training(load("train", f"seed={seed}"))


@pytest.mark.parametrize("model", MODELS)
def test_every_model_passes_before_its_data_is_known(model):
    cfg = load("train", f"model={model}")
    check_training(cfg)
    check_model(cfg)


@pytest.mark.slow
@pytest.mark.parametrize("group", ["trainer", "experiment", "optimizer", "scheduler", "callbacks"])
def test_every_choice_of_a_training_passes(group):
    for path in sorted((CONF / group).glob("*.yaml")):
        cfg = load("train", f"{group}={path.stem}")
        for key in OmegaConf.missing_keys(cfg.data):
            OmegaConf.update(cfg, key, "given")
        check_training(cfg)
        check_model(cfg)


@pytest.mark.parametrize("weights", ["null", "balanced", "[1, 2, 1.5]"])
def test_weights_of_classes_that_are_not_known_yet_pass(weights):
    check_model(load("train", "model=audio_only", f"loss.weights={weights}"))


def test_a_layer_with_a_width_of_zero_is_named():
    widths = "model.network.face_encoder.widths=[0, 64]"
    with pytest.raises(
        ValueError, match=r"model\.network\.face_encoder\.layers\.2 .*shape \(0, 12"
    ):
        check_model(load("train", widths))


def test_a_monitor_of_any_callback_must_be_a_metric():
    check_training(load("train", "callbacks.early_stopping.monitor=train/accuracy"))
    early = (
        "+callbacks.early={_target_: lightning.pytorch.callbacks.EarlyStopping, monitor: val/los}"
    )
    with pytest.raises(ValueError, match=r"callbacks\.early\.monitor=val/los is no metric"):
        check_training(load("train", early))


def test_the_cpu_takes_as_many_processes_as_it_has_cores(monkeypatch):
    monkeypatch.setattr(checks, "count_allowed_cores", lambda: 1)
    check_devices(quiet_trainer())
    two = quiet_trainer()
    monkeypatch.setattr(type(two), "num_devices", 2)
    with pytest.raises(ValueError, match=r"trainer\.devices=2 is more than the 1 cores"):
        check_devices(two)
