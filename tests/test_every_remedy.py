"""Every remedy of ``conf/remedy`` trains with every fusion, and alike in all processes."""

import os
import sys

import fork_server
import pytest
import torch
from conftest import CONF, MODELS, ROOT, load, quiet_trainer, save_teacher
from hydra.utils import instantiate

from avfusion.run import build
from avfusion.run.configuration import with_description
from avfusion.run.teacher import read_teacher

REMEDIES = sorted(path.stem for path in (CONF / "remedy").glob("*.yaml"))
UNIMODAL = ("audio_only", "face_only", "lenet", "seed2017")
FUSIONS = [model for model in MODELS if model not in UNIMODAL]
SMALL = ("model.network.audio_encoder.hidden_dim=32", "optimizer=momentum", "trainer=cpu")


@pytest.fixture(scope="module")
def teacher(party_store, tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    save_teacher(folder, party_store)
    return folder


def fit(store, teacher, model, remedy, *more):
    """Train for two steps as the program does, with the callbacks that the remedy adds."""
    data = ("data=store", f"data.store={store}", "data.batch_size=8", "callbacks=minimal")
    given = (*data, f"model={model}", *SMALL, *more)
    distilled = "distillation" in remedy
    cfg = load("train", *given, f"remedy={remedy}", *([f"distill_from={teacher}"] * distilled))
    added = [name for name in cfg.callbacks if name not in load("train", *given).callbacks]
    callbacks = [instantiate(cfg.callbacks[name]) for name in added]
    taught = read_teacher(cfg)
    data = build.build_data(cfg, "cpu", taught)
    task = build.build_task(with_description(cfg, data.description), data, None, taught)
    before = {name: value.clone() for name, value in task.named_parameters()}
    trainer = quiet_trainer(max_epochs=1, limit_train_batches=2, num_sanity_val_steps=0)
    trainer.callbacks += callbacks
    build.check_callbacks(trainer, task, data)
    trainer.fit(task, datamodule=data)
    still = [name for name, value in task.named_parameters() if torch.equal(before[name], value)]
    return task, trainer, still


@pytest.mark.slow
@pytest.mark.parametrize("remedy", REMEDIES)
@pytest.mark.parametrize("model", ["lowrank", "mcb", "bottleneck"])
def test_every_remedy_trains_a_fusion_of_vectors_and_of_tokens(model, remedy, party_store, teacher):
    _, trainer, still = fit(party_store, teacher, model, remedy)
    assert trainer.global_step == 2 and trainer.callback_metrics["val/loss"].isfinite()
    assert not {name for name in still if "encoder" in name}


@pytest.mark.slow
@pytest.mark.parametrize("remedy", [name for name in REMEDIES if name != "distillation"])
def test_every_remedy_trains_on_stored_features(remedy, mapped_store):
    stored = ("model/face_encoder=precomputed",)
    _, trainer, _ = fit(mapped_store, None, "lowrank", remedy, *stored)
    assert trainer.global_step == 2 and trainer.callback_metrics["val/loss"].isfinite()


@pytest.mark.slow
@pytest.mark.parametrize("model", FUSIONS)
def test_remedies_that_can_act_together_train_every_fusion(model, party_store, teacher):
    together = [name for name in REMEDIES if name not in ("none", "auxiliary_heads")]
    _, trainer, still = fit(party_store, teacher, model, f"[{','.join(together)}]")
    assert trainer.global_step == 2 and trainer.callback_metrics["val/loss"].isfinite()
    assert not {name for name in still if "encoder" in name}


def test_several_remedies_act_together(party_store, teacher):
    several = "[mixup,ema,ogm_ge,auxiliary_heads,balanced_sampling]"
    task, trainer, _ = fit(party_store, teacher, "lowrank", several)
    names = {type(callback).__name__ for callback in trainer.callbacks}
    assert {"EMA", "OGMGE"} <= names and list(task.remedies) == ["unimodal_heads"]
    assert trainer.datamodule.balanced == ("class",) and len(trainer.datamodule.augmentation) == 3


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_processes_that_train_with_a_remedy_agree(party_store, tmp_path):
    cases = [
        "lowrank+ogm_ge",
        "lowrank+gradient_blending+ema",
        "bottleneck+balanced_sampling+mixup",
    ]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["tests/ddp_models.py", str(party_store), str(tmp_path), *cases]
    environment = os.environ | {"PYTHONPATH": "src:tests", "OMP_NUM_THREADS": "1"}
    ended = fork_server.run(command, cwd=ROOT, env=environment)
    assert ended.returncode == 0, ended.stderr[-3000:]
    for case in cases:
        first, second = (
            torch.load(tmp_path / f"{case}_{rank}.pt", weights_only=True) for rank in range(2)
        )
        assert first["steps"] == second["steps"] == 2 and first["changed"], case
        differing = [
            name
            for name, value in first["weights"].items()
            if not torch.equal(value, second["weights"][name])
        ]
        assert differing == [], case
