"""Networks of torchvision as face encoders, for those that timm lacks."""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.models.face_encoders.freezing import freeze_stages, set_eval_mode
from avfusion.models.face_encoders.weights import read_weights
from avfusion.models.layers.normalize import Normalize


class TorchvisionEncoder(nn.Module):
    """Encode pictures by the features of a network of torchvision, without a pooling at their end.

    For alexnet (Krizhevsky, 2014, https://arxiv.org/abs/1404.5997) that is conv5: [256, 13, 13] at
    224 pixels. ``pretrained`` is none, hub (fetched by torchvision, or from its cache) or a
    .safetensors or .pth file of the whole network; ``freeze`` is all, none or how many layers of
    the features. Pictures are normalized as the network's own data were.
    """

    def __init__(
        self,
        name: str,
        pretrained: str = "none",
        freeze: str | int = "none",
        stream: str = "frames",
    ) -> None:
        super().__init__()
        self.stream = stream
        network, mean, std = _load_network(name, pretrained)
        layers = list(network.features)
        while isinstance(layers[-1], nn.MaxPool2d):
            layers.pop()

        self.network = nn.Sequential(*layers)
        self.channels: int = _count_output_channels(self.network)
        self.normalize = Normalize(mean, std)
        stages = [str(layer) for layer in range(len(layers))]
        self.frozen = freeze_stages(self.network, stages, freeze)

    def forward(
        self, face: Float[Tensor, "batch pictures 3 height width"]
    ) -> Float[Tensor, "batch channels pictures rows columns"]:
        """Encode each picture as a map."""
        pictures = self.normalize(face.movedim(2, -1)).movedim(-1, 2)
        maps = self.network(pictures.flatten(0, 1))
        return maps.unflatten(0, face.shape[:2]).transpose(1, 2)

    def train(self, mode: bool = True) -> "TorchvisionEncoder":
        """Change to training or evaluation mode, but for what is frozen."""
        super().train(mode)
        set_eval_mode(self.frozen)
        return self


def _load_network(name: str, pretrained: str) -> tuple[Any, list[float], list[float]]:
    """Build a network, with mean and deviation of the pictures that it is made for."""
    try:
        from torchvision import models  # takes seconds, and is not needed otherwise
    except ImportError as error:
        raise ValueError(f"{name} needs torchvision: pip install -e '.[encoders]'") from error
    if name not in models.list_models(module=models):
        raise ValueError(f"torchvision has no network {name!r} that sorts pictures.")

    try:
        known = models.get_model_weights(name).DEFAULT
        network = models.get_model(name, weights=known if pretrained == "hub" else None)
    except Exception as error:  # of whatever library fetches them
        raise ValueError(
            f"The weights of {name} cannot be fetched ({error}): set pretrained to a .safetensors "
            "or .pth file that holds them, or to none."
        ) from error
    if not isinstance(getattr(network, "features", None), nn.Sequential):
        raise ValueError(f"{name} has no row of features before its classifier: use timm.")

    if pretrained not in ("none", "hub"):
        try:
            network.load_state_dict(read_weights(pretrained))
        except RuntimeError as error:
            raise ValueError(f"{pretrained} does not fit {name}: {error}") from error

    pictures = known.transforms()
    return network, pictures.mean, pictures.std


def _count_output_channels(network: nn.Module) -> int:
    with torch.no_grad():
        channels = network.eval()(torch.zeros(1, 3, 64, 64)).shape[1]
    network.train()
    return int(channels)
