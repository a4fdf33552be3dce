"""Claims about the random states that travel in checkpoints."""

import random

import lightning as L
import numpy as np
import torch
from conftest import quiet_trainer

from avfusion.callbacks import RandomStates


def draw():
    return [random.random(), random.gauss(0, 1), np.random.rand(), np.random.randn(), torch.rand(1)]


def test_all_generators_go_on_where_they_were(tmp_path):
    draw()
    kept = RandomStates()
    torch.save(kept.state_dict(), tmp_path / "states.pt")
    expected = draw()
    other = RandomStates()
    other.load_state_dict(torch.load(tmp_path / "states.pt", weights_only=True))
    other.on_train_start(quiet_trainer(), L.LightningModule())
    assert draw() == expected
    assert draw() != expected


def test_states_of_another_number_of_processes_are_left_alone():
    kept = RandomStates()
    kept.load_state_dict({"states": RandomStates().state_dict()["states"] * 2})
    draw()
    before = torch.get_rng_state()
    kept.on_train_start(quiet_trainer(), L.LightningModule())
    assert torch.equal(torch.get_rng_state(), before)
