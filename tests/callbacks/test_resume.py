"""Claims about the training metrics of an epoch that was interrupted."""

import lightning as L
import pytest
import torch
from conftest import build_for, quiet_trainer
from lightning.pytorch.loggers.logger import DummyLogger

from avfusion.callbacks import ResumedMetrics
from avfusion.data.datamodule import FaceAudioDataModule


class SaveAt(L.Callback):
    """Write checkpoints within the second epoch, after its last batch, after its validation."""

    def __init__(self, folder) -> None:
        self.folder = folder

    def on_train_batch_end(self, trainer, task, outputs, batch, batch_idx) -> None:
        if trainer.current_epoch == 1 and batch_idx == 2:
            trainer.save_checkpoint(self.folder / "within.ckpt")
        if trainer.current_epoch == 1 and trainer.is_last_batch:
            trainer.save_checkpoint(self.folder / "unvalidated.ckpt")

    def on_validation_end(self, trainer, task) -> None:
        if not trainer.sanity_checking and trainer.current_epoch == 1:
            trainer.save_checkpoint(self.folder / "end.ckpt")


class Reports(DummyLogger):
    """Keep the training metrics of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, float]] = []

    def log_metrics(self, metrics, step=None) -> None:
        if "train/accuracy" in metrics:
            self.found.append(metrics)


def train(store, *callbacks, epochs: int, ckpt_path=None) -> list[dict[str, float]]:
    """Return the training metrics of each epoch."""
    data = FaceAudioDataModule(str(store), batch_size=4)
    reports = Reports()
    trainer = quiet_trainer(
        max_epochs=epochs,
        logger=reports,
        callbacks=[ResumedMetrics(), *callbacks],
        log_every_n_steps=1,
    )
    torch.manual_seed(3)
    trainer.fit(build_for(data, "sum"), data, ckpt_path=ckpt_path, weights_only=True)
    return reports.found


@pytest.fixture(scope="module")
def folder(party_store, tmp_path_factory):
    return tmp_path_factory.mktemp("counted")


@pytest.fixture(scope="module")
def whole(party_store, folder):
    return train(party_store, SaveAt(folder), epochs=3)


@pytest.mark.slow
def test_an_epoch_that_goes_on_is_reported_with_the_clips_before_the_interruption(
    party_store, whole, folder
):
    assert len(whole) == 3 and all(len(report) > 4 for report in whole)
    assert train(party_store, epochs=3, ckpt_path=folder / "within.ckpt") == whole[1:]

    checkpoint = torch.load(folder / "within.ckpt", weights_only=True)
    assert not any("metrics" in name for name in checkpoint["state_dict"])
    del checkpoint["training_metrics"]
    torch.save(checkpoint, folder / "without.ckpt")
    without = train(party_store, epochs=3, ckpt_path=folder / "without.ckpt")
    assert without[0] != whole[1] and without[1] == whole[2]


@pytest.mark.slow
def test_an_epoch_that_lacks_nothing_but_its_report_gets_it(party_store, whole, folder):
    assert train(party_store, epochs=3, ckpt_path=folder / "end.ckpt") == whole[1:]


@pytest.mark.slow
def test_what_goes_on_with_the_next_epoch_counts_that_one_alone(party_store, whole, folder):
    assert train(party_store, epochs=3, ckpt_path=folder / "unvalidated.ckpt") == whole[2:]
