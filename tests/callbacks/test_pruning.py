"""Claims about trials that are given up."""

import lightning as L
import optuna
import pytest
import torch
from conftest import load, quiet_trainer
from optuna.pruners import MedianPruner, NopPruner

from avfusion.callbacks.pruning import Pruning, was_pruned


class Scripted(L.LightningModule):
    """A task whose validation scores are given, one per epoch."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        self.scores = scores
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def training_step(self, batch, _):
        return self.weight

    def validation_step(self, batch, _):
        self.log("val/accuracy", self.scores[self.current_epoch])

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), 0.1)


@pytest.fixture
def file(tmp_path):
    return tmp_path / "optuna.db"


@pytest.fixture
def study(file):
    return optuna.create_study(
        storage=f"sqlite:///{file}", study_name="sweep", direction="maximize"
    )


def train(file, trial: int, scores: list[float], pruner=None) -> L.Trainer:
    """Train as a job of a search would, for as many epochs as there are scores."""
    pruner = pruner or MedianPruner(n_startup_trials=1, n_warmup_steps=1)
    pruning = Pruning("val/accuracy", str(file), trial, pruner)
    trainer = quiet_trainer(callbacks=[pruning], max_epochs=len(scores), num_sanity_val_steps=1)
    loader = torch.utils.data.DataLoader([0.0], batch_size=1)
    trainer.fit(Scripted(scores), loader, loader)
    return trainer


@pytest.mark.slow
def test_every_validation_is_reported_once_and_a_good_trial_runs_to_its_end(file, study):
    study.ask()
    trainer = train(file, 0, [0.5, 0.25, 0.75])
    assert study.trials[0].intermediate_values == {0: 0.5, 1: 0.25, 2: 0.75}
    assert trainer.current_epoch == 3 and not was_pruned(trainer)


@pytest.mark.slow
def test_a_trial_below_the_median_ends_after_the_warm_up(file, study):
    for number, scores in enumerate(([0.5, 0.625, 0.75], [0.125, 0.25, 0.375])):
        study.ask()
        trainer = train(file, number, scores)
        if number == 0:
            study.tell(0, 0.75)
    assert trainer.current_epoch == 2 and was_pruned(trainer)
    assert study.trials[1].intermediate_values == {0: 0.125, 1: 0.25}


def test_a_bad_last_epoch_finishes_a_run_rather_than_prunes_it(file, study):
    for number, scores in enumerate(([0.5, 0.6], [0.6, 0.1])):
        study.ask()
        trainer = train(file, number, scores)
        if number == 0:
            study.tell(0, 0.6)
    assert trainer.current_epoch == 2 and not was_pruned(trainer)


@pytest.mark.slow
def test_what_was_reported_before_an_interruption_stays(file, study):
    study.ask()
    train(file, 0, [0.5, 0.25], NopPruner())
    train(file, 0, [0.5, 0.75, 1.0], NopPruner())
    assert study.trials[0].intermediate_values == {0: 0.5, 1: 0.25, 2: 1.0}


def test_a_run_that_is_no_trial_is_told_how_to_become_one():
    with pytest.raises(ValueError, match="sweep=optuna needs -m"):
        Pruning("val/accuracy", None, None, MedianPruner())


def test_a_monitor_that_no_validation_knows_is_refused(file):
    with pytest.raises(ValueError, match=r"monitor=train/loss .*callbacks\.pruning=null"):
        Pruning("train/loss", str(file), 0, MedianPruner())


def test_a_missing_study_is_not_made(file):
    with pytest.raises(FileNotFoundError, match=r"no study .*optuna\.db"):
        train(file, 0, [0.5])
    assert not file.exists()


def test_only_a_search_prunes():
    assert "pruning" not in load("train").callbacks
    assert load("train", "sweep=optuna").callbacks.pruning.monitor == "val/accuracy"
