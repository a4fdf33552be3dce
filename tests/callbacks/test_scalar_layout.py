"""Claims about the charts of the CUSTOM SCALARS tab."""

import pytest
from conftest import build_for, events_of, quiet_trainer
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.util.tensor_util import make_ndarray

from avfusion.callbacks import ScalarLayout
from avfusion.data.datamodule import FaceAudioDataModule

ALWAYS = ["loss", "accuracy", "recall per class, validation"]


def titles(folder) -> dict[str, list[str]]:
    (event,) = events_of(folder).Tensors("custom_scalars__config__")
    layout = Layout.FromString(make_ndarray(event.tensor_proto).item())
    return {part.title: [chart.title for chart in part.chart] for part in layout.category}


SHAPE = ["largest weight, similarity of glimpses", "entropy of a glimpse (nats)"]


@pytest.mark.parametrize("boxes", [True, False])
def test_charts_that_the_data_would_leave_empty_are_left_out(party_store, tmp_path, boxes):
    data = FaceAudioDataModule(str(party_store), batch_size=8)
    data.description["boxes"] = boxes
    logger = TensorBoardLogger(tmp_path, name="", version="")
    trainer = quiet_trainer(
        max_steps=1, log_every_n_steps=1, logger=logger, callbacks=[ScalarLayout()]
    )
    trainer.fit(build_for(data, "lowrank"), datamodule=data)
    logger.finalize("success")
    found = titles(tmp_path)
    assert found["scores"] == ALWAYS
    assert found["attention"] == ["attention on the speaker"] * boxes + SHAPE
    assert found["system"] == ["gradient norm per part", "learning rate"]
