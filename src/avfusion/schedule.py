"""Learning rate over the steps of a training run."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR


def cosine(optimizer: Optimizer, total_steps: int, warmup: float = 0.1) -> LambdaLR:
    """Rise linearly over a part ``warmup`` of all steps, then fall to zero along a cosine.

    Loshchilov and Hutter, 2017, https://arxiv.org/abs/1608.03983, without restarts.
    """
    if not 0 <= warmup < 1:
        raise ValueError(f"scheduler.warmup must lie in [0, 1), got {warmup}.")
    rise = max(1, round(warmup * total_steps))

    def _factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        done = min(1.0, (step - rise) / max(1, total_steps - rise))
        return 0.5 * (1 + math.cos(math.pi * done))

    return LambdaLR(optimizer, _factor)


def constant(optimizer: Optimizer, total_steps: int) -> LambdaLR:
    """Keep the learning rate as it is."""
    return LambdaLR(optimizer, lambda step: 1.0)
