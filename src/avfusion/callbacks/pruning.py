"""Pruning: unpromising trials of a search end early."""

from pathlib import Path
from typing import Any

import lightning as L


class Pruning(L.Callback):
    """Report every validation to the study, and end the training where its pruner says so.

    The study is a file that the process which proposes the trials has made. In its last epoch a
    run is finished rather than pruned.
    """

    def __init__(self, monitor: str, study: str | None, trial: int | None, pruner: Any) -> None:
        if study is None or trial is None:
            raise ValueError(
                f"callbacks.pruning.study={study}, trial={trial}: sweep=optuna needs -m, which "
                "makes a study and its trials."
            )

        if not monitor.startswith("val/"):
            raise ValueError(
                f"monitor={monitor} is not known at each validation, which pruning needs: choose "
                "one of val/, or callbacks.pruning=null."
            )

        self.monitor = monitor
        self.file = Path(study)
        self.number = trial
        self.pruner = pruner
        self.pruned = False

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """Open the study in the one process that reports."""
        if stage != "fit" or not trainer.is_global_zero:
            return
        import optuna  # takes half a second

        if not self.file.is_file():
            raise FileNotFoundError(f"There is no study {self.file}: start the sweep with -m.")
        options = {"connect_args": {"timeout": 60}}  # seconds that trials side by side wait
        self.storage = optuna.storages.RDBStorage(f"sqlite:///{self.file}", engine_kwargs=options)
        self.study = optuna.load_study(study_name="sweep", storage=self.storage)
        trials = self.study.get_trials(deepcopy=False)
        self.trial_id = trials[self.number]._trial_id  # private: what storages go by

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Report, and let all processes end where the first one decides so."""
        if trainer.sanity_checking:
            return
        decision = trainer.is_global_zero and self.decide(trainer)
        if trainer.strategy.broadcast(decision):
            self.pruned = trainer.should_stop = True

    def decide(self, trainer: L.Trainer) -> bool:
        """Report the epoch, unless a run that was interrupted has done so, and ask the pruner."""
        epoch, score = trainer.current_epoch, float(trainer.callback_metrics[self.monitor])
        if epoch not in self.storage.get_trial(self.trial_id).intermediate_values:
            self.storage.set_trial_intermediate_value(self.trial_id, epoch, score)
        stops = trainer.should_stop or trainer.global_step == trainer.max_steps
        if stops or epoch + 1 == trainer.max_epochs:
            return False

        return bool(self.pruner.prune(self.study, self.storage.get_trial(self.trial_id)))


def was_pruned(trainer: L.Trainer) -> bool:
    """Whether a search has given up this run."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]  # a connector sets it
    return any(isinstance(callback, Pruning) and callback.pruned for callback in callbacks)
