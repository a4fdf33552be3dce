"""Claims about the charts of the CUSTOM SCALARS tab."""

import re

import pytest
from conftest import build_for, events_of, quiet_trainer
from lightning.pytorch.callbacks import LearningRateMonitor
from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout
from tensorboard.util.tensor_util import make_ndarray

from avfusion.dashboard import ScalarLayout
from avfusion.dashboard.scalar_layout import split_chart
from avfusion.data.datamodule import FaceAudioDataModule

ALWAYS = ["loss", "accuracy", "recall per class, validation"]


def charts(folder) -> dict[str, dict[str, list[str]]]:
    (event,) = events_of(folder).Tensors("custom_scalars__config__")
    layout = Layout.FromString(make_ndarray(event.tensor_proto).item())
    return {
        part.title: {chart.title: list(chart.multiline.tag) for chart in part.chart}
        for part in layout.category
    }


def titles(folder) -> dict[str, list[str]]:
    return {part: list(found) for part, found in charts(folder).items()}


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
    assert found["training"] == ["gradient norm per part", "learning rate"]


@pytest.mark.parametrize(("lines", "sizes"), [(0, []), (8, [8]), (9, [4, 5]), (20, [6, 7, 7])])
def test_a_chart_of_many_lines_is_split_into_some_of_at_most_eight(lines, sizes):
    tags = [f"val/accuracy_{number}" for number in range(lines)]
    found = split_chart("recall", tags)
    assert [len(some) for some in found.values()] == sizes
    assert [tag for some in found.values() for tag in some] == tags
    several = [f"recall, {number} of {len(sizes)}" for number in range(1, len(sizes) + 1)]
    assert list(found) == (several if len(sizes) > 1 else ["recall"] * len(sizes))


def test_no_custom_chart_has_more_than_eight_lines_of_a_run(party_store, tmp_path):
    data = FaceAudioDataModule(str(party_store), batch_size=8)
    data.target.output_names.extend(f"a(b)+{number}" for number in range(19))
    data.description.update(output_names=data.target.output_names, class_counts=[1] * 27)
    task = build_for(data, "lowrank")
    logger = TensorBoardLogger(tmp_path, name="", version="", default_hp_metric=False)
    trainer = quiet_trainer(
        max_steps=1,
        log_every_n_steps=1,
        logger=logger,
        callbacks=[ScalarLayout(), LearningRateMonitor()],
        limit_val_batches=0,
    )
    trainer.fit(task, datamodule=data)
    recalls = [f"val/accuracy_{name}" for name in data.target.output_names]
    logger.log_metrics(dict.fromkeys(recalls, 0.5), 1)
    logger.finalize("success")
    tags = events_of(tmp_path).Tags()["scalars"]
    shown = []
    for found in charts(tmp_path).values():
        for patterns in found.values():
            lines = [tag for tag in tags if any(re.match(p, tag) for p in patterns)]
            assert len(lines) <= 8
            shown += lines
    assert sorted(tag for tag in shown if tag in recalls) == sorted(recalls)
