"""Optimizers of torch with learning rates by part, and schedules of the learning rate."""

import inspect
import math
from collections import defaultdict
from collections.abc import Mapping
from itertools import chain
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from avfusion.bounds import NonNegativeFloat

FUSED_DEVICES = ("cpu", "cuda")  # where torch has fused kernels of Adam, AdamW and SGD


def build_optimizer(
    network: nn.Module,
    name: str,
    lr: float,
    weight_decay: NonNegativeFloat = 0.0,
    lr_scale: Mapping[str, float] | None = None,
    model_lr_scale: Mapping[str, float] | None = None,
    fused: bool = False,
    **options: Any,
) -> Optimizer:
    """Build ``torch.optim.<name>`` for the parameters that a network learns.

    ``lr_scale`` multiplies the learning rate by part of the network, as in ``{face_encoder: 0.1}``;
    of two names that hold a parameter the longer one counts. ``model_lr_scale`` is that of the
    model (``model.lr_scale``), and both multiply. Biases and gains do not decay. ``fused`` updates
    all parameters by one kernel, where their device and type have one. ``options`` go to torch.
    """
    if not 0 < lr < math.inf:
        raise ValueError(f"optimizer.lr must be positive and finite, got {lr}.")
    scales = {
        "optimizer.lr_scale": dict(lr_scale or {}),
        "model.lr_scale": dict(model_lr_scale or {}),
    }
    for key, scale in scales.items():
        _check_lr_scale(network, scale, key)

    parameters: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)

    for path, parameter in network.named_parameters():
        if parameter.requires_grad:
            decay = weight_decay if parameter.ndim > 1 else 0.0
            factor = math.prod(_find_factor(path, scale) for scale in scales.values())
            factor = float(f"{factor:g}")  # as its name says, which has to be of one group
            parameters[factor, decay].append(parameter)

    groups = [
        {
            "params": members,
            "lr": lr * factor,
            "weight_decay": decay,
            "name": _name_group(factor, decay),
        }
        for (factor, decay), members in sorted(
            parameters.items(), reverse=True, key=lambda item: item[0]
        )
    ]

    make = getattr(torch.optim, name)
    has_fused = "fused" in inspect.signature(make).parameters  # RAdam and others have not
    if fused and has_fused and all(map(_has_fused_kernel, chain(*parameters.values()))):
        options["fused"] = True
    optimizer = make(groups, lr=lr, weight_decay=weight_decay, **options)
    # Private: torch's mark of fused optimizers, which unscale gradients themselves where a scaler
    # lets them, so that Lightning would clip none. Without it, they are unscaled before.
    optimizer._step_supports_amp_scaling = False
    return optimizer


def cosine_schedule(optimizer: Optimizer, total_steps: int, warmup: float = 0.1) -> LambdaLR:
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


def constant_schedule(optimizer: Optimizer, total_steps: int) -> LambdaLR:
    """Keep the learning rate as it is."""
    return LambdaLR(optimizer, lambda step: 1.0)


def _has_fused_kernel(parameter: nn.Parameter) -> bool:
    return parameter.device.type in FUSED_DEVICES and parameter.is_floating_point()


def _check_lr_scale(network: nn.Module, scale: Mapping[str, float], key: str) -> None:
    known = {name for name, _ in network.named_modules()} - {""}
    for name, factor in scale.items():
        if name not in known:
            parts = ", ".join(part for part, _ in network.named_children())
            raise ValueError(f"{key} has no part {name!r}: the network's are {parts}.")
        if not 0 <= factor < math.inf:
            raise ValueError(f"{key}.{name} must be at least 0, got {factor}.")


def _find_factor(path: str, scale: Mapping[str, float]) -> float:
    holding = [name for name in scale if path.startswith(f"{name}.")]
    return scale[max(holding, key=len)] if holding else 1.0


def _name_group(factor: float, decay: float) -> str:
    kind = "decaying" if decay else "others"
    return kind if factor == 1 else f"{kind}_x{factor:g}"
