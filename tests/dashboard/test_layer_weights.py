"""Claims about the weights of layers that a run shows."""

from unittest.mock import Mock

import lightning as L
import pytest
import torch
from conftest import events_of
from lightning.pytorch.loggers import TensorBoardLogger
from torch import nn

from avfusion.dashboard import LayerWeights
from avfusion.figures.layer_weights import layer_weights_figure
from avfusion.models.audio_encoders import LSTM, Precomputed
from avfusion.models.layers.layer_weights import list_layer_weights


def network(layers: int) -> nn.Module:
    mean, std = ([[value] * 4] * layers if layers else [value] * 4 for value in (0.0, 1.0))
    encoder = Precomputed(mean, std)
    return nn.ModuleDict({"audio_encoder": encoder, "other": LSTM([0.0], [1.0], hidden_dim=2)})


def test_the_bars_are_the_weights_and_the_line_is_their_mean():
    weights = [0.5, 0.25, 0.125, 0.125]
    (axes,) = layer_weights_figure(weights).axes
    assert [bar.get_height() for bar in axes.patches] == weights
    assert set(axes.lines[0].get_ydata()) == {0.25}


def test_weights_are_listed_by_encoder_as_a_softmax():
    net = network(3)
    with torch.no_grad():
        net["audio_encoder"].layer_weights.logits.copy_(torch.tensor([1.0, 2.0, 4.0]).log())
    for prefix in ("", "network."):
        state = {f"{prefix}{name}": value for name, value in net.state_dict().items()}
        (part, weights), *others = list_layer_weights(state).items()
        assert (part, others) == ("audio_encoder", [])
        assert weights == pytest.approx([1 / 7, 2 / 7, 4 / 7])


def test_weights_that_have_diverged_are_left_out():
    net = network(3)
    nn.init.constant_(net["audio_encoder"].layer_weights.logits, torch.nan)
    assert list_layer_weights(net.state_dict()) == {}


@pytest.mark.parametrize(("layers", "tags"), [(3, ["layer_weights/audio_encoder"]), (0, [])])
def test_they_are_drawn_in_tensorboard_where_there_are_some(layers, tags, tmp_path):
    logger = TensorBoardLogger(tmp_path, name="", version="")
    trainer = Mock(
        spec=L.Trainer,
        loggers=[logger],
        is_global_zero=True,
        sanity_checking=False,
        current_epoch=1,
        max_epochs=9,
        global_step=7,
    )
    callback, task = LayerWeights(every_n_epochs=2), Mock(spec=L.LightningModule)
    task.network = network(layers)
    callback.on_train_epoch_end(trainer, task)
    trainer.current_epoch += 1  # not due
    callback.on_train_epoch_end(trainer, task)
    logger.experiment.flush()
    events = events_of(tmp_path)
    assert events.Tags()["images"] == tags
    assert all([event.step for event in events.Images(tag)] == [7] for tag in tags)
