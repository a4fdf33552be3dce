"""Initialization of weights: the choices of ``model.init``, and what parts use by default."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import nn

INITS: dict[str, dict[str, float]] = {  # with their options
    "normal": {"std": 0.02},
    "uniform": {"range": 0.05},
    "xavier": {"gain": 1.0},
    "kaiming": {"gain": 2**0.5},
    "orthogonal": {"gain": 1.0},
}
Init = str | Mapping[str, str | float]


def init_he(module: nn.Module) -> None:
    """Draw weights of linear maps and convolutions for rectifiers, and set biases to zero.

    torch's own default is smaller by a factor of about 2.4, and networks of this kind then stop
    half way. He et al., 2015, https://arxiv.org/abs/1502.01852.
    """
    _init_kaiming(module, "relu")


def init_lecun(module: nn.Module) -> None:
    """Draw weights where no rectifier follows, and set biases to zero: the mean square stays.

    LeCun et al., 1998, https://doi.org/10.1007/3-540-49430-8_2.
    """
    _init_kaiming(module, "linear")


def init_side_by_side(layer: nn.Linear | nn.Conv2d, widths: Sequence[int]) -> None:
    """Draw a rectified layer of several concatenated inputs as the sum of one layer of each.

    ``widths`` are those of the inputs, in their order. With one fan-in for all of them, a narrow
    input beside a wide one would count less.
    """
    with torch.no_grad():
        for weight in layer.weight.split(list(widths), dim=1):
            nn.init.kaiming_normal_(weight, nonlinearity="relu")
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)


def init_recurrent(module: nn.Module) -> None:
    """Draw LSTMs and GRUs so that their states differ between voices from the first step on.

    Input weights keep the variance of standardized input (LeCun et al., 1998), the hidden-to-hidden
    matrix of each gate is orthogonal (Saxe et al., 2014, https://arxiv.org/abs/1312.6120), biases
    are zero, and an LSTM's forget gate begins open, with a bias of one (Jozefowicz et al., 2015,
    https://proceedings.mlr.press/v37/jozefowicz15.html). With torch's own initialization the audio
    vectors of two clips differ by a fifth of that: a voice hardly counts beside a face.
    """
    for part in module.modules():
        if not isinstance(part, nn.LSTM | nn.GRU):
            continue

        for name, parameter in part.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.kaiming_normal_(parameter, nonlinearity="linear")
            elif name.startswith("weight_hh"):
                for gate in parameter.detach().split(part.hidden_size):
                    nn.init.orthogonal_(gate)
            else:
                nn.init.zeros_(parameter)
                if isinstance(part, nn.LSTM) and name.startswith("bias_ih"):
                    nn.init.ones_(parameter.detach()[part.hidden_size : 2 * part.hidden_size])


def initialize(network: nn.Module, init: Init, parts: Mapping[str, Init] | None = None) -> None:
    """Draw all weights that are learned anew, or those of some ``parts`` in ways of their own.

    ``default`` leaves the initialization that parts chose for themselves, and ``reset`` gives every
    layer torch's own. The others draw matrices and filters, and leave biases and gains:

    * normal: deviation ``std``, 0.02
    * uniform: within ``range``, 0.05
    * xavier: Glorot and Bengio, 2010, https://proceedings.mlr.press/v9/glorot10a.html; ``gain`` 1
    * kaiming: He et al., 2015, https://arxiv.org/abs/1502.01852; ``gain`` the root of 2, for
      rectifiers
    * orthogonal: Saxe et al., 2014, https://arxiv.org/abs/1312.6120; ``gain`` 1

    With an option, a way is ``{name: normal, std: 0.01}``. ``parts`` are named by their path in the
    network; of two that hold a parameter the longer name counts.
    """
    ways = {"": _read_init(init, "model.init")}
    modules = dict(network.named_modules())
    for part, own in (parts or {}).items():
        if not part or part not in modules:
            known = ", ".join(name for name, _ in network.named_children())
            raise ValueError(f"model.init_parts has no part {part!r}: the network's are {known}.")
        ways[part] = _read_init(own, f"model.init_parts.{part}")

    for path, module in modules.items():
        name, _ = ways[_find_part(path, ways)]
        if name == "reset" and callable(reset := getattr(module, "reset_parameters", None)):
            reset()

    for path, parameter in network.named_parameters():
        name, scale = ways[_find_part(path, ways)]
        if name in INITS and parameter.requires_grad and parameter.ndim > 1:
            _draw_weight(parameter, name, scale)


def _init_kaiming(module: nn.Module, nonlinearity: Literal["relu", "linear"]) -> None:
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity=nonlinearity)
            if part.bias is not None:
                nn.init.zeros_(part.bias)


def _read_init(init: Init, key: str) -> tuple[str, float]:
    """Check a way to draw weights, and return its name and scale."""
    given = {"name": init} if isinstance(init, str) else dict(init)
    name = given.pop("name", None)
    if name not in ("default", "reset", *INITS):
        raise ValueError(f"{key} must be default, reset or one of {[*INITS]}, got {name!r}.")

    known = INITS.get(str(name), {})
    for option, value in given.items():
        if option not in known:
            takes = ", ".join(known) or "no option"
            raise ValueError(f"{key}: {name} takes {takes}, not {option}.")
        if isinstance(value, str) or not 0 < value < math.inf:
            raise ValueError(f"{key}.{option} must be a positive number, got {value!r}.")

    scale = {**known, **given}
    return str(name), float(next(iter(scale.values()), 1.0))


def _find_part(path: str, parts: Mapping[str, Any]) -> str:
    """Find the longest of some names of parts that holds a module or parameter."""
    return max((name for name in parts if f"{path}.".startswith(f"{name}.") or not name), key=len)


def _draw_weight(weight: nn.Parameter, name: str, scale: float) -> None:
    if name == "normal":
        nn.init.normal_(weight, std=scale)
    elif name == "uniform":
        nn.init.uniform_(weight, -scale, scale)
    elif name == "xavier":
        nn.init.xavier_uniform_(weight, gain=scale)
    elif name == "kaiming":
        nn.init.kaiming_normal_(weight)
        weight.data.mul_(scale / INITS["kaiming"]["gain"])
    else:
        nn.init.orthogonal_(weight, gain=scale)
