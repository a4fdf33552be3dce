"""Networks of timm for pictures as a stream: a face map, or a vector of each picture."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.features.streams import Encoded
from avfusion.files import hash_file

OUTPUTS = ("map", "vector")


@dataclass(frozen=True)
class Pictures:
    """A network of timm by its name: CLIP, DINOv2, EVA-02, SigLIP, VGG and a thousand others.

    Attributes:
        stream: the name that its output gets in a store.
        name: of the network, with the tag of its weights, such as vit_base_patch16_clip_224.openai.
        pretrained: hub, a .safetensors or .pth file, or none.
        output: ``map`` (the last one of ``reduction`` pixels per cell) or ``vector``.
        pooling: of vectors: model (as the network does), class (its class token) or mean.
        reduction: pixels of the picture per cell of a map.
        size: pixels that pictures are resized to; without it, those that the network needs.
    """

    modality: ClassVar[str] = "face"
    reads: ClassVar[str] = "frames"

    stream: str
    name: str
    pretrained: str = "hub"
    output: str = "vector"
    pooling: str = "model"
    reduction: int = 16
    size: int | None = None

    def __post_init__(self) -> None:
        if self.output not in OUTPUTS:
            raise ValueError(
                f"features.face_stream.output must be one of {OUTPUTS}, got {self.output!r}."
            )

    @property
    def weights(self) -> str:
        """Origin of the weights, in words."""
        return f"{self.name} of timm" if self.pretrained == "hub" else self.pretrained

    @cached_property
    def sha256(self) -> str | None:
        """SHA-256 of a file of weights."""
        file = Path(self.pretrained)
        return hash_file(file) if file.is_file() else None

    def recipe(self) -> dict[str, Any]:
        """All that decides what it computes, but its weights."""
        settings: dict[str, Any] = {"output": self.output, "size": self.size}
        if self.output == "map":
            settings["reduction"] = self.reduction
        else:
            settings["pooling"] = self.pooling
        target = f"{type(self).__module__}.{type(self).__name__}"
        return {"_target_": target, "stream": self.stream, "name": self.name, **settings}

    def source(self) -> dict[str, Any]:
        """Location of its weights."""
        file = Path(self.pretrained)
        return {"pretrained": str(file.absolute()) if file.is_file() else self.pretrained}

    def build(self, state: Mapping[str, Tensor] | None = None) -> nn.Module:
        """Build the module that computes, frozen and in eval mode."""
        from avfusion.models.face_encoders.timm_encoder import TimmEncoder
        from avfusion.models.face_encoders.timm_vectors import TimmVectors

        pretrained = self.pretrained if state is None else "none"
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            network: nn.Module
            if self.output == "map":
                network = TimmEncoder(self.name, pretrained, self.reduction, size=self.size)
            else:
                network = TimmVectors(self.name, pretrained, self.pooling, self.size)

        encoder = PictureEncoder(network, "maps" if self.output == "map" else "sequence")
        if state is not None:
            encoder.load_state_dict(state)
        return encoder.eval().requires_grad_(False)


class PictureEncoder(nn.Module):
    """A face map, or a vector of each picture."""

    layers = 0
    rate = None
    offset = 0.0

    def __init__(self, network: nn.Module, kind: str) -> None:
        super().__init__()
        self.network, self.kind = network, kind

    def forward(
        self, frames: Float[Tensor, "batch pictures 3 height width"], lengths: None = None
    ) -> Encoded:
        """Encode the pictures of some clips."""
        values = self.network(frames)
        return Encoded(values.transpose(1, 2) if self.kind == "maps" else values)
