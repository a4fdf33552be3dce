"""Claims about sweeps over all folds, and the table at their end."""

import pytest
from conftest import CONF, load
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

from avfusion.run.sweep_values import list_folds

from ..evaluation.pooled_runs import write_sweep


def params_of(*overrides, sweep=("sweep=folds",)):
    """The values that a sweep over folds takes."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", [*sweep, *overrides], return_hydra_config=True)
    return dict(cfg.hydra.sweeper.params)


@pytest.mark.parametrize(
    ("overrides", "folds"),
    [
        (["data/protocol=luna_jimenez_5"], "0,1,2,3,4"),
        (["data/protocol=hicmae_6"], "0,1,2,3,4,5"),
        (["data/protocol=subject_k", "data.protocol.folds=3"], "0,1,2"),
        (["data/protocol=session_5"], "0,1,2,3,4"),
        (["data.splits={folds: 4}"], "0,1,2,3"),
        (["data/protocol=leave_one_subject_out"], "null"),
        (["data/protocol=official"], "null"),
        ([], "null"),
    ],
)
def test_a_sweep_over_folds_takes_all_of_its_plan(overrides, folds):
    assert params_of(*overrides) == {"data.fold": folds, "seed": "1,2,3"}


@pytest.mark.parametrize(
    ("modalities", "models"),
    [
        ("both", "concat,lowrank,audio_only,face_only"),
        ("audio", "audio_only"),
        ("face", "face_only"),
    ],
)
def test_of_one_modality_only_its_own_network_is_compared(modalities, models):
    params = params_of("experiment=savee", f"data.corpus.modalities={modalities}", sweep=())
    assert params == {"data.fold": "0,1,2,3", "seed": "1,2,3", "model": models}


def test_without_data_there_are_no_folds():
    assert list_folds(OmegaConf.create({})) == "null"


def test_cross_validation_is_by_subject_with_any_model_and_other_folds_on_request():
    cfg = load("train", "experiment=cross_validation")
    assert cfg.data.protocol.name == "subject_5" and "predictions" in cfg.callbacks
    other = load("train", "experiment=cross_validation", "data.protocol=hicmae_6")
    assert other.data.protocol.name == "hicmae_6"


def test_the_table_is_printed_and_written_at_the_end_of_a_sweep(tmp_path, capsys):
    write_sweep(tmp_path, {"lowrank": 0.8, "concat": 0.6}, seeds=(1, 2))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(
            "train", ["sweep=folds", f"hydra.sweep.dir={tmp_path}"], return_hydra_config=True
        )
    table = instantiate(cfg.hydra.callbacks.pooled_table, baselines=False, ensemble="logits")
    table.on_multirun_end(cfg)
    said = capsys.readouterr().out
    assert "48 clips of 6 subjects in 3 folds" in said and "mean of 2 logits" in said
    assert {"pooled.md", "pooled.tex", "pooled.csv", "pooled.svg"} <= {
        path.name for path in tmp_path.iterdir()
    }
