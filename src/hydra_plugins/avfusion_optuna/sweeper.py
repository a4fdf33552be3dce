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
    """

    def __init__(
        self, n_trials: int, seed: int, sampler: DictConfig, space: Mapping[str, str] | None
    ) -> None:
        self.n_trials = n_trials
        self.seed = seed
        self.sampler = sampler
        self.space = space or {}

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

        folder = Path(self.config.hydra.sweep.dir).absolute()
        file = folder / "optuna.db"
        search: dict[str, Any] = {"shared": sorted(shared), "seed": self.seed}
        search["space"] = {key: str(distribution) for key, distribution in space.items()}
        search["sampler"] = OmegaConf.to_container(self.sampler)
        study = _study.open_study(file, config.mode, search, self.launcher.resume)
        OmegaConf.save(self.config, folder / "multirun.yaml")

        n_jobs = self.launcher.n_jobs
        batches = list(_study.split_into_batches(study, self.n_trials, n_jobs))
        self.launcher.name_trial = name_trial
        self.launcher.progress = SweepProgress(sum(map(len, batches)), n_jobs)
        for batch in batches:
            jobs = []
            for number in batch:
                values = _study.propose_values(study, number, space, self.sampler, self.seed)
                pruning = config.callbacks.get("pruning")
                own = _pruning_overrides(file, number) if pruning else []
                jobs.append([*shared, *_space.format_overrides(values), *own])
            for number, result in zip(batch, self.launcher.launch(jobs, batch[0]), strict=True):
                _study.record_result(study, number, _read_results(result))
        _study.report_study(study, folder)

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

        return config


def _pruning_overrides(file: Path, number: int) -> list[str]:
    """Overrides that tell a job which trial of which study it is."""
    return [f"callbacks.pruning.study={quote_path(file)}", f"callbacks.pruning.trial={number}"]


def _read_results(result: JobReturn) -> dict[str, Any]:
    """Read what a job has written, nothing where it failed."""
    path = Path(str(result.working_dir)) / "results.json"
    if has_failed(result) or not path.is_file():
        return {}

    return json.loads(path.read_text(encoding="utf-8"))
