"""A search in place of a grid: Optuna proposes trials, our launcher runs each as a job.

Trials run in the launcher's number side by side, and are proposed in batches of that size.
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
from hydra_plugins.avfusion_launcher.job import check_surroundings, quoted
from hydra_plugins.avfusion_launcher.launcher import SubprocessLauncher, failure
from hydra_plugins.avfusion_launcher.names import name_trial
from hydra_plugins.avfusion_launcher.pace import Pace


class OptunaSweeper(Sweeper):
    """Run ``n_trials`` trials in all, those of a sweep that is resumed included.

    ``space`` maps keys to sweeps in Hydra's grammar; ``seed`` fixes the proposals. Better is what
    ``mode`` says of the monitor.
    """

    def __init__(
        self, n_trials: int, seed: int, sampler: DictConfig, space: Mapping[str, str] | None
    ) -> None:
        self.n_trials = n_trials
        self.seed = seed
        self.sampler = sampler
        self.space = space or {}

    def setup(self, *, hydra_context: Any, task_function: Callable[..., Any], config: Any) -> None:
        """Keep what Hydra tells every sweeper, and make the launcher."""
        self.loader = hydra_context.config_loader
        self.config: Any = config
        self.launcher: Any = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Run the trials that remain, and conclude."""
        self.check()
        from hydra_plugins.avfusion_optuna import _space, _study

        shared, space = _space.read_space(self.space, arguments, self.loader)
        config = self.check_jobs([[*shared, *some] for some in _space.extremes(space)])
        folder = Path(self.config.hydra.sweep.dir).absolute()
        file = folder / "optuna.db"
        search: dict[str, Any] = {"shared": sorted(shared), "seed": self.seed}
        search["space"] = {key: str(drawn) for key, drawn in space.items()}
        search["sampler"] = OmegaConf.to_container(self.sampler)
        study = _study.open_study(file, config.mode, search, self.launcher.resume)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        series = list(_study.batches(study, self.n_trials, self.launcher.n_jobs))
        self.launcher.name_trial = name_trial
        self.launcher.pace = Pace(sum(map(len, series)), self.launcher.n_jobs)
        for batch in series:
            jobs = []
            for number in batch:
                values = _study.propose(study, number, space, self.sampler, self.seed)
                own = pruning_overrides(file, number) if config.callbacks.get("pruning") else []
                jobs.append([*shared, *_space.overrides(values), *own])
            for number, back in zip(batch, self.launcher.launch(jobs, batch[0]), strict=True):
                _study.tell(study, number, results(back))
        _study.conclude(study, folder)

    def check(self) -> None:
        """Refuse what no search can begin with."""
        check_surroundings()
        if find_spec("optuna") is None:
            raise CompactHydraException("sweep=optuna needs Optuna: pip install -e .")
        for name, number, least in (("n_trials", self.n_trials, 1), ("seed", self.seed, 0)):
            if not isinstance(number, int) or number < least:
                raise CompactHydraException(
                    f"hydra.sweeper.{name} must be a whole number from {least} on, got {number}."
                )
        if not isinstance(self.launcher, SubprocessLauncher):
            raise CompactHydraException(
                "A search hears of its trials' results from our launcher only: leave "
                "hydra/launcher=subprocess, or sweep over a grid."
            )

    def check_jobs(self, jobs: Sequence[Sequence[str]]) -> DictConfig:
        """Return the configuration of one job, once all are known to have one that can be run."""
        from avfusion.run import checks

        for overrides in jobs:
            config = self.loader.load_sweep_config(self.config, list(overrides))
            check_complete(without_hydra(config), config.hydra)
        checks.check_training(without_hydra(config))
        instantiate(self.sampler, seed=self.seed)
        instantiate(config.callbacks.get("pruning"), study="", trial=0)
        return config


def pruning_overrides(file: Path, number: int) -> list[str]:
    """Return what tells a job which trial of which study it is."""
    return [f"callbacks.pruning.study={quoted(file)}", f"callbacks.pruning.trial={number}"]


def results(back: JobReturn) -> dict[str, Any]:
    """Return what a job has written, nothing where it failed."""
    path = Path(str(back.working_dir)) / "results.json"
    if failure(back) or not path.is_file():
        return {}
    return json.loads(path.read_text(encoding="utf-8"))
