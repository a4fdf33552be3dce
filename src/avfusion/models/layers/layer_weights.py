"""Learned weights of the hidden layers of a frozen encoder."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.models.layers.normalize import Normalize, cast_for_autocast


class LayerWeights(nn.Module):
    """Average the layers of a stream by weights that are learned: a softmax.

    SUPERB: Yang et al., 2021, https://arxiv.org/abs/2105.01051. The weights begin equal.
    ``layer_norm`` first normalizes each step of each layer over its features, without gains. Of a
    stream without layers (zero) the values are handed on.
    """

    def __init__(self, layers: int, layer_norm: bool = False) -> None:
        super().__init__()
        if layer_norm and not layers:
            raise ValueError(
                "layer_norm=true normalizes the layers of a stream, and this one has none: leave "
                "it out, or prepare the stream with all layers of its encoder."
            )
        self.layers = layers
        self.layer_norm = layer_norm
        if layers > 1:  # of one alone there is nothing to learn
            self.logits = nn.Parameter(torch.zeros(layers))

    @property
    def weights(self) -> Float[Tensor, "layers"]:
        """The weight of each layer; they sum to one."""
        return self.logits.softmax(dim=0) if self.layers > 1 else torch.ones(self.layers)

    def forward(
        self, values: Float[Tensor, "batch *layers_time dim"], normalize: Normalize | None = None
    ) -> Float[Tensor, "batch time dim"]:
        """Average over the layers, which are the second axis, after ``normalize`` of each."""
        if not self.layers or self.layer_norm:
            values = values if normalize is None else normalize(values)
        if not self.layers:
            return values
        if self.layer_norm:
            values, normalize = F.layer_norm(values, values.shape[-1:]), None

        weights = self.weights.to(values)
        if normalize is None:
            return _sum_layers(values, weights[:, None])
        # Means and deviations go into the sum: to normalize all layers first took three times as
        # long on a CPU, forward and backward, of 32 clips with 5 layers of 264 x 384.
        mean, std = normalize.mean.squeeze(1), normalize.std.squeeze(1)
        gains = weights[:, None] / std
        return cast_for_autocast(_sum_layers(values, gains) - (gains * mean).sum(0))


def _sum_layers(
    values: Float[Tensor, "batch layers *time dim"], gains: Float[Tensor, "layers #dim"]
) -> Float[Tensor, "batch *time dim"]:
    total = values[:, 0] * gains[0]
    for layer in range(1, values.shape[1]):
        total = torch.addcmul(total, values[:, layer], gains[layer])
    return total


def list_layer_weights(state: Mapping[str, Tensor]) -> dict[str, list[float]]:
    """List the weights that a network has learned, by the encoder that they belong to.

    ``state`` is its state dictionary. Weights that are not finite, of a network that has diverged,
    are left out.
    """
    found = {}
    for name, logits in state.items():
        if not name.endswith(".layer_weights.logits"):
            continue
        weights = logits.float().softmax(dim=0)
        if weights.isfinite().all():
            found[name.removeprefix("network.").partition(".")[0]] = weights.tolist()

    return found
