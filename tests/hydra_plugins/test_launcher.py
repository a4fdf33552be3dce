"""Claims about sweeps whose jobs have several processes, fail, or are interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import fork_server
import pytest
import torch
from conftest import ROOT, SMALL_PARTY, results
from hydra.errors import CompactHydraException

from avfusion.threads import PARALLEL_JOBS_VARIABLE
from hydra_plugins.avfusion_launcher.job import Job, build_command, check_single_process
from hydra_plugins.avfusion_launcher.launcher import SubprocessLauncher
from hydra_plugins.avfusion_launcher.processes import JobProcesses, lock_folder

SMALL = (
    SMALL_PARTY,
    "model=audio_only",
    "model.network.audio_encoder.hidden_dim=16",
    "callbacks=minimal",
    "trainer=ddp",
    "trainer.accelerator=cpu",
    "trainer.max_epochs=1",
    "+callbacks.recorder._target_=rank_recorder.RankRecorder",
    "+callbacks.recorder.folder=${hydra:runtime.output_dir}/ranks",
)


def spied(folder: Path) -> list[dict]:
    """Return what the ranks of a job ended with."""
    files = sorted((folder / "ranks").glob("rank*.pt"))
    return [torch.load(file, weights_only=True) for file in files]


def equal_on_all_ranks(folder: Path) -> bool:
    first, *others = (rank["weights"] for rank in spied(folder))
    return all(torch.equal(first[k], other[k]) for other in others for k in first)


def jobs_of(sweep: Path) -> list[str]:
    return sorted(path.name for path in sweep.iterdir() if path.is_dir())


@pytest.mark.timeout(1500)
@pytest.mark.slow
def test_a_grid_of_jobs_with_one_and_two_processes_two_at_a_time(run, tmp_path):
    grid = ("trainer.devices=2,1", "seed=1,2", "hydra.launcher.n_jobs=2")
    run("train", "-m", *SMALL, *grid, f"hydra.sweep.dir={tmp_path}")
    names = [f"devices{ranks}_seed{seed}" for ranks in (1, 2) for seed in (1, 2)]
    assert jobs_of(tmp_path) == names
    for ranks, seed in [(2, 1), (2, 2), (1, 1), (1, 2)]:
        folder = tmp_path / f"devices{ranks}_seed{seed}"
        assert [rank["ranks"] for rank in spied(folder)] == [ranks] * ranks
        assert equal_on_all_ranks(folder)
        assert results(folder)["epochs"] == 1
        assert f"seed={seed}" in json.loads((folder / "job.json").read_text())["overrides"]
        assert "Test: accuracy" in (folder / "console.log").read_text()
    first, second = (spied(tmp_path / f"devices2_seed{seed}")[0]["weights"] for seed in (1, 2))
    assert not all(torch.equal(first[k], second[k]) for k in first)


@pytest.mark.timeout(1500)
@pytest.mark.slow
def test_jobs_that_fail_on_some_or_all_ranks_are_listed_and_the_others_go_on(run, tmp_path):
    crashes = "callbacks.recorder.crash=[0,1],[1],[]"
    options = ("trainer.devices=2", f"+{crashes}", f"hydra.sweep.dir={tmp_path}")
    process = run("train", "-m", *SMALL, *options, "hydra.launcher.timeout=400", fails=True)
    assert "2 of 3 jobs failed" in process.stderr and "Traceback" not in process.stderr[-500:]
    assert "Failed: #0" in process.stdout and "Failed: #1" in process.stdout
    names = ["crash0-1", "crash1", "crash-empty"]
    codes = [json.loads((tmp_path / name / "job.json").read_text())["exit_code"] for name in names]
    assert codes[0] and codes[1] and codes[2] == 0
    assert len(spied(tmp_path / names[2])) == 2 and equal_on_all_ranks(tmp_path / names[2])


@pytest.mark.slow
def test_an_interrupted_sweep_goes_on_where_it_was(run, tmp_path):
    sweep, held = tmp_path / "sweep", tmp_path / "held2"
    held.touch()
    command = [sys.executable, "src/train.py", "-m", *SMALL, "trainer.devices=1", "seed=1,2"]
    command += ["trainer.max_epochs=3", f"+callbacks.recorder.held={tmp_path}/held${{seed}}"]
    command += [f"hydra.sweep.dir={sweep}"]
    command.remove("trainer.max_epochs=1")
    environment = os.environ | {"AVFUSION_DATA": str(run.data), "PYTHONPATH": "tests", "CI": "true"}
    process = fork_server.Popen(command, cwd=ROOT, env=environment, start_new_session=True)
    checkpoint = sweep / "seed2" / "checkpoints" / "last.ckpt"
    while process.poll() is None and not checkpoint.exists():
        time.sleep(0.05)
    assert process.poll() is None
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(90) != 0
    finished = (sweep / "seed1" / "results.json").stat().st_mtime
    assert not (sweep / "seed2" / "results.json").exists()

    held.unlink()
    again = [*command[2:], "hydra.launcher.resume=true"]
    resumed = run("train", *again)
    assert "#0 : done already" in resumed.stdout
    assert (sweep / "seed1" / "results.json").stat().st_mtime == finished
    assert results(sweep / "seed2")["epochs"] == 3
    assert len(list((sweep / "seed2" / "csv").glob("version_*"))) == 2

    other = run("train", *again, "optimizer.lr=0.5", fails=True)
    assert "resume a sweep with its own overrides" in other.stderr


def test_a_job_gets_its_overrides_and_nothing_that_belongs_to_the_sweep(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["src/train.py", "-m", "--config-dir", "mine", "seed=1,2"])
    job = Job(3, ["seed=1"], tmp_path / "a b=c", None)
    hydra = ["hydra.launcher.n_jobs=2", "hydra.sweep.dir=x", "hydra.verbose=true"]
    command = build_command(job, [*hydra, "hydra/launcher=other", "hydra.mode=MULTIRUN"], False)
    assert command[1:] == [
        "src/train.py",
        "--config-dir",
        "mine",
        "seed=1",
        "hydra.verbose=true",
        "hydra.mode=RUN",
        f'hydra.run.dir="{tmp_path}/a b=c"',
        "hydra.job.num=3",
    ]


def test_an_unfinished_job_goes_on_from_its_last_checkpoint(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    job = Job(0, ["seed=1"], tmp_path, None)
    assert not any("ckpt_path" in part for part in build_command(job, [], resume=True))
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    assert f'ckpt_path="{tmp_path}"' in build_command(job, [], resume=True)
    assert not any("ckpt_path" in part for part in build_command(job, [], resume=False))


@pytest.mark.parametrize(
    ("variable", "value", "way"),
    [
        ("TORCHELASTIC_RUN_ID", "1", "trainer=ddp trainer.devices"),
        ("SLURM_STEP_NUM_TASKS", "4", "srun --ntasks=1"),
    ],
)
def test_a_sweep_in_each_of_several_processes_is_refused_with_the_way_that_works(
    monkeypatch, variable, value, way
):
    check_single_process()
    monkeypatch.setenv(variable, value)
    with pytest.raises(CompactHydraException, match=way):
        check_single_process()


def test_a_folder_in_which_a_job_still_runs_is_refused_until_it_has_ended(tmp_path):
    reader = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()"]
    with lock_folder(tmp_path) as lock:
        job = subprocess.Popen(
            reader, stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[lock.fileno()]
        )
    job.stdout.readline()
    with pytest.raises(CompactHydraException, match="is still running, left by a sweep that was"):
        JobProcesses(None, slots=2).run(["true"], tmp_path, None)
    job.communicate()
    assert JobProcesses(None, slots=2).run(["true"], tmp_path, None) == 0


def test_parallel_jobs_know_how_many_share_the_cores(tmp_path):
    code = f"import os, sys; sys.exit(int(os.environ[{PARALLEL_JOBS_VARIABLE!r}]))"
    for slots in (1, 3):
        assert JobProcesses(None, slots).run([sys.executable, "-c", code], tmp_path, None) == slots


def test_zero_parallel_jobs_are_refused():
    with pytest.raises(ValueError, match="n_jobs must be at least 1, got 0"):
        SubprocessLauncher(n_jobs=0)
