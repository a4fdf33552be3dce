"""Claims about searches: what is proposed, what is remembered, and what is refused."""

import json
import re
import signal
from pathlib import Path

import optuna
import pytest
import yaml
from conftest import CONF
from hydra._internal.callbacks import Callbacks
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.errors import CompactHydraException
from hydra.initialize import initialize_config_dir
from hydra.types import HydraContext, RunMode
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from avfusion.run.errors import format_error, list_input_errors
from hydra_plugins.avfusion_launcher.names import name_trial
from hydra_plugins.avfusion_launcher.processes import JobProcesses
from hydra_plugins.avfusion_optuna import _space

DEFAULT = {"optimizer.lr", "optimizer.weight_decay", "model.network.head.dropout"}
FEW = ("hydra.sweeper.n_trials=4", "+hydra.sweeper.sampler.n_startup_trials=2")


class Jobs:
    """What takes the place of the processes of jobs: its score is the learning rate."""

    def __init__(self) -> None:
        self.started: list[Path] = []
        self.fails: set[str] = set()
        self.pruned: set[str] = set()
        self.interrupted: str | None = None

    def run(self, processes, command, folder, *_) -> int:
        self.started.append(folder)
        if folder.name == self.interrupted:
            raise KeyboardInterrupt
        if folder.name in self.fails:
            return 7
        given = dict(part.split("=", 1) for part in command if part.startswith("optimizer.lr"))
        results = {"score": float(given["optimizer.lr"])}
        if folds := [part for part in command if part.startswith("data.validation=")]:
            results["score"] += float(folds[0].partition("=")[2])
        if folder.name in self.pruned:
            results["pruned"] = True
        (folder / "results.json").write_text(json.dumps(results))
        return 0


@pytest.fixture
def jobs(monkeypatch):
    jobs = Jobs()
    monkeypatch.setattr(JobProcesses, "run", lambda *arguments: jobs.run(*arguments))
    monkeypatch.setattr("hydra_plugins.avfusion_launcher.launcher.configure_log", lambda *_: None)
    before = signal.getsignal(signal.SIGTERM)
    yield jobs
    signal.signal(signal.SIGTERM, before)


def search(folder: Path, *overrides: str) -> None:
    """Sweep as the command line would."""
    given = [f"hydra.sweep.dir={folder}", "sweep=optuna", *FEW, *overrides]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        hydra = GlobalHydra.instance().hydra
        config = hydra.compose_config("train", given, RunMode.MULTIRUN)
        context = HydraContext(hydra.config_loader, Callbacks())
        sweeper = Plugins.instance().instantiate_sweeper(
            config=config, hydra_context=context, task_function=lambda _: None
        )
        sweeper.sweep(list(config.hydra.overrides.task))


def trials(folder: Path) -> list[optuna.trial.FrozenTrial]:
    return optuna.load_study(study_name="sweep", storage=f"sqlite:///{folder}/optuna.db").trials


def proposed(folder: Path) -> list[dict]:
    return [trial.params for trial in trials(folder)]


def states(folder: Path) -> list[str]:
    return [trial.state.name for trial in trials(folder)]


def read(*arguments: str, **space: str) -> tuple[list[str], dict]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return _space.read_space(space, arguments, GlobalHydra.instance().config_loader())


@pytest.mark.parametrize(
    ("sweep", "drawn"),
    [
        ("choice(128, 256)", CategoricalDistribution([128, 256])),
        ("lowrank,concat", CategoricalDistribution(["lowrank", "concat"])),
        ("true,null,[1, 2]", CategoricalDistribution([True, "null", "[1,2]"])),
        ("interval(0, 1)", FloatDistribution(0.0, 1.0)),
        ("tag(log, interval(1e-4, 1e-2))", FloatDistribution(1e-4, 1e-2, log=True)),
        ("int(interval(1, 8))", IntDistribution(1, 8)),
        ("tag(log, int(interval(1, 64)))", IntDistribution(1, 64, log=True)),
        ("range(1, 8)", IntDistribution(1, 7)),
        ("range(100, 500, 150)", IntDistribution(100, 400, step=150)),
        ("range(0, 1, 0.25)", FloatDistribution(0.0, 0.75, step=0.25)),
    ],
)
def test_sweeps_in_the_grammar_of_hydra_become_distributions(sweep, drawn):
    assert read(f"key={sweep}") == ([], {"key": drawn})
    assert read(key=sweep) == ([], {"key": drawn})


def test_every_value_reaches_a_job_as_it_was_written():
    _, space = read("key='a b',\"it's\",null,1e-5,[1, {x: 'y,z'}]")
    values = [_space.format_overrides({"key": value})[0] for value in space["key"].choices]
    parsed = [read(value, "other=1,2")[0] for value in values]
    assert parsed == [[value] for value in values]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        told = [
            loader.load_configuration("train", [f"+{value}"], RunMode.RUN).key for value in values
        ]
    assert told == ["a b", "it's", None, 1e-5, [1, {"x": "y,z"}]]


