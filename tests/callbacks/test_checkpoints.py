"""Claims about the checkpoints of a run."""

import os
import shutil
from pathlib import Path

import lightning as L
import pytest
import torch
from conftest import load, quiet_trainer
from torch import nn
from torch.utils.data import DataLoader

from avfusion.callbacks import BestCheckpoint, LastCheckpoint
from avfusion.callbacks.checkpoints import check_same_monitor
from avfusion.checkpoint import find_checkpoint

pytestmark = [
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
]


class Task(L.LightningModule):
    """Score given numbers at its validations; its weight counts its steps."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.scores = scores

    def training_step(self, batch, batch_idx):
        return -self.weight.sum()

    def validation_step(self, batch, batch_idx) -> None:
        place = self.trainer.global_step // self.every - 1
        self.log("val/score", self.scores[place])

    def configure_optimizers(self):
        return torch.optim.SGD([self.weight], lr=1.0)


def train(folder: Path, scores: list[float], every: int = 4, go_on: bool = False, **options):
    """Train four steps per epoch with a validation every few of them."""
    task = Task(scores)
    task.every = every
    best = BestCheckpoint(str(folder / "checkpoints"), "val/score", **options)
    interval = {"val_check_interval": every} if every < 4 else {}
    trainer = quiet_trainer(
        callbacks=[best, LastCheckpoint(str(folder / "checkpoints"))],
        enable_checkpointing=True,
        max_epochs=len(scores) * every // 4,
        num_sanity_val_steps=0,
        **interval,
    )
    loader = DataLoader(torch.zeros(4, 1))
    last = folder / "checkpoints" / "last.ckpt" if go_on else None
    trainer.fit(task, loader, loader, ckpt_path=last, weights_only=True)
    return best


def steps(file: str | Path) -> int:
    """After how many steps a checkpoint was written."""
    return int(torch.load(file, weights_only=True)["state_dict"]["weight"])


def found(folder: Path) -> int:
    return steps(find_checkpoint(str(folder), "best"))


SCORES = [0.2, 0.9, 0.5, 0.7]


@pytest.mark.parametrize("name", ["best", "{epoch}", "{epoch:03d}_{val/score:.2f}", "mine", None])
@pytest.mark.parametrize("keep", [1, 2, 3, -1])
def test_the_best_is_found_whatever_is_kept_and_however_it_is_named(name, keep, tmp_path):
    best = train(tmp_path, SCORES, save_top_k=keep, filename=name)
    assert found(tmp_path) == steps(best.best_model_path) == 8
    assert float(best.best_model_score) == pytest.approx(0.9)
    kept = {path.name for path in (tmp_path / "checkpoints").iterdir()} - {"best.ckpt", "last.ckpt"}
    alone = keep == 1 and name in ("best", None)
    assert len(kept) == (0 if alone else 4 if keep == -1 else keep)
    assert {steps(tmp_path / "checkpoints" / file) for file in kept} == set(
        {1: [8], 2: [8, 16], 3: [8, 12, 16], -1: [4, 8, 12, 16]}[keep] if not alone else []
    )
    assert steps(tmp_path / "checkpoints" / "last.ckpt") == 16
    assert not any("=" in file or file.endswith(".partial") for file in kept)


def test_several_have_epoch_step_and_score_in_their_names(tmp_path):
    train(tmp_path, SCORES, save_top_k=2)
    names = {path.name for path in (tmp_path / "checkpoints").glob("epoch*")}
    assert names == {"epoch001_step000008_0.9000.ckpt", "epoch003_step000016_0.7000.ckpt"}


def test_the_least_is_best_where_less_is_better(tmp_path):
    best = train(tmp_path, SCORES, save_top_k=3, mode="min")
    assert found(tmp_path) == 4 and float(best.best_model_score) == pytest.approx(0.2)


@pytest.mark.parametrize("keep", [1, 3])
def test_validations_within_an_epoch_count_for_their_own_weights(keep, tmp_path):
    train(tmp_path, [0.1, 0.3, 0.2, 0.9, 0.5, 0.6, 0.4, 0.8], every=2, save_top_k=keep)
    assert found(tmp_path) == 8
    train(tmp_path / "first", [0.1, 0.3, 0.9, 0.2], every=2, save_top_k=keep)
    assert found(tmp_path / "first") == 6


def test_only_every_so_many_epochs_count(tmp_path):
    best = train(tmp_path, SCORES, every_n_epochs=3)
    assert found(tmp_path) == 12 and float(best.best_model_score) == pytest.approx(0.5)


def test_a_run_without_any_that_counts_keeps_its_last_weights(tmp_path):
    best = train(tmp_path, SCORES, every_n_epochs=5)
    assert found(tmp_path) == steps(best.best_model_path) == 16


@pytest.mark.slow
@pytest.mark.parametrize("keep", [1, 3, -1])
@pytest.mark.parametrize("how", ["moved", "copied", "linked", "relative"])
@pytest.mark.parametrize("later", [[0.3, 0.4], [0.3, 0.95], []])
def test_a_run_at_another_place_goes_on_with_its_best(how, keep, later, tmp_path, monkeypatch):
    train(tmp_path / "old", SCORES, save_top_k=keep)
    place = tmp_path / "new" / "place"
    place.parent.mkdir()
    if how == "moved":
        shutil.move(tmp_path / "old", place)
    elif how == "linked":
        place.symlink_to(tmp_path / "old")
    elif how == "copied":
        shutil.copytree(tmp_path / "old", place)
    else:
        monkeypatch.chdir(tmp_path)
        place = Path("old")
    best = train(place, SCORES + later, go_on=True, save_top_k=keep)
    better = 0.95 in later
    assert found(place) == steps(best.best_model_path) == (24 if better else 8)
    assert float(best.best_model_score) == pytest.approx(0.95 if better else 0.9)
    inside = os.path.realpath(place / "checkpoints")
    assert os.path.dirname(best.best_model_path) == inside
    if how == "copied":
        assert found(tmp_path / "old") == 8
        assert steps(tmp_path / "old" / "checkpoints" / "last.ckpt") == 16


def test_without_the_best_one_the_next_one_counts(tmp_path, caplog):
    train(tmp_path, SCORES)
    (tmp_path / "checkpoints" / "best.ckpt").unlink()
    best = train(tmp_path, [*SCORES, 0.3], go_on=True)
    assert found(tmp_path) == 20 and float(best.best_model_score) == pytest.approx(0.3)
    assert "no longer holds best.ckpt" in caplog.text


def test_one_of_two_names_is_enough(tmp_path):
    train(tmp_path, SCORES, save_top_k=2)
    for name in ("epoch001_step000008_0.9000.ckpt", "best.ckpt"):
        (tmp_path / "checkpoints" / name).unlink()
        best = train(tmp_path, SCORES, go_on=True, save_top_k=2)
        assert found(tmp_path) == steps(best.best_model_path) == 8


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (3, -1), (-1, 1)])
def test_another_number_to_keep_loses_nothing(before, after, tmp_path):
    train(tmp_path, SCORES, save_top_k=before)
    best = train(tmp_path, [*SCORES, 0.8, 0.95, 0.97], go_on=True, save_top_k=after)
    assert found(tmp_path) == 28 and float(best.best_model_score) == pytest.approx(0.97)
    for file, score in best.best_k_models.items():
        scores = [*SCORES, 0.8, 0.95, 0.97]
        assert scores[steps(file) // 4 - 1] == pytest.approx(float(score))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"save_top_k": 0}, r"save_top_k=0 would keep no best checkpoint to test: set at least 1"),
        ({"save_top_k": -2}, r"save_top_k=-2 would keep no best"),
        ({"every_n_epochs": 0}, r"every_n_epochs must be at least 1, got 0"),
        ({"every_n_train_steps": 7}, r"validate as often instead, with .*val_check_interval=7"),
        ({"filename": "epoch={epoch}"}, r"must not be last and hold no '='"),
        ({"filename": "last"}, r"must not be last"),
        ({"monitor": None, "save_top_k": 2}, r"needs scores to choose by"),
    ],
)
def test_what_would_keep_another_one_is_refused(options, sentence, tmp_path):
    with pytest.raises(ValueError, match=sentence):
        BestCheckpoint(**{"dirpath": str(tmp_path), "monitor": "val/score"} | options)


def test_without_a_monitor_the_newest_is_the_best(tmp_path):
    class Unmonitored(Task):
        def validation_step(self, batch, batch_idx) -> None:
            pass

    task, folder = Unmonitored([]), str(tmp_path / "checkpoints")
    best = BestCheckpoint(folder, None, save_top_k=-1, every_n_train_steps=3)
    options = {"enable_checkpointing": True, "max_epochs": 2, "num_sanity_val_steps": 0}
    trainer = quiet_trainer(callbacks=[best, LastCheckpoint(folder)], **options)
    loader = DataLoader(torch.zeros(4, 1))
    trainer.fit(task, loader, loader)
    assert found(tmp_path) == 6
    names = {path.name for path in (tmp_path / "checkpoints").glob("epoch*")}
    assert names == {"epoch000_step000003.ckpt", "epoch001_step000006.ckpt"}


def test_scores_of_another_kind_are_not_compared(tmp_path):
    train(tmp_path, SCORES)
    file = tmp_path / "checkpoints" / "last.ckpt"
    checkpoint = torch.load(file, weights_only=True)
    check_same_monitor(file, checkpoint, "val/score", "max")
    with pytest.raises(ValueError, match="by monitor=val/score mode=max, which val/loss cannot"):
        check_same_monitor(file, checkpoint, "val/loss", "min")


def test_the_configuration_keeps_the_best_and_the_last():
    kept = load("train").callbacks
    assert [
        kept[name]._target_.rpartition(".")[2] for name in ("checkpoint", "last_checkpoint")
    ] == [
        "BestCheckpoint",
        "LastCheckpoint",
    ]
