"""Networks of timm that make one vector of a picture."""

from functools import partial
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.models.face_encoders.timm_encoder import import_timm, load_network
from avfusion.models.layers.normalize import Normalize

POOLINGS = ("model", "class", "mean")


class TimmVectors(nn.Module):
    """Encode each picture as a vector by a network of timm, such as CLIP, DINOv2 or EVA-02.

    ``pooling`` is ``model`` (what the network itself does before its classifier or projection),
    ``class`` (its class token) or ``mean`` (over its patches or its map). Pictures are normalized
    as the network's own data were, and resized to ``size`` pixels or, without it, to the size that
    the network was trained on. ``pretrained`` is as for ``TimmEncoder``.
    """

    def __init__(
        self,
        name: str,
        pretrained: str = "none",
        pooling: str = "model",
        size: int | None = None,
    ) -> None:
        super().__init__()
        if pooling not in POOLINGS:
            raise ValueError(f"pooling of {name} must be one of {POOLINGS}, got {pooling!r}.")

        self.pooling = pooling
        timm = import_timm(name)
        known: Any = timm.get_pretrained_cfg(name).to_dict()
        self.size: int = known["input_size"][-1] if size is None else size
        options: dict[str, Any] = {"num_classes": 0}
        if known.get("fixed_input_size", False):
            options["img_size"] = self.size
        self.network: Any = load_network(
            partial(timm.create_model, name, **options), name, pretrained
        )
        self.normalize = Normalize(known["mean"], known["std"])
        self.prefix: int = getattr(self.network, "num_prefix_tokens", 0)
        if pooling == "class" and getattr(self.network, "cls_token", None) is None:
            raise ValueError(f"{name} has no class token: set pooling to model or mean.")

    def forward(
        self, face: Float[Tensor, "batch pictures 3 height width"]
    ) -> Float[Tensor, "batch pictures dim"]:
        """Encode each picture as a vector."""
        pictures = face.flatten(0, 1)
        if pictures.shape[-2:] != (self.size, self.size):
            size = (self.size, self.size)
            pictures = F.interpolate(pictures, size, mode="bilinear", antialias=True)

        pictures = self.normalize(pictures.movedim(1, -1)).movedim(-1, 1)
        features = self.network.forward_features(pictures)
        return self.pool(features).unflatten(0, face.shape[:2])

    def pool(self, features: Tensor) -> Float[Tensor, "pictures dim"]:
        """Make a vector of tokens or of a map."""
        if self.pooling == "model":
            return self.network.forward_head(features, pre_logits=True)
        if self.pooling == "class":
            return features[:, 0]
        if features.ndim == 3:
            return features[:, self.prefix :].mean(1)
        last = getattr(self.network, "output_fmt", "NCHW") == "NHWC"
        return features.mean((1, 2) if last else (2, 3))
