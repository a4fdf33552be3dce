"""Every model can be diagnosed, whatever its target, and over folds."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from conftest import MODELS, build_task, load, quiet_trainer
from omegaconf import OmegaConf

from avfusion.callbacks import SavePredictions
from avfusion.callbacks.save_predictions import predict_validation
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.diagnostics.class_predictions import has_classes
from avfusion.evaluation.predictions import load_predictions
from avfusion.evaluation.runs import find_runs
from avfusion.run.diagnosis import diagnose, gather_settings, make_measurements
from avfusion.run.results import describe_plan
from avfusion.run.streams import find_streams

FEW = {
    "contribution": {"clips": 4},
    "attention": {"clips": 4},
    "robustness": {"clips": 4, "corruptions": ["clipping", "blur"]},
}  # of the clips, and of what takes long
OPTIONS = {"seed2017": ("loss=nll", "model.network.num_layers=2")}  # of 49, for speed
ONE_MODALITY = ("audio_only", "face_only", "lenet")


def write_tested_run(
    folder: Path, store: Path, model: str, *overrides: str, validated: bool = False, **data: object
) -> Path:
    """Write what the training of an untrained network leaves once it is tested."""
    given = (f"data.{key}={value}" for key, value in data.items())
    options = ("data=store", f"data.store={store}", "data.batch_size=8", *given, *overrides)
    cfg = load("train", f"model={model}", *options)
    plain = {"target": None, "augmentation": None, "cache": None, "seed": 0}
    chosen = OmegaConf.to_container(cfg.data) | plain
    chosen = {key: value for key, value in chosen.items() if not key.startswith("_")}
    module = FaceAudioDataModule(**chosen, streams=find_streams(cfg.model))
    task = build_task(cfg, module.description, recorded=True)
    recipe = task.recipe.plain() | {"data": OmegaConf.to_container(cfg.data, resolve=True)}
    recipe["target"] = {
        "_target_": f"{type(task.target).__module__}.{type(task.target).__qualname__}",
        "_partial_": True,
    }
    checkpoints = folder / "checkpoints"
    checkpoints.mkdir(parents=True)
    checkpoint = {"state_dict": task.state_dict(), "recipe": recipe}
    torch.save(checkpoint, checkpoints / "best.ckpt")

    trainer = quiet_trainer(callbacks=[SavePredictions(str(folder))])
    (results,) = trainer.test(task, datamodule=module, verbose=False)
    if validated:
        predict_validation(trainer, task, module)
    splits = module.splits
    plan = describe_plan(splits)
    (folder / "results.json").write_text(json.dumps(results | {"data/split": "test"} | plan))
    config = {"model": model, "seed": cfg.seed, "data": {"fold": data.get("fold")}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder


def diagnosed(folder: Path, *overrides: str):
    """Diagnose the runs of a folder by the sections of a configuration."""
    options = (
        "trainer.accelerator=cpu",
        f"trainer.default_root_dir={folder}",
        "callbacks.progress=null",
    )
    cfg = load("diagnose", f"ckpt_path={folder}", *options, *overrides)
    few = {name: own for name, own in FEW.items() if name in cfg.diagnostics}
    cfg.diagnostics = OmegaConf.merge(cfg.diagnostics, few)
    (evidence,) = gather_settings(find_runs([str(folder)]))
    return diagnose(evidence, make_measurements(cfg.diagnostics), cfg)


def check_sections(found):
    """Each section has measured something, or says in a sentence why not."""
    assert set(found.sections) == {*load("diagnose", "ckpt_path=x").diagnostics}
    for section in found.sections.values():
        assert section.summary
        assert all(np.isfinite(value) for value in section.numbers.values())


QUICK = ("lowrank", "audio_only")  # the others take two seconds each
EVERY = [pytest.param(m, marks=[] if m in QUICK else [pytest.mark.slow]) for m in MODELS]


@pytest.mark.parametrize("model", EVERY)
def test_is_diagnosed(model, recordings_store, tmp_path):
    run = write_tested_run(tmp_path / "run", recordings_store, model, *OPTIONS.get(model, ()))
    found = diagnosed(run)
    check_sections(found)
    numbers = found.sections["subsets"].numbers
    accuracy = load_predictions(run).correct.mean()
    whole = next(key for key in numbers if key.endswith("/accuracy"))
    assert numbers[whole] == pytest.approx(accuracy)
    says = found.sections["contribution"].summary
    assert says.startswith("Not measured: This network reads") == (model in ONE_MODALITY)
    assert (run / "checkpoints" / "temperature.json").is_file()


@pytest.mark.parametrize("kind", [pytest.param("several", marks=pytest.mark.slow), "number"])
def test_other_targets_are_diagnosed_as_far_as_they_go(kind, request, tmp_path):
    store = request.getfixturevalue(f"{kind}_store")
    options = {"several": ["loss=bce"], "number": ["loss=mse", "monitor=val/ccc"]}[kind]
    found = diagnosed(write_tested_run(tmp_path / "run", store, "lowrank", *options))
    check_sections(found)
    assert {"deletion/between", "entropy"} <= set(found.sections["attention"].numbers)
    shapley = found.sections["contribution"].numbers
    if kind == "number":
        assert "shapley/ccc/face" in shapley and "mispaired/face" not in shapley
        for name in ("calibration", "selective"):
            assert "which have no probabilities" in found.sections[name].summary
        assert any("no label" in note for note in found.sections["contribution"].notes)
    else:
        shares = [shapley[f"mispaired/{side}"] for side in ("face", "voice", "neither")]
        assert sum(shares) == pytest.approx(1)


@pytest.mark.slow
def test_streams_of_encoders_are_taken_away_as_others(mapped_store, tmp_path):
    part = "model/face_encoder=precomputed"
    check_sections(diagnosed(write_tested_run(tmp_path / "run", mapped_store, "concat", part)))


@pytest.mark.slow
def test_folds_and_seeds_are_pooled(recordings_store, tmp_path):
    for seed in (1, 2):
        for fold in range(3):
            folder = tmp_path / f"seed{seed}_fold{fold}"
            options = {"splits": "{folds: 3}", "fold": fold}
            write_tested_run(folder, recordings_store, "concat", f"seed={seed}", **options)
    found = diagnosed(tmp_path)
    check_sections(found)
    assert (found.clips, found.subjects) == (24, 6)
    each = [load_predictions(run.folder).correct for run in find_runs([str(tmp_path)])]
    accuracy = found.sections["subsets"].numbers["network/both/accuracy"]
    assert accuracy == pytest.approx(np.concatenate(each).mean())
    (evidence,) = gather_settings(find_runs([str(tmp_path)]))
    assert has_classes(evidence.target) and evidence.outputs.shape == (2, 24, 2)
    assert [*evidence.clip_ids] == sorted(evidence.clip_ids)


@pytest.mark.slow
def test_a_temperature_that_has_seen_the_test_clips_says_so(recordings_store, tmp_path):
    plan = {"splits": "{folds: 3}", "fold": 0, "validation": "test"}
    found = diagnosed(write_tested_run(tmp_path / "run", recordings_store, "concat", **plan))
    assert any("data.validation=test" in note for note in found.sections["calibration"].notes)


def test_the_temperature_of_kept_validation_predictions_is_that_of_a_forward_pass(
    recordings_store, tmp_path
):
    only = ("diagnostics=quick", "diagnostics.selective=null", "diagnostics.groups=null")
    found = []
    for validated in (False, True):
        folder = tmp_path / str(validated)
        torch.manual_seed(0)
        run = write_tested_run(folder, recordings_store, "concat", validated=validated)
        numbers = diagnosed(run, *only).sections["calibration"].numbers
        found.append(numbers["temperature"])
        (run / "checkpoints" / "temperature.json").unlink()
    assert found[0] == pytest.approx(found[1], rel=1e-3)

    torch.save({}, run / "checkpoints" / "best.ckpt")  # which is no network, and is not read
    numbers = diagnosed(run, *only).sections["calibration"].numbers
    assert numbers["temperature"] == found[1]


def test_without_the_store_predictions_are_enough_for_the_rest(recordings_store, tmp_path):
    run = write_tested_run(tmp_path / "run", recordings_store, "concat")
    (run / "checkpoints" / "best.ckpt").unlink()
    found = diagnosed(run)
    for name in ("subsets", "contribution", "attention"):
        assert found.sections[name].summary.startswith(
            "Not measured: This needs forward passes: No"
        )
    assert {"ece", "nll"} <= set(found.sections["calibration"].numbers)
    assert any("No temperature was fitted" in note for note in found.sections["calibration"].notes)
