"""Claims about how long training takes."""

import lightning as L
import pytest
from conftest import build_for, quiet_trainer
from lightning.pytorch.callbacks import LambdaCallback

from avfusion.callbacks.timing import Timing, get_timing
from avfusion.data.datamodule import FaceAudioDataModule


class Clock:
    """Stands still but for what is said to have taken its time."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr("avfusion.callbacks.timing.perf_counter", clock)
    return clock


class Work(L.Callback):
    """Steps take ``seconds[epoch]`` and validations a thousand for each batch."""

    def __init__(self, clock, seconds):
        self.clock, self.seconds = clock, seconds

    def on_train_batch_start(self, trainer, *_):
        self.clock.now += self.seconds[trainer.current_epoch]

    def on_validation_batch_start(self, *_):
        self.clock.now += 1000


def train(party_store, clock, seconds, **options):
    data = FaceAudioDataModule(str(party_store), batch_size=8)
    callbacks = [Timing(), Work(clock, seconds)]
    trainer = quiet_trainer(max_epochs=len(seconds), callbacks=callbacks, **options)
    trainer.fit(build_for(data, "lowrank"), datamodule=data)
    return trainer


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [{}, {"val_check_interval": 1}, {"limit_val_batches": 0}, {"num_sanity_val_steps": 1}],
)
def test_a_step_takes_what_it_takes_in_the_median_epoch_without_validation(
    party_store, clock, options
):
    trainer = train(party_store, clock, [9.0, 0.25, 0.5], **options)
    assert get_timing(trainer)["step_milliseconds"] == 500


@pytest.mark.slow
def test_the_seconds_are_those_since_training_began_with_validation(party_store, clock):
    clock.now = 77.0
    trainer = train(party_store, clock, [2.0], limit_train_batches=2, num_sanity_val_steps=0)
    batches = sum(trainer.num_val_batches)
    assert get_timing(trainer)["seconds"] == 2 * 2 + 1000 * batches


@pytest.mark.slow
def test_a_run_that_goes_on_within_an_epoch_counts_from_its_first_step(
    party_store, clock, tmp_path
):
    data = FaceAudioDataModule(str(party_store), batch_size=8)
    options = {"max_epochs": 1, "num_sanity_val_steps": 0, "limit_val_batches": 0}
    file = tmp_path / "first_step.ckpt"

    def save(trainer, *_):
        if trainer.global_step == 1:
            trainer.save_checkpoint(file)

    first = quiet_trainer(callbacks=[LambdaCallback(on_train_batch_end=save)], **options)
    first.fit(build_for(data, "lowrank"), datamodule=data)
    trainer = quiet_trainer(callbacks=[Timing(), Work(clock, [2.0])], **options)
    task = build_for(data, "lowrank")
    clock.now += 500  # a store is opened, a model is built
    trainer.fit(task, datamodule=data, ckpt_path=file, weights_only=True)
    assert get_timing(trainer)["step_milliseconds"] == 2000


def test_nothing_is_said_of_a_run_without_it(party_store):
    assert get_timing(quiet_trainer()) == {}
