"""Every model can be looked at while it is trained and tested."""

import pytest
from conftest import MODELS, build_for, quiet_trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from avfusion import callbacks
from avfusion.data.datamodule import FaceAudioDataModule


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_is_drawn_as_it_learns(model, party_store, tmp_path):
    data = FaceAudioDataModule(str(party_store), batch_size=8)
    looking = [
        callbacks.BatchGrid(4),
        callbacks.ClipImages(clips_per_class=1, every_n_epochs=1),
        callbacks.ConfusionMatrix(every_n_epochs=1),
        callbacks.Diagnostics(),
        callbacks.Embeddings(8),
        callbacks.PrecisionRecall(every_n_epochs=1),
        callbacks.WeightHistograms(every_n_epochs=1),
    ]
    logger = TensorBoardLogger(tmp_path, name="", version="", default_hp_metric=False)
    trainer = quiet_trainer(
        max_epochs=1, callbacks=looking, logger=logger, log_every_n_steps=1, num_sanity_val_steps=0
    )
    task = build_for(data, model)
    trainer.fit(task, datamodule=data)
    trainer.test(task, datamodule=data, verbose=False)
    logger.experiment.flush()
    tags = EventAccumulator(str(tmp_path)).Reload().Tags()
    assert {"train/first_batch", "val/confusion", "test/confusion"} <= set(tags["images"])
    assert len([tag for tag in tags["images"] if tag.startswith("clips/")]) >= 2
    assert len([tag for tag in tags["scalars"] if tag.startswith("train/gradient_norm_")]) >= 2
