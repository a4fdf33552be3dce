"""Claims about parts that begin to learn later."""

import pytest
import torch
from conftest import build_for, quiet_trainer

from avfusion.callbacks import Unfreezing
from avfusion.data.datamodule import FaceAudioDataModule


@pytest.fixture
def data(party_store):
    return FaceAudioDataModule(str(party_store), batch_size=8)


def copies(module):
    return [parameter.detach().clone() for parameter in module.parameters()]


@pytest.mark.slow
@pytest.mark.parametrize(("epochs", "moves"), [(1, False), (2, False), (3, True)])
def test_a_part_moves_from_its_epoch_on_and_the_others_from_the_first(data, epochs, moves):
    task = build_for(data, "lowrank")
    part, others = task.network.face_encoder, task.network.fusion
    before, before_others = copies(part), copies(others)
    callbacks = [Unfreezing("face_encoder", epoch=2)]
    quiet_trainer(max_epochs=epochs, limit_val_batches=0, callbacks=callbacks).fit(task, data)
    pairs = zip(before, copies(part), strict=True)
    assert any(not torch.equal(old, new) for old, new in pairs) == moves
    pairs = zip(before_others, copies(others), strict=True)
    assert all(not torch.equal(old, new) for old, new in pairs)


@pytest.mark.parametrize("part", ["encoder", ""])
def test_a_part_that_does_not_exist_is_refused_with_those_that_do(data, part):
    with pytest.raises(ValueError, match=rf"no '{part}', only .*face_encoder, audio_encoder"):
        Unfreezing(part, epoch=1).check(build_for(data, "lowrank"), data)


def test_the_first_epoch_is_refused():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        Unfreezing("face_encoder", epoch=0)
