"""A training that goes on ends as one that was never interrupted, whatever ends its epochs."""

import shutil
from pathlib import Path

import lightning as L
import pytest
import torch
from conftest import build_for, load, quiet_trainer
from hydra.utils import instantiate

from avfusion import callbacks
from avfusion.callbacks.ema import EMA
from avfusion.callbacks.gradient_blending import GradientBlending
from avfusion.callbacks.ogm_ge import OGMGE
from avfusion.callbacks.resume import exit_on_sigterm
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.run.build import count_whole_epochs

pytestmark = [
    pytest.mark.usefixtures("shared_by_files"),
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
]
BATCHES = 6  # of four clips, in each epoch


class Interruption(RuntimeError):
    """An end without warning."""


class Watch(L.Callback):
    """Note the clips of every batch by epoch, and end at one of them, counted over all parts."""

    def __init__(self, at: int | None = None, how: str = "kill") -> None:
        self.at, self.how = at, how
        self.seen: list[tuple[int, list[int]]] = []

    def on_train_batch_end(self, trainer, task, outputs, clips, batch_idx) -> None:
        self.seen.append((trainer.current_epoch, clips.row.tolist()))
        if self.at != len(self.seen):
            return
        if self.how == "kill":
            raise Interruption
        if self.how == "stop":  # as trainer.max_time does
            trainer.should_stop = True
        for callback in trainer.callbacks:
            if self.how == "term" and isinstance(callback, callbacks.Preemption):
                callback.asked = True


def part(folder: Path, store: Path, watch: Watch, workers: int = 0, size: int = 4, **options):
    """Train in a folder, from its last checkpoint if it has one, and return the task."""
    data = FaceAudioDataModule(
        str(store),
        batch_size=size,
        num_workers=workers,
        augmentation=instantiate(load("train").data.augmentation),
        balance=options.pop("balance", None),
    )
    drop = ("model.network.head.dropout=0.3", "model.network.modality_dropout=0.3")
    torch.manual_seed(0)
    task = build_for(data, "concat", *drop, *options.pop("model", ("scheduler=constant",)))
    checkpoints = str(folder / "checkpoints")
    kept = [
        watch,
        callbacks.Preemption(),
        callbacks.RandomStates(),
        callbacks.ResumedMetrics(),
        callbacks.Position(),
        callbacks.FinalValidation(),
        callbacks.BestCheckpoint(checkpoints, "val/loss", "min"),
        callbacks.LastCheckpoint(checkpoints, options.pop("every_n_train_steps", None)),
    ]
    kept = [*(make() for make in options.pop("more", ())), *kept]
    defaults = {"max_epochs": 4, "num_sanity_val_steps": 0}
    plain = {"use_distributed_sampler": False, "enable_checkpointing": True}
    trainer = quiet_trainer(callbacks=kept, **defaults | plain | options)
    count_whole_epochs(trainer)
    last = folder / "checkpoints" / "last.ckpt"
    last = last if last.is_file() else None
    with exit_on_sigterm(folder):
        trainer.fit(task, datamodule=data, ckpt_path=last, weights_only=True)
    return task, trainer


def parts(folder: Path, store: Path, ends: list[tuple[int, str]], **options):
    """Train with interruptions; return the task, the trainer, and the clips that counted."""
    seen = []
    for at, how in ends:
        watch = Watch(at, how)
        with pytest.raises(Interruption if how == "kill" else SystemExit):
            part(folder, store, watch, **options)
        seen.append(watch.seen)
    watch = Watch()
    task, trainer = part(folder, store, watch, **options)
    return task, trainer, [*seen, watch.seen]


def differing(one, other) -> list[str]:
    ours, theirs = one.state_dict(), other.state_dict()
    return [name for name in ours if not torch.equal(ours[name], theirs[name])]


