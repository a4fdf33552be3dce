"""Every model can be looked at while it is trained and tested."""

import numpy as np
import pytest
from conftest import MODELS, build_for, quiet_trainer
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from avfusion import dashboard
from avfusion.data.datamodule import FaceAudioDataModule


def events_of_run(task, data, folder) -> EventAccumulator:
    """Train and test a network, and return all that was written."""
    looking = [
        dashboard.BatchGrid(4),
        dashboard.ClipImages(clips_per_class=1, every_n_epochs=1),
        dashboard.ConfusionMatrix(every_n_epochs=1),
        dashboard.Diagnostics(),
        dashboard.Embeddings(8),
        dashboard.PrecisionRecall(every_n_epochs=1),
        dashboard.WeightHistograms(every_n_epochs=1),
    ]
    logger = TensorBoardLogger(folder, name="", version="", default_hp_metric=False)
    trainer = quiet_trainer(
        max_epochs=1, callbacks=looking, logger=logger, log_every_n_steps=1, num_sanity_val_steps=0
    )
    trainer.fit(task, datamodule=data)
    trainer.test(task, datamodule=data, verbose=False)
    logger.experiment.flush()
    return EventAccumulator(str(folder)).Reload()


@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_is_drawn_as_it_learns(model, recordings_store, tmp_path):
    data = FaceAudioDataModule(str(recordings_store), batch_size=8)
    tags = events_of_run(build_for(data, model), data, tmp_path).Tags()
    assert {"train/first_batch", "val/confusion", "test/confusion"} <= set(tags["images"])
    assert len([tag for tag in tags["images"] if tag.startswith("clips/")]) >= 2
    assert len([tag for tag in tags["scalars"] if tag.startswith("train/gradient_norm_")]) >= 2


@pytest.mark.slow
def test_one_that_reads_stored_maps_is_drawn_with_the_pictures(mapped_store, tmp_path):
    data = FaceAudioDataModule(str(mapped_store), batch_size=8, streams=("face_map", "mfcc"))
    task = build_for(data, "lowrank", "model/face_encoder=precomputed")
    tags = events_of_run(task, data, tmp_path).Tags()
    assert {"train/first_batch", "val/confusion"} <= set(tags["images"])
    with Image.open(next(tmp_path.rglob("sprite.png"))) as sprite:
        first = np.array(sprite.convert("RGB"))[:32, :32].transpose(2, 0, 1)
    picture = data.store.read("frames", data.splits.rows("test")[:1])[0, 0].numpy()
    assert abs(first.astype(int) - picture).max() <= 1
