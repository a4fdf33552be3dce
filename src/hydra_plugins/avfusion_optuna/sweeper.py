"""Sweeper for hyperparameter searches: Optuna proposes trials, our launcher runs each as a job.

As many trials are proposed at once as the launcher runs at once. Hydra's own Optuna sweeper needs
Optuna 2, and proposes other values on each rank of a job with several processes.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.errors import CompactHydraException
from hydra.plugins.sweeper import Sweeper
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from avfusion.run.configuration import check_complete, without_hydra
from hydra_plugins.avfusion_launcher.job import check_single_process, quote_path
from hydra_plugins.avfusion_launcher.launcher import SubprocessLauncher, has_failed
from hydra_plugins.avfusion_launcher.names import name_trial
from hydra_plugins.avfusion_launcher.progress import SweepProgress


class OptunaSweeper(Sweeper):
    """Search for the best score, in the direction of ``mode``.

    Args:
        n_trials: Trials in all, those of a sweep that is resumed included.
        seed: Fixes the proposals.
        sampler: Configuration of an Optuna sampler.
        space: Sweeps in Hydra's grammar, by key.
        folds: The folds of the data, ``0,1,2``: a trial is the mean over all but the one that
            ``data.fold`` holds out, each of which validates a training of its own.
        pruner: Configuration of an Optuna pruner, which is asked after each of a trial's folds.
    """

    def __init__(
        self,
        n_trials: int,
        seed: int,
        sampler: DictConfig,
        space: Mapping[str, str] | None,
        folds: str | None = None,
        pruner: DictConfig | None = None,
    ) -> None:
        self.n_trials = n_trials
        self.seed = seed
        self.sampler = sampler
        self.space = space or {}
        self.folds = folds
        self.pruner = pruner

    def setup(self, *, hydra_context: Any, task_function: Callable[..., Any], config: Any) -> None:
        """Take what Hydra hands to every sweeper, and build the launcher."""
        self.loader = hydra_context.config_loader
        self.config: Any = config
        self.launcher: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the trials that remain, and report the best."""
        self._check_search()
        from hydra_plugins.avfusion_optuna import _space, _study

        shared, space = _space.read_space(self.space, arguments, self.loader)
        extremes = _space.make_extreme_overrides(space)
        config = self._check_jobs([[*shared, *overrides] for overrides in extremes])
        folds = self._list_folds(config)

        folder = Path(self.config.hydra.sweep.dir).absolute()
        file = folder / "optuna.db"
        search: dict[str, Any] = {"shared": sorted(shared), "seed": self.seed}
        search["space"] = {key: str(distribution) for key, distribution in space.items()}
        search["sampler"] = OmegaConf.to_container(self.sampler)
        if folds:
            search["folds"] = folds
        study = _study.open_study(file, config.mode, search, self.launcher.resume)
        OmegaConf.save(self.config, folder / "multirun.yaml")

        n_jobs = self.launcher.n_jobs
        batches = list(_study.split_into_batches(study, self.n_trials, n_jobs))
        self.launcher.name_trial = name_trial
        trials = sum(map(len, batches))
        self.launcher.progress = SweepProgress(trials * max(1, len(folds)), n_jobs)
        for batch in batches:
            jobs: list[list[str]] = []
            for number in batch:
                values = _study.propose_values(study, number, space, self.sampler, self.seed)
                pruning = config.callbacks.get("pruning")
                own = _pruning_overrides(file, number) if pruning else []
                jobs.append([*shared, *_space.format_overrides(values), *own])
            if folds:
                self._run_folds(study, dict(zip(batch, jobs, strict=True)), folds)
                continue
            for number, result in zip(batch, self.launcher.launch(jobs, batch[0]), strict=True):
                _study.record_result(study, number, _read_results(result))
        _study.report_study(study, folder)

    def _run_folds(self, study: Any, trials: dict[int, list[str]], folds: Sequence[str]) -> None:
        """Run trials fold by fold, side by side; one that fails or is pruned ends there."""
        from hydra_plugins.avfusion_optuna import _study

        scores: dict[int, list[float]] = {number: [] for number in trials}
        for step, fold in enumerate(folds):
            running = [*scores]
            if not running:
                return
            names = [f"{name_trial(number)}/fold{fold}" for number in running]
            first = running[0]
            self.launcher.name_trial = lambda number, names=names, first=first: names[
                number - first
            ]
            jobs = [[*trials[number], f"data.validation={fold}"] for number in running]

            for number, result in zip(running, self.launcher.launch(jobs, first), strict=True):
                score = _read_results(result).get("score")
                if score is None:
                    _study.record_result(study, number, {})
                    del scores[number]
                    continue
                scores[number].append(score)
                mean = sum(scores[number]) / len(scores[number])
                is_last = step == len(folds) - 1
                _study.report_fold(study, number, step, scores[number])
                pruned = not is_last and _study.is_unpromising(study, number, self.pruner)
                if is_last or pruned:
                    _study.record_result(study, number, {"score": mean, "pruned": pruned})
                    del scores[number]

    def _list_folds(self, config: DictConfig) -> list[str]:
        """List the folds that validate each trial: all but the one that is held out for a test."""
        if self.folds is None:
            return []
        folds, held_out = str(self.folds).split(","), str(config.data.get("fold"))
        if held_out not in folds:
            raise CompactHydraException(
                f"data.fold={held_out} is to be held out of the search, and is none of "
                f"{', '.join(folds)}: give data.protocol=... or data.splits='{{folds: 5}}' with "
                "data.fold=0 or, where only the store knows its folds, hydra.sweeper.folds='0,1,2'."
            )
        if config.data.get("validation") is not None:
            raise CompactHydraException(
                f"data.validation={config.data.validation} leaves a search over folds nothing to "
                "choose: leave it out."
            )
        return [fold for fold in folds if fold != held_out]

    def _check_search(self) -> None:
        """Refuse what no search can begin with."""
        check_single_process()
        if find_spec("optuna") is None:
            raise CompactHydraException("sweep=optuna needs Optuna: pip install -e .")
        for name, number, minimum in (("n_trials", self.n_trials, 1), ("seed", self.seed, 0)):
            if not isinstance(number, int) or number < minimum:
                raise CompactHydraException(
                    f"hydra.sweeper.{name} must be a whole number of at least {minimum}, got "
                    f"{number}."
                )
        if not isinstance(self.launcher, SubprocessLauncher):
            raise CompactHydraException(
                "A search gets the results of its trials from our launcher only: leave "
                "hydra/launcher=subprocess, or sweep over a grid."
            )

    def _check_jobs(self, jobs: Sequence[Sequence[str]]) -> DictConfig:
        """Refuse a search with a job that could not run; return the configuration of the last."""
        from avfusion.run import checks

        for overrides in jobs:
            config = self.loader.load_sweep_config(self.config, list(overrides))
            check_complete(without_hydra(config), config.hydra)
        checks.check_training(without_hydra(config))
        instantiate(self.sampler, seed=self.seed)
        instantiate(config.callbacks.get("pruning"), study="", trial=0)
        instantiate(self.pruner)

        return config


def _pruning_overrides(file: Path, number: int) -> list[str]:
    """Overrides that give a job its trial and study."""
    return [f"callbacks.pruning.study={quote_path(file)}", f"callbacks.pruning.trial={number}"]


def _read_results(result: JobReturn) -> dict[str, Any]:
    """Read what a job has written, nothing where it failed."""
    path = Path(str(result.working_dir)) / "results.json"
    if has_failed(result) or not path.is_file():
        return {}

    return json.loads(path.read_text(encoding="utf-8"))