def test_search_space_on_the_command_line_overrides_the_configuration():
    shared, space = read(
        "a=3", "seed=1", "b=1,2", "+d=range(0, 3)", a="interval(0, 1)", b="choice(5, 6)", c="x,y"
    )
    assert sorted(shared) == ["a=3", "seed=1"]
    assert space == {
        "b": CategoricalDistribution([1, 2]),
        "c": CategoricalDistribution(["x", "y"]),
        "+d": IntDistribution(0, 2),
    }


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("optimizer.lr=interval(1, 0.1)", "optimizer.lr would be searched from 1.0 to 0.1"),
        ("optimizer.lr=interval(1, 1)", "the first must be the smaller one"),
        ("optimizer.lr=range(5, 5)", "optimizer.lr would be searched from 5 to 5"),
        ("optimizer.lr=tag(log, interval(0, 1))", "in the logarithm from 0.0"),
        ("optimizer.lr=tag(log, range(2, 9, 2))", "in steps of 2"),
        ("optimizer.lr=tag(lgo, interval(1, 2))", "has the tag lgo: the only one is log"),
        ("optimizer.rate=interval(1, 2)", r"There is no optimizer\.rate"),
        ("model=lowrank,lowrnk", "There is no model=lowrnk: did you mean lowrank"),
        ("monitor=val/f1", "monitor=val/f1 is no metric of this run"),
        ("monitor=train/accuracy", r"monitor=train/accuracy .* callbacks\.pruning=null"),
        ("+callbacks.pruning.pruner.patience=1", r"takes no callbacks\.pruning\.pruner\.patience"),
        ("+hydra.sweeper.sampler.patience=1", "unexpected keyword argument 'patience'"),
        ("+hydra.sweeper.space.seed=7", "space: seed=7 is no sweep: write choice"),
        ("+hydra.sweeper.space.seed={low: 1, high: 2}", "space: seed=.*is no sweep: write choice"),
        ("hydra.sweeper.space=null", "There is nothing to search: sweep over a key, such as"),
        ("hydra.sweeper.n_trials=0", "n_trials must be a whole number of at least 1, got 0"),
        ("hydra.sweeper.n_trials=few", "n_trials must be a whole number of at least 1, got few"),
        ("hydra.sweeper.seed=-1", "seed must be a whole number of at least 0, got -1"),
        ("hydra/launcher=basic", "leave hydra/launcher=subprocess"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_a_sentence_before_any_work(
    tmp_path, jobs, override, sentence
):
    with pytest.raises(list_input_errors()) as refusal:
        search(tmp_path / "sweep", override)
    assert re.search(sentence, format_error(refusal.value))
    assert not jobs.started and not (tmp_path / "sweep").exists()


def test_a_folder_that_cannot_be_written_is_refused(tmp_path, jobs):
    (tmp_path / "file").touch()
    with pytest.raises(CompactHydraException, match=r"optuna.db cannot be written \(Not a dir"):
        search(tmp_path / "file" / "sweep")
    assert not jobs.started


@pytest.mark.slow
def test_one_seed_proposes_the_same_in_every_sweep_and_another_seed_something_else(tmp_path, jobs):
    for name, seed in (("first", 1), ("second", 1), ("third", 2)):
        search(tmp_path / name, f"hydra.sweeper.seed={seed}")
    first, second, third = (proposed(tmp_path / name) for name in ("first", "second", "third"))
    assert first == second and len(first) == 4 and set(first[0]) == DEFAULT
    rates = [trial["optimizer.lr"] for trial in first + third]
    assert len(set(rates)) == 8 and all(1e-4 <= rate <= 1e-2 for rate in rates)


@pytest.mark.slow
def test_a_job_gets_its_values_and_its_trial_number(tmp_path, jobs):
    search(tmp_path, "model=concat", "optimizer.lr=3e-3,4e-3", "optimizer.weight_decay=0.5")
    for number, values in enumerate(proposed(tmp_path)):
        told = json.loads((tmp_path / name_trial(number) / "job.json").read_text())["overrides"]
        assert set(values) == {"optimizer.lr", "model.network.head.dropout"}
        assert set(told) == {
            "sweep=optuna",
            "model=concat",
            "optimizer.weight_decay=0.5",
            *(f"{key}={value}" for key, value in values.items()),
            f'callbacks.pruning.study="{tmp_path}/optuna.db"',
            f"callbacks.pruning.trial={number}",
        }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("monitor", "mode", "best"), [("accuracy", "max", max), ("loss", "min", min)]
)
def test_the_best_trial_is_written_as_the_mode_of_the_monitor_says(
    tmp_path, jobs, monitor, mode, best
):
    search(tmp_path, f"monitor=val/{monitor}", f"mode={mode}", "callbacks.pruning=null")
    found = yaml.safe_load((tmp_path / "optimization_results.yaml").read_text())
    rates = [values["optimizer.lr"] for values in proposed(tmp_path)]
    assert found["best_value"] == best(rates) == found["best_params"]["optimizer.lr"]
    assert found["best_number"] == rates.index(best(rates))
    assert "callbacks.pruning.trial" not in (tmp_path / "trial_0000" / "job.json").read_text()


