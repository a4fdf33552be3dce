"""Optimizers of torch, with other learning rates for some parts, and schedules of the rate."""

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from avfusion.bounds import NonNegativeFloat


def build(
    network: nn.Module,
    name: str,
    lr: float,
    weight_decay: NonNegativeFloat = 0.0,
    groups: Mapping[str, float] | None = None,
    lr_factors: Mapping[str, float] | None = None,
    **options: Any,
) -> Optimizer:
    """Return the optimizer ``torch.optim.<name>`` of what a network learns.

    ``groups`` names parts of the network, such as ``face_encoder``, and by what their learning rate
    is multiplied; of two names that hold a parameter the longer one counts. ``lr_factors`` do the
    same beside them: they are those of a model, ``groups`` those of an experiment. Biases and gains
    do not decay. ``options`` go to torch.
    """
    if not 0 < lr < math.inf:
        raise ValueError(f"optimizer.lr must be positive and finite, got {lr}.")
    known = {"optimizer.groups": dict(groups or {}), "model.lr_factors": dict(lr_factors or {})}
    for key, factors in known.items():
        check_names(network, factors, key)
    parameters: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
    for path, parameter in network.named_parameters():
        if parameter.requires_grad:
            decay = weight_decay if parameter.ndim > 1 else 0.0
            factor = math.prod(factor_of(path, factors) for factors in known.values())
            factor = float(f"{factor:g}")  # as its name says, which has to be of one group
            parameters[factor, decay].append(parameter)
    split = [
        {"params": some, "lr": lr * factor, "weight_decay": decay, "name": name_of(factor, decay)}
        for (factor, decay), some in sorted(parameters.items(), reverse=True, key=lambda kv: kv[0])
    ]
    return getattr(torch.optim, name)(split, lr=lr, weight_decay=weight_decay, **options)


def check_names(network: nn.Module, factors: Mapping[str, float], key: str) -> None:
    """Refuse names of no part, and factors that are none."""
    known = {name for name, _ in network.named_modules()} - {""}
    for name, factor in factors.items():
        if name not in known:
            parts = ", ".join(part for part, _ in network.named_children())
            raise ValueError(f"{key} has no part {name!r}: the network's are {parts}.")
        if not 0 <= factor < math.inf:
            raise ValueError(f"{key}.{name} must be at least 0, got {factor}.")


def name_of(factor: float, decay: float) -> str:
    """Return what curves call a group of parameters."""
    kind = "decaying" if decay else "others"
    return kind if factor == 1 else f"{kind}_x{factor:g}"


def factor_of(path: str, factors: Mapping[str, float]) -> float:
    """Return the factor of the longest name that holds a parameter, else one."""
    holding = [name for name in factors if path.startswith(f"{name}.")]
    return factors[max(holding, key=len)] if holding else 1.0


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
