"""First values of parameters."""

from torch import nn


def he(module: nn.Module) -> None:
    """Draw weights of linear maps and convolutions for rectifiers, and set biases to zero.

    torch's own default is smaller by a factor of about 2.4, and networks of this kind then stop
    half way. He et al., 2015, https://arxiv.org/abs/1502.01852.
    """
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv1d | nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
            if part.bias is not None:
                nn.init.zeros_(part.bias)