ADVERSARY = ("model/missing=imagined", "model.network.missing.noise_dim=4")
ADVERSARY = (*ADVERSARY, "model/alignment=alternating", "model.discriminator.spectral_norm=true")
ENDS = {
    "whole epochs": {},
    "a number of batches": {"limit_train_batches": 4},
    "a part of the batches": {"limit_train_batches": 0.7},
    "a part of the batches, by workers": {"limit_train_batches": 0.7, "workers": 2},
    "steps": {"max_steps": 16},
    "steps, with whole epochs": {"max_steps": 18},
    "steps of a part": {"max_steps": 14, "limit_train_batches": 4},
    "validation within epochs": {"val_check_interval": 0.5},
    "validation within limited epochs": {"val_check_interval": 2, "limit_train_batches": 5},
    "validation of some epochs": {"check_val_every_n_epoch": 2, "limit_train_batches": 5},
    "validation over epochs": {"check_val_every_n_epoch": None, "val_check_interval": 4},
    "added gradients": {"accumulate_grad_batches": 4},
    "added gradients and validation": {"accumulate_grad_batches": 2, "val_check_interval": 3},
    "overfitting": {"overfit_batches": 3},
    "averaged weights": {"more": (EMA,), "every_n_train_steps": 1},
    "averaged weights, validation within epochs": {"more": (EMA,), "val_check_interval": 2},
    "blended losses": {
        "more": (GradientBlending,),
        "model": ("remedy=auxiliary_heads", "scheduler=constant"),
        "every_n_train_steps": 1,
    },
    "modulated gradients": {"more": (OGMGE,), "every_n_train_steps": 1},
    "balanced sampling": {"balance": "class", "every_n_train_steps": 1},
    "checkpoints by steps": {"every_n_train_steps": 2, "limit_train_batches": 5},
    "two optimizers": {"model": ADVERSARY, "every_n_train_steps": 1},
    "two optimizers, added gradients and validation": {
        "model": (*ADVERSARY, "model.accumulate_grad_batches=2"),
        "val_check_interval": 3,
        "every_n_train_steps": 1,
    },
    "two optimizers, steps": {"model": ADVERSARY, "max_steps": 16},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ENDS)
def test_the_weights_are_those_of_an_uninterrupted_training(name, party_store, tmp_path):
    options = ENDS[name]
    watch = Watch()
    whole, trainer = part(tmp_path / "whole", party_store, watch, **options)
    length = next(n for n, (epoch, _) in enumerate(watch.seen) if epoch == 1)
    ends = [(length + 1, "kill"), (2, "term"), (length - 1, "kill"), (1, "term")]
    again, other, seen = parts(tmp_path / "parts", party_store, ends, **options)
    assert differing(whole, again) == []
    assert (trainer.global_step, trainer.current_epoch) == (other.global_step, other.current_epoch)
    assert watch.seen[-len(seen[-1]) :] == seen[-1]  # the same clips in the same epochs
    for metric, value in other.callback_metrics.items():  # the other has those of old epochs, too
        assert trainer.callback_metrics[metric] == pytest.approx(value.item(), rel=1e-5), metric


CLIPS = 24


@pytest.mark.slow
@pytest.mark.parametrize("stop", ["steps", "time"])
def test_an_epoch_that_was_ended_early_is_over(stop, party_store, tmp_path):
    """With more steps or time the next epoch begins, with all of its clips."""
    limit = {"max_steps": 9} if stop == "steps" else {}
    watch = Watch(9, "stop") if stop == "time" else Watch()
    part(tmp_path, party_store, watch, **limit)
    assert [epoch for epoch, _ in watch.seen] == [0] * 6 + [1] * 3
    more = Watch()
    part(tmp_path, party_store, more, max_epochs=3)
    assert [epoch for epoch, _ in more.seen] == [2] * 6
    assert len({row for _, rows in more.seen for row in rows}) == CLIPS


@pytest.fixture(scope="module")
def interrupted(party_store, tmp_path_factory) -> tuple[Path, list]:
    """The folder of a run that ended in its second epoch, and the clips that it had read."""
    folder, watch = tmp_path_factory.mktemp("interrupted"), Watch(8, "term")
    with pytest.raises(SystemExit):
        part(folder, party_store, watch, max_epochs=2)
    return folder, watch.seen


@pytest.mark.slow
@pytest.mark.parametrize(("size", "workers"), [(3, 0), (5, 0), (5, 1), (6, 0), (12, 0), (20, 0)])
def test_other_batches_leave_no_clip_out_and_read_none_twice(
    size, workers, party_store, interrupted, tmp_path
):
    folder, seen = interrupted
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    more = Watch()
    _, trainer = part(tmp_path, party_store, more, workers, size, max_epochs=3)
    before = [row for epoch, rows in seen if epoch == 1 for row in rows]
    after = [row for epoch, rows in more.seen if epoch == 1 for row in rows]
    assert len(before) == 8 and sorted(before + after) == sorted(set(before + after))
    assert len(before + after) == CLIPS
    assert sorted(row for epoch, rows in more.seen if epoch == 2 for row in rows) == sorted(
        before + after
    )
    assert trainer.current_epoch == 3 and {epoch for epoch, _ in more.seen} == {1, 2}
    assert len(more.seen) == -(-16 // size) + -(-24 // size)
