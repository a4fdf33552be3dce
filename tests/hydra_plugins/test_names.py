"""Claims about the names of jobs: they say what differs, and any file system takes them."""

import itertools
import json
import random
import re
import signal
from pathlib import Path

import pytest
from conftest import CONF
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import CompactHydraException
from hydra.initialize import initialize_config_dir
from hydra.types import HydraContext, RunMode

from hydra_plugins.avfusion_launcher.names import MAX_NAME_LENGTH, name_jobs, name_trial
from hydra_plugins.avfusion_launcher.processes import JobProcesses


def grid(**values: list[str]) -> list[list[str]]:
    """The overrides of each job of a grid; a key's dots are written as two underscores."""
    keys = [key.replace("__", ".") for key in values]
    return [
        [f"{key}={value}" for key, value in zip(keys, some, strict=True)]
        for some in itertools.product(*values.values())
    ]


@pytest.mark.parametrize(
    ("jobs", "names"),
    [
        (
            grid(seed=["1", "2"], trainer__max_epochs=["3"], model=["lowrank", "concat"]),
            ["lowrank_seed1", "concat_seed1", "lowrank_seed2", "concat_seed2"],
        ),
        (grid(optimizer__lr=["1e-3", "0.01"]), ["lr1e-3", "lr0.01"]),
        (grid(seed=["8", "10"]), ["seed08", "seed10"]),
        (
            [["model/attention=mlb", "model=mfb"], ["model/attention=concat", "model=mfb"]],
            ["attention-mlb", "attention-concat"],
        ),
        (
            grid(optimizer__lr=["1", "2"], scheduler__lr=["3", "4"])[:2],
            ["lr3", "lr4"],  # only the second one differs between these two
        ),
        (
            [["a.lr=1", "b.lr=1"], ["a.lr=2", "b.lr=1"], ["a.lr=1", "b.lr=2"]],
            ["a.lr1_b.lr1", "a.lr2_b.lr1", "a.lr1_b.lr2"],
        ),
        ([["+fold=1"], ["+fold=2"], []], ["fold1", "fold2", "default"]),
        ([["~callbacks.timing"], ["callbacks.timing=null"]], ["timing-none", "timing-null"]),
        ([["model=lowrank", "seed=1", "trainer=cpu"]], ["lowrank_seed1"]),
        ([["trainer=cpu"]], ["default"]),
        ([["data.store=/data/stores/a b"], ["data.store=c"]], ["store-a-b", "store-c"]),
        (
            [["repairs=[]"], ["repairs=[layers,states,noise,gradients,softmax]"]],
            ["repairs-empty", "repairs-layers-state-ents-softmax-3ac96a"],
        ),
        ([["seed=1"], ["seed=1"]], None),
        ([["x=Adam"], ["x=adam"]], None),
        ([["x=a b"], ["x=a/b"], ["x=a=b"], ["x=\\'a,b\\'"]], None),
        ([[f"x={'long' * 30}{number}"] for number in range(3)], None),
        ([["x=.."], ["x=."], ["x="], ["x=ä"], ["x=-1"], ["x=CON"]], None),
        (grid(**{f"key{n}": ["some_value", "another"] for n in range(9)}), None),
    ],
)
def test_jobs_are_named_by_what_differs_in_names_for_any_file_system(jobs, names):
    found = name_jobs(jobs)
    if names is not None:
        assert found == names
    assert len({name.casefold() for name in found}) == len(jobs)
    for name in found:
        assert (
            re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", name) and len(name) <= MAX_NAME_LENGTH + 3
        )
        assert not name.endswith(".")
    assert name_jobs(jobs) == found


def test_names_do_not_depend_on_the_order_of_the_jobs():
    jobs = grid(model=["lowrank", "concat"], optimizer__lr=["[a, b]", "[a; b]", "x" * 99])
    expected = dict(zip(map(tuple, jobs), name_jobs(jobs), strict=True))
    shuffled = random.Random(0).sample(jobs, len(jobs))
    assert dict(zip(map(tuple, shuffled), name_jobs(shuffled), strict=True)) == expected


def test_names_sort_as_their_numbers_do():
    jobs = grid(model=["lowrank"], seed=[str(seed) for seed in range(1, 121)])
    assert sorted(name_jobs(jobs)) == name_jobs(jobs)
    trials = [name_trial(number) for number in (0, 7, 70, 700)]
    assert trials == sorted(trials) and trials[1] == "trial_0007"


