"""Claims about searches as people start them, whose trials may have several processes."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import fork_server
import optuna
import pytest
import torch
from conftest import ROOT, SMALL_PARTY, results

from hydra_plugins.avfusion_launcher.names import name_trial

pytestmark = pytest.mark.slow
SMALL = (
    SMALL_PARTY,
    "model=audio_only",
    "model.network.audio_encoder.hidden_dim=16",
    "callbacks=minimal",
    "trainer=ddp",
    "trainer.accelerator=cpu",
    "sweep=optuna",
    "callbacks.pruning.pruner._target_=alternate_pruner.AlternatePruner",
    "+callbacks.recorder._target_=rank_recorder.RankRecorder",
    "+callbacks.recorder.folder=${hydra:runtime.output_dir}/ranks",
)


def study(sweep: Path) -> optuna.Study:
    return optuna.load_study(study_name="sweep", storage=f"sqlite:///{sweep}/optuna.db")


def states(sweep: Path) -> list[str]:
    return [trial.state.name for trial in study(sweep).trials]


@pytest.mark.timeout(1500)
def test_trials_of_two_processes_have_one_setting_each_and_are_pruned_together(run, tmp_path):
    options = ("trainer.devices=2", "trainer.max_epochs=2", "hydra.sweeper.n_trials=2")
    run("train", "-m", *SMALL, *options, f"hydra.sweep.dir={tmp_path}")
    assert states(tmp_path) == ["COMPLETE", "PRUNED"]
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == [
        "trial_0000",
        "trial_0001",
    ]
    for trial in study(tmp_path).trials:
        folder = tmp_path / name_trial(trial.number)
        files = sorted((folder / "ranks").glob("rank*.pt"))
        first, second = (torch.load(file, weights_only=True)["weights"] for file in files)
        assert all(torch.equal(first[key], second[key]) for key in first)
        found, pruned = results(folder), trial.state.name == "PRUNED"
        assert found["epochs"] == len(trial.intermediate_values) == (1 if pruned else 2)
        assert found.get("pruned", False) == pruned == ("test/accuracy" not in found)
        told = json.loads((folder / "job.json").read_text())
        assert f"optimizer.lr={trial.params['optimizer.lr']}" in told["overrides"]
    assert study(tmp_path).best_value == results(tmp_path / "trial_0000")["score"]
    command = [sys.executable, "src/summarize.py", str(tmp_path)]
    summary = fork_server.run(command, cwd=ROOT)
    assert summary.returncode == 0 and summary.stderr.strip() == f"Pruned: {tmp_path}/trial_0001"


@pytest.mark.skipif(
    not list(Path("/proc/self/task").glob("*/children")), reason="looks for children in /proc"
)
def test_a_killed_search_goes_on_to_its_number_of_trials_once_its_job_has_ended(run, tmp_path):
    sweep, held = tmp_path / "sweep", tmp_path / "held1"
    held.touch()
    hold = f"+callbacks.recorder.held={tmp_path}/held${{hydra:job.num}}"
    options = ("trainer.devices=1", "trainer.max_epochs=2", hold)
    command = ["-m", *SMALL, *options, "hydra.sweeper.n_trials=3", f"hydra.sweep.dir={sweep}"]
    command = [*(c for c in command if "pruner" not in c), "callbacks.pruning=null"]
    environment = os.environ | {"AVFUSION_DATA": str(run.data), "PYTHONPATH": "tests", "CI": "true"}
    process = fork_server.Popen(
        [sys.executable, "src/train.py", *command], cwd=ROOT, env=environment
    )
    checkpoint = sweep / "trial_0001" / "checkpoints" / "last.ckpt"
    while process.poll() is None and not checkpoint.exists():
        time.sleep(0.05)
    assert process.poll() is None
    threads = Path(f"/proc/{process.pid}/task").glob("*/children")
    children = {int(pid) for thread in threads for pid in thread.read_text().split()}
    (job,) = (pid for pid in children if os.getsid(pid) == pid)
    os.killpg(job, signal.SIGSTOP)
    process.kill()
    process.wait()
    assert states(sweep) == ["COMPLETE", "RUNNING"]
    proposed = study(sweep).trials[1].params

    again = [*command, "hydra.launcher.resume=true"]
    refused = run("train", *again, fails=True)
    assert f"The job in {sweep}/trial_0001 is still running" in refused.stderr
    os.killpg(job, signal.SIGKILL)
    held.unlink()
    resumed = run("train", *again)
    assert states(sweep) == ["COMPLETE"] * 3
    assert study(sweep).trials[1].params == proposed
    assert results(sweep / "trial_0001")["epochs"] == 2
    assert len(list((sweep / "trial_0001" / "csv").glob("version_*"))) == 2  # it went on
    assert "#1 : " in resumed.stdout and "#0 : " not in resumed.stdout
