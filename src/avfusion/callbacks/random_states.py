"""A training that goes on draws the random numbers that it would have drawn."""

import random
from typing import Any

import lightning as L
import numpy as np
import torch
from torch import distributed


class RandomStates(L.Callback):
    """Keep the random states of every process in the checkpoint, as tensors and whole numbers."""

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []

    def state_dict(self) -> dict[str, Any]:
        """Return the states of all processes; each of them calls this."""
        return {"states": of_each_process(random_states())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the states until training begins."""
        self.states = state_dict["states"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Restore the states of this process, where there were as many of them."""
        if len(self.states) == trainer.world_size:
            restore(self.states[trainer.global_rank])
        self.states = []


def of_each_process(value: Any) -> list[Any]:
    """Return the values of all processes, in the order of their ranks."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return [value]
    values: list[Any] = [None] * distributed.get_world_size()
    distributed.all_gather_object(values, value)
    return values


def random_states() -> dict[str, Any]:
    """Return the states of python, numpy, torch and its devices."""
    version, numbers, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [str(name), [int(key) for key in keys], int(position), has_gauss, float(cached)],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore(states: dict[str, Any]) -> None:
    """Set all states; those of devices where there are as many of them."""
    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    name, keys, *rest = states["numpy"]
    np.random.set_state((name, np.array(keys, np.uint32), *rest))
    torch.set_rng_state(states["torch"].cpu())
    if len(states["cuda"]) == torch.cuda.device_count() > 0:
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])