class Jobs:
    """What takes the place of the processes of jobs."""

    def __init__(self) -> None:
        self.started: list[str] = []
        self.code = 0

    def run(self, processes, command, folder, *_) -> int:
        self.started.append(folder.name)
        assert f'hydra.run.dir="{folder}"' in command
        return self.code


@pytest.fixture
def jobs(monkeypatch):
    jobs = Jobs()
    monkeypatch.setattr(JobProcesses, "run", lambda *arguments: jobs.run(*arguments))
    monkeypatch.setattr("hydra_plugins.avfusion_launcher.launcher.configure_log", lambda *_: None)
    before = signal.getsignal(signal.SIGTERM)
    yield jobs
    signal.signal(signal.SIGTERM, before)


def sweep(folder: Path, *overrides: str) -> None:
    """Sweep as the command line would."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        given = [f"hydra.sweep.dir={folder}", *overrides]
        config = loader.load_configuration("train", given, RunMode.MULTIRUN)
        sweeper = Plugins.instance().instantiate_sweeper(
            hydra_context=HydraContext(loader, Callbacks()), task_function=print, config=config
        )
        sweeper.sweep(config.hydra.overrides.task)


GRID = ("model=lowrank,concat", "seed=1,2", "trainer=cpu")
NAMES = ["lowrank_seed1", "lowrank_seed2", "concat_seed1", "concat_seed2"]


def test_each_job_of_a_sweep_has_a_folder_of_its_name(tmp_path, jobs):
    sweep(tmp_path, *GRID)
    assert jobs.started == NAMES
    for name in NAMES:
        model, seed = name.split("_seed")
        kept = json.loads((tmp_path / name / "job.json").read_text())["overrides"]
        assert sorted(kept) == [f"model={model}", f"seed={seed}", "trainer=cpu"]


@pytest.mark.slow
def test_a_sweep_that_is_resumed_finds_its_jobs_and_may_have_more_of_them(tmp_path, jobs):
    sweep(tmp_path, "model=lowrank", "seed=8,9")
    assert jobs.started == ["seed8", "seed9"]
    again = ("hydra.launcher.resume=true", f"hydra.sweep.dir={tmp_path}")
    sweep(tmp_path, "model=lowrank", "seed=8,9", *again)
    assert jobs.started == ["seed8", "seed9"]
    sweep(tmp_path, "model=lowrank", "seed=8,9,10", *again)  # 8 would be seed08 now
    assert jobs.started == ["seed8", "seed9", "seed10"]


def test_an_older_sweep_whose_folders_are_numbered_goes_on_there(tmp_path, jobs):
    for number in range(2):
        kept = {"overrides": [f"seed={number + 1}"], "exit_code": number}
        (tmp_path / str(number)).mkdir()
        (tmp_path / str(number) / "job.json").write_text(json.dumps(kept))
    sweep(tmp_path, "seed=1,2,3", "hydra.launcher.resume=true")
    assert jobs.started == ["1", "seed3"]


@pytest.mark.slow
def test_two_jobs_with_the_same_overrides_resume_separately(tmp_path, jobs):
    sweep(tmp_path, "seed=1,1")
    assert len(set(jobs.started)) == 2
    sweep(tmp_path, "seed=1,1", "hydra.launcher.resume=true")
    assert len(jobs.started) == 2


@pytest.mark.slow
def test_a_failed_job_is_run_again_in_its_folder(tmp_path, jobs):
    jobs.code = 1
    with pytest.raises(CompactHydraException, match="2 of 2 jobs failed"):
        sweep(tmp_path, "seed=1,2")
    jobs.code = 0
    sweep(tmp_path, "seed=1,2", "hydra.launcher.resume=true")
    assert jobs.started == ["seed1", "seed2"] * 2


def test_a_folder_that_the_user_names_is_taken_as_it_is(tmp_path, jobs):
    sweep(tmp_path, "seed=1,2", "hydra.sweep.subdir=mine/${seed}_${hydra.job.num}")
    assert sorted(path.parent.name for path in tmp_path.glob("mine/*/job.json")) == ["1_0", "2_1"]


@pytest.mark.slow
def test_trials_of_a_search_are_numbered(tmp_path, jobs):
    jobs.code = 1
    with pytest.raises(CompactHydraException, match="2 of 2 trials failed"):
        sweep(tmp_path, "sweep=optuna", "hydra.sweeper.n_trials=2", "callbacks.pruning=null")
    assert jobs.started == ["trial_0000", "trial_0001"]
