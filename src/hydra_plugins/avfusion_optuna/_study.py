"""Optuna study of a search: kept in its sweep's folder, resumed with the trials that remain."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from hydra.errors import CompactHydraException
from hydra.utils import instantiate
from omegaconf import OmegaConf
from optuna.trial import Trial, TrialState

from hydra_plugins.avfusion_launcher.names import name_trial
from hydra_plugins.avfusion_optuna._space import Distribution, format_overrides

log = logging.getLogger(__name__)
SUGGEST: dict[type, Any] = {
    optuna.distributions.CategoricalDistribution: Trial.suggest_categorical,
    optuna.distributions.FloatDistribution: Trial.suggest_float,
    optuna.distributions.IntDistribution: Trial.suggest_int,
}


def open_study(file: Path, mode: str, search: Mapping[str, Any], resume: bool) -> optuna.Study:
    """Open or create the study in an SQLite file.

    ``search`` describes what is searched: with ``resume``, the study in the file has to be of the
    same search; otherwise there must be none.
    """
    optuna.logging.disable_default_handler()
    optuna.logging.enable_propagation()
    if file.exists() and not resume:
        raise CompactHydraException(
            f"{file} holds a study already: go on with hydra.launcher.resume=true, or give "
            "another hydra.sweep.dir."
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.open("ab").close()
    except OSError as error:
        raise CompactHydraException(
            f"{file} cannot be written ({error.strerror}): give another hydra.sweep.dir."
        ) from None

    storage = optuna.storages.RDBStorage(
        f"sqlite:///{file}", engine_kwargs={"connect_args": {"timeout": 60}}
    )
    study = optuna.create_study(
        storage=storage,
        study_name="sweep",
        direction="minimize" if mode == "min" else "maximize",
        load_if_exists=True,
    )
    before = study.user_attrs.get("search", search)
    if before != search:
        raise CompactHydraException(
            f"{file} is a search of {before}, not of {search}: resume a sweep with its own "
            "overrides, or give another hydra.sweep.dir."
        )

    study.set_user_attr("search", search)
    return study


def split_into_batches(study: optuna.Study, n_trials: int, size: int) -> Iterator[list[int]]:
    """Split the numbers of the trials that remain into batches of at most this size.

    Those that a killed sweep left unfinished come first. A batch has no gaps, as launchers number
    their jobs consecutively from a first one.
    """
    trials = study.get_trials(deepcopy=False)
    unfinished = [trial.number for trial in trials if trial.state == TrialState.RUNNING]

    batch: list[int] = []
    for number in [*unfinished, *range(len(trials), n_trials)]:
        if batch and (len(batch) == size or number != batch[-1] + 1):
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def propose_values(
    study: optuna.Study, number: int, space: Mapping[str, Distribution], sampler: Any, seed: int
) -> dict[str, Any]:
    """Propose the values of a trial; a trial that exists already keeps its own.

    Every trial has a seed of its own. With one for the whole study, a sampler would draw in a
    resumed sweep what it drew in the beginning.
    """
    own = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    study.sampler = instantiate(sampler, seed=own)

    trials = study.get_trials(deepcopy=False)
    # _trial_id is private: Optuna has no public way to go on with a trial that was begun.
    trial = Trial(study, trials[number]._trial_id) if number < len(trials) else study.ask()
    return {key: SUGGEST[type(d)](trial, key, **vars(d)) for key, d in space.items()}


def record_result(study: optuna.Study, number: int, results: Mapping[str, Any]) -> None:
    """Finish a trial; one without a score has failed."""
    if results.get("score") is None:
        study.tell(number, state=TrialState.FAIL)
    elif results.get("pruned"):
        study.tell(number, state=TrialState.PRUNED)
    else:
        study.tell(number, results["score"])


def report_fold(study: optuna.Study, number: int, step: int, scores: Sequence[float]) -> None:
    """Report the mean over the folds of a trial so far, unless a resumed search has done so."""
    trial = study.get_trials(deepcopy=False)[number]
    if step not in trial.intermediate_values:
        mean = float(np.mean(scores))
        # _storage and _trial_id are private: Optuna reports from within an objective only.
        study._storage.set_trial_intermediate_value(trial._trial_id, step, mean)


def is_unpromising(study: optuna.Study, number: int, pruner: Any) -> bool:
    """Whether a pruner gives a trial up, by the folds that were reported."""
    if pruner is None:
        return False
    return bool(instantiate(pruner).prune(study, study.get_trials(deepcopy=False)[number]))


def report_study(study: optuna.Study, folder: Path) -> None:
    """Write the best trial, as Hydra's sweepers do, and list the trials that failed."""
    complete, pruned, failed = (
        [trial.number for trial in study.get_trials(deepcopy=False, states=[state])]
        for state in (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
    )
    log.info("%d trials complete, %d pruned: %s", len(complete), len(pruned), pruned)

    if complete:
        best = study.best_trial
        found = {"name": "optuna", "best_params": best.params, "best_value": best.value}
        OmegaConf.save(found | {"best_number": best.number}, folder / "optimization_results.yaml")
        values = " ".join(format_overrides(best.params))
        log.info("Best: #%d with %s: %s", best.number, best.value, values)

    if failed:
        raise CompactHydraException(
            f"{len(failed)} of {len(study.trials)} trials failed and stay so: "
            + ", ".join(f"#{number} in {folder / name_trial(number)}" for number in failed)
        )