@pytest.mark.slow
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_interrupted_search_goes_on_with_the_trials_that_remain(tmp_path, jobs, n_jobs):
    options = (f"hydra.launcher.n_jobs={n_jobs}", "hydra.sweeper.n_trials=6")
    search(tmp_path / "whole", *options)
    jobs.interrupted = "trial_0004"
    with pytest.raises(SystemExit):
        search(tmp_path / "cut", *options)
    left = states(tmp_path / "cut")
    assert left[:4] == ["COMPLETE"] * 4 and left[4:] == ["RUNNING"] * n_jobs
    jobs.interrupted, jobs.started = None, []
    search(tmp_path / "cut", *options, "hydra.launcher.resume=true")
    assert {path.name for path in jobs.started} <= {
        "trial_0004",
        "trial_0005",
    }  # 5 may have ended beside 4
    assert states(tmp_path / "cut") == ["COMPLETE"] * 6
    assert proposed(tmp_path / "cut") == proposed(tmp_path / "whole")


@pytest.mark.slow
def test_a_job_that_finished_after_its_sweep_was_killed_is_not_run_again(tmp_path, jobs):
    jobs.interrupted = "trial_0003"
    with pytest.raises(SystemExit):
        search(tmp_path)
    folder = tmp_path / "trial_0003"
    (folder / "results.json").write_text('{"score": 0.25, "pruned": true}')
    memory = json.loads((folder / "job.json").read_text())
    (folder / "job.json").write_text(json.dumps(memory | {"exit_code": 0}))
    jobs.started = []
    search(tmp_path, "hydra.launcher.resume=true")
    assert not jobs.started and states(tmp_path)[3] == "PRUNED"


@pytest.mark.slow
def test_a_whole_search_is_not_run_again_and_more_trials_are_added_only_when_asked_for(
    tmp_path, jobs
):
    search(tmp_path)
    search(tmp_path, "hydra.launcher.resume=true")
    assert len(jobs.started) == 4
    search(tmp_path, "hydra.launcher.resume=true", "hydra.sweeper.n_trials=6")
    assert len(jobs.started) == len(trials(tmp_path)) == 6


@pytest.mark.slow
def test_a_folder_with_a_study_is_only_for_the_same_search_and_only_when_asked_for(tmp_path, jobs):
    search(tmp_path)
    with pytest.raises(CompactHydraException, match=r"holds a study already: go on with hydra\.la"):
        search(tmp_path)
    for other in ("model=concat", "optimizer.lr=interval(1e-3, 1e-2)", "hydra.sweeper.seed=5"):
        with pytest.raises(CompactHydraException, match="resume a sweep with its own overrides"):
            search(tmp_path, other, "hydra.launcher.resume=true")
    assert len(jobs.started) == 4


@pytest.mark.slow
def test_failed_trials_are_listed_at_the_end_and_the_others_go_on(tmp_path, jobs):
    jobs.fails = {"trial_0000", "trial_0002"}
    with pytest.raises(
        CompactHydraException, match=r"2 of 4 trials failed.*#0 in .*trial_0000, #2 in "
    ):
        search(tmp_path)
    assert states(tmp_path) == ["FAIL", "COMPLETE", "FAIL", "COMPLETE"]
    assert (tmp_path / "optimization_results.yaml").is_file()
    with pytest.raises(CompactHydraException, match="2 of 4 trials failed"):
        search(tmp_path, "hydra.launcher.resume=true")
    assert len(jobs.started) == 4


@pytest.mark.slow
def test_pruned_trials_are_neither_the_best_nor_failed_nor_run_again(tmp_path, jobs):
    search(tmp_path / "all")
    rates = [values["optimizer.lr"] for values in proposed(tmp_path / "all")]
    best = rates.index(max(rates))
    jobs.pruned, jobs.started = {name_trial(best)}, []
    search(tmp_path / "some")
    search(tmp_path / "some", "hydra.launcher.resume=true")
    assert len(jobs.started) == 4
    assert [trial.state is TrialState.PRUNED for trial in trials(tmp_path / "some")] == [
        number == best for number in range(4)
    ]
    found = yaml.safe_load((tmp_path / "some" / "optimization_results.yaml").read_text())
    some = [values["optimizer.lr"] for values in proposed(tmp_path / "some")]
    assert found["best_value"] == max(rate for rate in some if rate != rates[best])


