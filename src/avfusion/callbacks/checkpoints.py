"""Checkpoints of a run: the last one, to resume from, and the best ones."""

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.trainer.states import TrainerFn

from avfusion.files import atomic_write
from avfusion.training.metrics.catalog import check_mode, mode_of

log = logging.getLogger(__name__)
BEST, LAST = "best.ckpt", "last.ckpt"


class LastCheckpoint(Checkpoint):
    """Keep ``last.ckpt``, from which a run goes on.

    It is written at the end of each epoch, at each validation within an epoch, and, where that is
    too rare, after ``every_n_train_steps`` optimizer steps.
    """

    def __init__(self, dirpath: str, every_n_train_steps: int | None = None) -> None:
        if every_n_train_steps is not None and every_n_train_steps < 1:
            raise ValueError(
                "callbacks.last_checkpoint.every_n_train_steps must be at least 1 or null, got "
                f"{every_n_train_steps}."
            )

        self.dirpath = os.path.realpath(dirpath)
        self.every_n_train_steps = every_n_train_steps
        self.best_model_path = ""  # what a run without BestCheckpoint is tested on

    def save(self, trainer: L.Trainer) -> None:
        """Write the checkpoint; every process calls this."""
        self.best_model_path = str(Path(self.dirpath) / LAST)
        trainer.save_checkpoint(self.best_model_path, weights_only=False)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save within an epoch; its last batch is followed by its end."""
        every = self.every_n_train_steps
        if every and trainer.global_step % every == 0 and is_between_steps(trainer, batch_idx):
            self.save(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save within an epoch."""
        if is_training(trainer) and is_between_steps(trainer, trainer.fit_loop.batch_idx):
            self.save(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save after an epoch."""
        if is_training(trainer):
            self.save(trainer)


class BestCheckpoint(ModelCheckpoint):
    """Keep the checkpoints with the best scores of ``monitor``; ``best.ckpt`` is the best of them.

    ``save_top_k`` is how many are kept, -1 all of them. More than one need names of their own: by
    default ``epoch003_step000120_0.9531.ckpt``, otherwise ``filename`` with its fields, such as
    ``{epoch:03d}_{val/loss:.3f}``, and the step, where it has no field ``{step}``. ``best.ckpt`` is
    then a second name of one of them. A score counts for the weights that it was measured on, at
    validations of every ``every_n_epochs``-th epoch; a run without any keeps its last weights.

    Paths in its state are relative to the folder of the checkpoints, so that a run which was moved
    or copied goes on with its own files. Without ``monitor`` the newest checkpoint is the best one,
    and ``every_n_train_steps`` may replace epochs.
    """

    def __init__(
        self,
        dirpath: str,
        monitor: str | None,
        mode: str = "max",
        filename: str | None = "best",
        save_top_k: int = 1,
        every_n_epochs: int = 1,
        every_n_train_steps: int | None = None,
        save_weights_only: bool = False,
    ) -> None:
        key = "callbacks.checkpoint"
        if save_top_k == 0 or save_top_k < -1:
            raise ValueError(
                f"{key}.save_top_k={save_top_k} would keep no best checkpoint to test: set at "
                f"least 1, or -1 for all; {key}=null keeps the last one only."
            )

        if every_n_epochs < 1:
            raise ValueError(f"{key}.every_n_epochs must be at least 1, got {every_n_epochs}.")
        if monitor is not None and mode_of(monitor) is not None:
            check_mode(monitor, mode, f"{key}.monitor")

        if monitor is None and save_top_k > 1:
            raise ValueError(
                f"{key}.save_top_k={save_top_k} needs scores to choose by: set {key}.monitor, or "
                "save_top_k=-1 to keep all."
            )

        if monitor is not None and every_n_train_steps is not None:
            raise ValueError(
                f"{key}.every_n_train_steps={every_n_train_steps} would keep weights under the "
                "score of an earlier validation: validate as often instead, with "
                f"trainer.val_check_interval={every_n_train_steps}."
            )

        template = filename or "best"

        if "=" in template or Path(template).name in ("", "last"):
            raise ValueError(
                f"{key}.filename={template} must not be last and hold no '=', which a command "
                "line takes for the end of a key: choose another name, such as 'epoch{epoch}'."
            )

        if save_top_k != 1 and "{step" not in template:
            template = "epoch{epoch:03d}" if template == "best" else template
            template += "_step{step:06d}"
            if monitor is not None and filename in ("best", None):
                template += f"_{{{monitor}:.4f}}"

        super().__init__(
            dirpath=dirpath,
            filename=template,
            monitor=monitor,
            mode=mode,
            save_top_k=save_top_k,
            save_weights_only=save_weights_only,
            every_n_epochs=None if every_n_train_steps else every_n_epochs,
            every_n_train_steps=every_n_train_steps,
            auto_insert_metric_name=False,
            enable_version_counter=False,
        )
        self.validated_step = -1  # after which the scores of validation were measured

    @property
    def best_file(self) -> Path:
        """Where the best checkpoint is found."""
        assert self.dirpath is not None
        return Path(self.dirpath) / BEST

    @property
    def state_key(self) -> str:
        """One name, whatever the options are, so that a continued run finds its best score."""
        return type(self).__qualname__

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave out of what was restored the files that are not there."""
        if trainer.is_global_zero:
            self.restore_files()
        names = [name for name in self.best_k_models if Path(name).is_file()]
        names = trainer.strategy.broadcast(names)
        missing = sorted(Path(name).name for name in set(self.best_k_models) - set(names))

        if missing:
            log.warning(
                "%s no longer holds %s: what is best is decided among the others.",
                self.dirpath,
                ", ".join(missing),
            )

        self.rank({name: self.best_k_models[name] for name in names})
        if self.monitor is None:
            there = Path(self.best_model_path).is_file()
            if not trainer.strategy.broadcast(there):  # all processes save, or none
                self.best_model_path = ""

    def restore_files(self) -> None:
        """Give the best checkpoint both of its names again, where one of them is missing."""
        best = Path(self.best_model_path) if self.best_model_path else self.best_file
        if best != self.best_file:
            for file, other in ((best, self.best_file), (self.best_file, best)):
                if file.is_file() and not other.is_file():
                    _link(file, other)

    def rank(self, scores: dict[str, torch.Tensor]) -> None:
        """Let these files, with their scores, be the best ones so far."""
        down = self.mode == "max"
        ranked = sorted(scores, key=lambda name: float(scores[name]), reverse=down)
        if self.save_top_k > 0:
            ranked = ranked[: self.save_top_k]
        self.best_k_models = {name: scores[name] for name in ranked}
        if self.monitor is None:
            return
        self.best_model_path = ranked[0] if ranked else ""
        self.best_model_score = scores[ranked[0]] if ranked else None
        self.kth_best_model_path = ranked[-1] if ranked else ""
        if ranked:
            self.kth_value = scores[ranked[-1]]

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Save after a number of steps, where nothing is monitored."""
        if self._every_n_train_steps and trainer.global_step % self._every_n_train_steps == 0:
            self.save(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save within an epoch; after its last batch comes its end."""
        if not is_training(trainer):
            return
        self.validated_step = trainer.global_step
        # Private: the argument as ModelCheckpoint keeps it.
        if self._every_n_epochs and not trainer.is_last_batch:
            self.save_epoch(trainer)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save after an epoch."""
        if self._every_n_epochs and is_training(trainer):
            self.save_epoch(trainer)

    def save_epoch(self, trainer: L.Trainer) -> None:
        """Save in an epoch that counts, if the score is that of the present weights."""
        if (trainer.current_epoch + 1) % self._every_n_epochs == 0 and self.is_measured(trainer):
            self.save(trainer)

    def is_measured(self, trainer: L.Trainer) -> bool:
        """Whether the monitored score was measured on the present weights."""
        if self.monitor is None:
            return True
        if self.monitor.startswith("val/"):
            return self.validated_step == trainer.global_step
        return is_epoch_over(trainer)  # those of training are reported then

    def save(self, trainer: L.Trainer) -> None:
        """Save unless the same weights were saved before."""
        # Private: what ModelCheckpoint's own hooks call, at other times.
        if not self._should_skip_saving_checkpoint(trainer):
            self._save_topk_checkpoint(trainer, self._monitor_candidates(trainer))

    def _save_checkpoint(self, trainer: L.Trainer, filepath: str) -> None:
        """Save, and let ``best.ckpt`` be the best one."""
        # Private, and the only place that knows the path of what was just saved.
        super()._save_checkpoint(trainer, filepath)
        best = self.best_model_path == filepath and Path(filepath) != self.best_file
        if best and trainer.is_global_zero:
            _link(Path(filepath), self.best_file)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Keep the last weights where no score has chosen any."""
        if self.best_model_path or not is_training(trainer):
            return
        self.best_model_path = str(self.best_file)
        trainer.save_checkpoint(self.best_file, self.save_weights_only)

    def state_dict(self) -> dict[str, Any]:
        """Scores by file, relative to the folder, and what they are scores of."""
        folder = str(self.dirpath)
        scores = {
            os.path.relpath(name, folder): float(score)
            for name, score in self.best_k_models.items()
        }
        best = os.path.relpath(self.best_model_path, folder) if self.best_model_path else ""

        return {"monitor": self.monitor, "mode": self.mode, "scores": scores, "best": best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with files of this folder, whatever its path is now."""
        if (state_dict["monitor"], state_dict["mode"]) != (self.monitor, self.mode):
            return
        assert self.dirpath is not None
        scores = {}
        for name, score in state_dict["scores"].items():
            kept = Path(self.dirpath) / name
            if name == BEST and self.filename != "best":  # a name that a better one will take
                kept = kept.with_name("earlier_best.ckpt")
            scores[str(kept)] = torch.tensor(score)

        self.rank(scores)
        if self.monitor is None and state_dict["best"]:
            self.best_model_path = str(Path(self.dirpath) / state_dict["best"])


def check_same_monitor(file: Path, checkpoint: dict[str, Any], monitor: str, mode: str) -> None:
    """Refuse to compare the best score of a checkpoint with scores of another kind."""
    state = (checkpoint.get("callbacks") or {}).get(BestCheckpoint.__qualname__)
    if state and state["scores"] and (state["monitor"], state["mode"]) != (monitor, mode):
        raise ValueError(
            f"{file} chose its best checkpoint by monitor={state['monitor']} mode={state['mode']}, "
            f"which {monitor} cannot be compared with: go on with those, or start a new run from "
            "its weights with init_from=..."
        )


def is_training(trainer: L.Trainer) -> bool:
    """Whether this is a training that is meant to leave checkpoints."""
    fitting = trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking
    return fitting and not trainer.fast_dev_run  # type: ignore[attr-defined]  # set by a connector


def is_epoch_over(trainer: L.Trainer) -> bool:
    """Whether the present epoch has ended: its metrics are reported, the next one comes."""
    progress: Any = trainer.fit_loop.epoch_progress.current
    return progress.processed >= progress.ready


def is_between_steps(trainer: L.Trainer, batch_idx: int) -> bool:
    """Whether training can go on after this batch: it is not the last one of its epoch or of the
    run, and no gradient waits for others to be added (``trainer.accumulate_grad_batches``)."""
    if trainer.is_last_batch or trainer.global_step == trainer.max_steps:
        return False
    task = trainer.lightning_module  # which may accumulate by itself
    added: int = getattr(task, "accumulate_grad_batches", trainer.accumulate_grad_batches)
    return (batch_idx + 1) % added == 0


def _link(file: Path, name: Path) -> None:
    """Give a file another name, in one move; a copy of it where a disk knows no links."""
    with atomic_write(name) as partial:
        try:
            os.link(file, partial)
        except OSError:
            shutil.copyfile(file, partial)
