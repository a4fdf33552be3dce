"""Face maps that are computed once, by an encoder that does not learn."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.checkpoint import check_targets, find_checkpoint, get_stream_encoders, read_checkpoint
from avfusion.features.face import FRAMES
from avfusion.features.streams import Encoded, digest_weights
from avfusion.files import hash_file

log = logging.getLogger(__name__)
ENCODER_PREFIX = "network.face_encoder."  # of its weights in a checkpoint


@dataclass(frozen=True)
class FaceMaps:
    """Face maps of a store: the stream encoder that computes them, from pictures in [0, 1].

    ``run`` is a trained run or a checkpoint; it stands for the face encoder of its network, or for
    the one that made the maps which its network was trained on. ``encoder`` is the recipe of an
    encoder, filled in where there is a run. Without weights of its own (``pretrained``) it keeps
    the first ones, which are always the same. ``sha256`` is filled in: that of the run's weights,
    or of the file that ``pretrained`` names. ``stream`` is the name that the maps get in a store.
    """

    run: str | None = None
    encoder: Mapping[str, Any] | None = None
    sha256: str | None = None
    stream: str = "face_map"
    modality: ClassVar[str] = "face"
    reads: ClassVar[str] = FRAMES

    def __post_init__(self) -> None:
        if self.run is None:
            object.__setattr__(self, "sha256", _digest_file(self.pretrained))
            return
        if self.encoder is not None:
            raise ValueError(
                "features.face_maps takes a run or an encoder, got both: set "
                "features.face_maps.run=null, or features/face_maps=run."
            )

        recipe, weights = self._run_encoder
        object.__setattr__(self, "encoder", recipe)
        object.__setattr__(self, "sha256", digest_weights(weights))

    @cached_property
    def _run_encoder(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        assert self.run is not None
        return read_encoder(self.run)

    def __getstate__(self) -> dict[str, Any]:
        """Settings only: other processes decode, and need no weights."""
        return {name: value for name, value in vars(self).items() if name != "_run_encoder"}

    @property
    def pretrained(self) -> str:
        """Source of a recipe's weights: none, hub or a file."""
        return str((self.encoder or {}).get("pretrained", "none"))

    @property
    def weights(self) -> str:
        """Origin of the weights, in words."""
        if self.run is not None:
            return str(find_checkpoint(self.run, "best"))
        return "drawn" if self.pretrained == "none" else self.pretrained

    def recipe(self) -> dict[str, Any]:
        """Recipe of the encoder without its weights, which are kept beside the maps."""
        recipe = dict(self.encoder or {})
        return recipe | {"pretrained": "none"} if "pretrained" in recipe else recipe

    def source(self) -> dict[str, Any]:
        """Location of the weights: a run, or a setting of the encoder."""
        if self.run is not None:
            return {"run": self.run}
        return {} if self.pretrained == "none" else {"pretrained": self.pretrained}

    def identity(self) -> list[Any]:
        """Identity of these maps, wherever the weights lie."""
        return [self.recipe(), self.sha256 or self.pretrained]

    def build(self, state: Mapping[str, Tensor] | None = None) -> "FaceMapEncoder":
        """Build the encoder with its weights, or those of a ``state``, frozen and in eval mode.

        Raises:
            ValueError: where the recipe is of no face encoder, or of one that reads no pictures.
        """
        from hydra.utils import instantiate  # half a second that decoding does without

        check_targets(Path("features.face_maps.encoder"), self.encoder)
        if state is None and self.run is not None:
            state = self._run_encoder[1]
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            encoder = instantiate(self.encoder if state is None else self.recipe(), _convert_="all")

        if not (isinstance(encoder, nn.Module) and hasattr(encoder, "channels")):
            raise ValueError(
                f"features.face_maps.encoder must be a face encoder, got {self.encoder}."
            )
        if (stream := getattr(encoder, "stream", FRAMES)) != FRAMES:
            raise ValueError(
                f"features.face_maps.encoder reads the stream {stream}, and face maps are computed "
                f"of {FRAMES}: give an encoder of those."
            )

        if state is not None:
            encoder.load_state_dict(state)
        elif self.pretrained == "none":
            log.warning("The face maps are those of an encoder that has learned nothing.")
        return FaceMapEncoder(encoder).eval().requires_grad_(False)


class FaceMapEncoder(nn.Module):
    """A face encoder whose maps have their pictures first, as a store keeps them.

    Its weights go by the names that they have in the face encoder itself.
    """

    kind = "maps"
    layers = 0
    rate = None
    offset = 0.0

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(
        self, frames: Float[Tensor, "batch pictures 3 height width"], lengths: None = None
    ) -> Encoded:
        """Encode the pictures of some clips."""
        return Encoded(self.encoder(frames).transpose(1, 2))

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """Weights of the face encoder."""
        return self.encoder.state_dict(*args, **kwargs)


def read_encoder(run: str) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Read recipe and weights of the encoder that a run stands for."""
    file = find_checkpoint(run, "best")
    checkpoint = read_checkpoint(file)
    recipe, weights = checkpoint["recipe"], checkpoint["state_dict"]

    stream = (recipe["model"]["network"].get("face_encoder") or {}).get("stream")
    if stream in (precomputed := get_stream_encoders(checkpoint)):
        return recipe["description"]["streams"][stream]["encoder"], precomputed[stream]

    own = {
        name.removeprefix(ENCODER_PREFIX): value
        for name, value in weights.items()
        if name.startswith(ENCODER_PREFIX)
    }
    if not own:
        raise ValueError(
            f"The network of {file} has no face encoder to compute maps with: give "
            "features.face_maps.run another run, such as one of model=lowrank."
        )
    return recipe["model"]["network"]["face_encoder"], own


def _digest_file(pretrained: str) -> str | None:
    if pretrained in ("none", "hub"):
        return None
    if not Path(pretrained).is_file():
        raise FileNotFoundError(
            f"No weights at {pretrained}: features.face_maps.encoder.pretrained must be hub or a "
            ".safetensors or .pth file."
        )
    return hash_file(Path(pretrained))