@pytest.mark.slow
def test_a_trial_that_was_killed_before_its_values_were_stored_gets_them(tmp_path, jobs):
    search(tmp_path)
    whole = proposed(tmp_path)
    jobs.interrupted = "trial_0002"
    with pytest.raises(SystemExit):
        search(tmp_path / "cut")
    study = optuna.load_study(study_name="sweep", storage=f"sqlite:///{tmp_path}/cut/optuna.db")
    study.tell(2, state=TrialState.FAIL)
    study.ask()  # as if killed before the first value
    with pytest.raises(CompactHydraException, match="#2 in"):
        search(tmp_path / "cut", "hydra.launcher.resume=true")
    assert [set(values) for values in proposed(tmp_path / "cut")] == [DEFAULT] * 4
    assert proposed(tmp_path / "cut")[:3] == whole[:3]


FOLDS = ("data.splits={folds: 4}", "data.fold=1", "optimizer.lr=choice(0.5,0.25,0.125)")


def search_folds(folder: Path, *overrides: str) -> None:
    search(folder, "sweep=optuna_folds", *FOLDS, *overrides)


@pytest.mark.slow
def test_a_trial_over_folds_is_the_mean_of_all_folds_but_the_test(jobs, tmp_path):
    """The score of a job is its learning rate plus the number of its fold: 0, 2 and 3."""
    search_folds(tmp_path, "hydra.sweeper.pruner=null")
    names = [f"trial_{n:04}/fold{fold}" for n in range(4) for fold in (0, 2, 3)]
    assert [str(path.relative_to(tmp_path)) for path in jobs.started] == names
    for trial in trials(tmp_path):
        rate = trial.params["optimizer.lr"]
        assert trial.value == pytest.approx(rate + 5 / 3)
        steps = {0: rate, 1: rate + 1, 2: rate + 5 / 3}
        assert trial.intermediate_values == pytest.approx(steps)
    assert states(tmp_path) == ["COMPLETE"] * 4


@pytest.mark.slow
def test_trials_run_side_by_side_fold_by_fold_and_one_that_fails_ends_there(jobs, tmp_path):
    jobs.fails = {"fold2"}
    with pytest.raises(CompactHydraException, match="4 trials failed"):
        search_folds(tmp_path, "hydra.launcher.n_jobs=2", "hydra.sweeper.pruner=null")
    names = {str(path.relative_to(tmp_path)) for path in jobs.started}
    assert names == {f"trial_{n:04}/fold{fold}" for n in range(4) for fold in (0, 2)}
    assert states(tmp_path) == ["FAIL"] * 4


@pytest.mark.slow
def test_a_bad_trial_is_pruned_after_its_first_folds(jobs, tmp_path):
    """Whoever is below the threshold after a fold goes: the first fold adds nothing to the rate."""
    pruner = (
        "hydra.sweeper.pruner._target_=optuna.pruners.ThresholdPruner",
        "+hydra.sweeper.pruner.lower=0.3",
        "hydra.sweeper.n_trials=6",
    )
    search_folds(tmp_path, *pruner)
    for trial in trials(tmp_path):
        bad = trial.params["optimizer.lr"] < 0.3
        assert trial.state == (TrialState.PRUNED if bad else TrialState.COMPLETE)
        assert len(trial.intermediate_values) == (1 if bad else 3)
    assert {"PRUNED", "COMPLETE"} <= set(states(tmp_path))


@pytest.mark.slow
def test_a_search_over_folds_goes_on_with_the_folds_that_an_interruption_left(jobs, tmp_path):
    jobs.interrupted = "fold2"
    with pytest.raises(SystemExit):
        search_folds(tmp_path, "hydra.sweeper.pruner=null")
    jobs.interrupted, jobs.started = None, []
    search_folds(tmp_path, "hydra.sweeper.pruner=null", "hydra.launcher.resume=true")
    names = [str(path.relative_to(tmp_path)) for path in jobs.started]
    assert names[:2] == ["trial_0000/fold2", "trial_0000/fold3"]
    assert states(tmp_path) == ["COMPLETE"] * 4


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["data.splits=null", "data.fold=null"], r"data\.fold=None is to be held out"),
        (["data.validation=2"], r"data\.validation=2 leaves a search over folds nothing"),
    ],
)
def test_a_search_over_folds_needs_folds_of_which_one_is_held_out(
    jobs, tmp_path, overrides, message
):
    with pytest.raises(CompactHydraException, match=message):
        search_folds(tmp_path, *overrides)
    assert not jobs.started
