"""Pretrained speech networks that learn along: their last blocks, or low-rank updates."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.features.streams import digest_weights
from avfusion.models.audio_encoders.pooling import check_dropout, make_pooling
from avfusion.models.initialization import init_lecun
from avfusion.models.layers.layer_weights import LayerWeights
from avfusion.models.layers.lora import PROJECTIONS, add_lora
from avfusion.models.speech import build_network, load_network, read_architecture
from avfusion.models.speech.loading import read_revision
from avfusion.models.speech.whisper_copies import CONVERTED, locate_weights

LAYERS = ("last", "all")
SAMPLE_RATE = 16_000


class Speech(nn.Module):
    """A network of transformers for speech, such as WavLM or Whisper, that reads the waveform.

    ``name`` is an id of the Hugging Face hub, of which ``revision`` is a branch, tag or commit, or
    a folder; None is Whisper tiny.en, from a copy on this machine. ``freeze`` is all, none, or how
    many of its first blocks stay as they are, with all that is no block. ``lora_rank`` adds
    low-rank updates, scaled by ``lora_alpha / lora_rank``, to queries and values of the blocks that
    are frozen; zero adds none. ``layers`` is last, or all for a learned mean of the blocks, each of
    which is normalized first. ``projection`` is the width of a linear map of each frame, with
    ``dropout`` before it.

    A checkpoint holds what is learned, and says where the frozen weights were read: they are read
    there again, and refused if their ``sha256`` is another one. ``architecture`` is what a network
    without frozen weights is built of.
    """

    def __init__(
        self,
        name: str | None,
        revision: str | None = None,
        freeze: str | int = "all",
        lora_rank: int = 0,
        lora_alpha: float = 16.0,
        layers: str = "all",
        projection: int | None = None,
        dropout: float = 0.0,
        pooling: str = "mean+std",
        stream: str = "waveform",
        architecture: Mapping[str, Any] | None = None,
        sha256: str | None = None,
    ) -> None:
        super().__init__()
        check_dropout(dropout)
        if layers not in LAYERS:
            raise ValueError(f"layers must be one of {LAYERS}, got {layers!r}.")
        if projection is not None and projection < 1:
            raise ValueError(f"projection must be null or at least 1, got {projection}.")
        if lora_rank < 0 or lora_alpha <= 0:
            raise ValueError(
                "lora_rank must be at least 0, and lora_alpha above 0, got "
                f"{lora_rank} and {lora_alpha}."
            )
        if lora_rank and freeze in ("none", 0):
            raise ValueError(
                f"lora_rank={lora_rank} updates frozen blocks, and freeze={freeze} freezes "
                "none: set freeze=all, or leave out lora_rank."
            )

        self.stream = stream
        self.name, self.revision = name, revision
        if architecture is None or freeze != "none":
            name, revision = _locate_weights(name, revision, sha256)
        self.architecture = architecture or read_architecture(str(name), revision)
        if architecture is not None and freeze == "none":
            self.network: Any = build_network(architecture)  # the checkpoint holds all of it
        else:
            self.network = _load_network(str(name), revision, self.architecture, sha256)

        self.freeze = freeze
        self.learning = _freeze_blocks(self.network, freeze)
        self.sha256 = None if freeze == "none" else self._check_weights(sha256)
        if lora_rank:
            learning = {id(block) for block in self.learning}
            frozen = [block for block in self.network.blocks if id(block) not in learning]
            if not add_lora(frozen, lora_rank, lora_alpha):
                names = ", ".join(PROJECTIONS)
                raise ValueError(
                    f"lora_rank={lora_rank} updates {names} of frozen blocks, and {name} has none "
                    "of these: set lora_rank=0."
                )
        self.is_frozen = not any(part.requires_grad for part in self.network.parameters())
        self.referred = [] if freeze == "none" else _list_frozen(self.network)
        self.register_state_dict_post_hook(_leave_out_referred)
        self.register_load_state_dict_post_hook(_expect_no_referred)

        blocks = len(self.network.blocks) + 1 if layers == "all" else 0
        self.layer_weights = LayerWeights(blocks, layer_norm=layers == "all")
        self.dropout = nn.Dropout(dropout)
        self.projection: nn.Module = nn.Identity()
        self.dim: int = self.network.dim
        if projection is not None:
            self.projection = nn.Linear(self.dim, projection)
            init_lecun(self.projection)
            self.dim = projection
        self.pooling = make_pooling(pooling, self.dim)
        self.vector_dim = self.pooling.statistics * self.dim

    def forward(
        self, audio: Float[Tensor, "batch samples"], audio_length: Int[Tensor, "batch"]
    ) -> tuple[Float[Tensor, "batch frames dim"], Float[Tensor, "batch vector_dim"]]:
        """Encode sounds in [-1, 1) at 16 kHz as a token for each frame, and a vector."""
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.is_frozen):
            states = self.network(self.network.normalize(audio, audio_length), audio_length)

        values = torch.stack(states.blocks, dim=1) if self.layer_weights.layers else states.last
        true = values[..., : int(states.frames.max()), :]
        tokens = self.projection(self.dropout(self.layer_weights(true)))
        return tokens, self.pooling(tokens, states.frames)

    @property
    def clock(self) -> tuple[float, float]:
        """Tokens per second, and the second at which the middle of the first one lies."""
        return SAMPLE_RATE / self.network.hop, self.network.offset

    def count_tokens(self, audio_length: Int[Tensor, "batch"]) -> Int[Tensor, "batch"]:
        """Count the tokens of sounds of so many samples."""
        counts = [self.network.count_frames(samples) for samples in audio_length.tolist()]
        return torch.tensor(counts, device=audio_length.device)

    def train(self, mode: bool = True) -> "Speech":
        """Change to training or evaluation mode, but for what is frozen."""
        super().train(mode)
        if self.freeze != "none":
            self.network.eval()
            for block in self.learning:
                block.train(mode)
        return self

    def reference(self) -> dict[str, Any]:
        """Arguments by which a checkpoint finds the weights that it does not hold."""
        name, revision = self.name, self.revision
        if name is not None and CONVERTED not in name:
            revision = read_revision(name, revision)
        return {
            "name": str(Path(name).absolute()) if name and Path(name).is_dir() else name,
            "revision": revision,
            "architecture": dict(self.architecture),
            "sha256": self.sha256,
        }

    def _check_weights(self, expected: str | None) -> str:
        frozen = set(_list_frozen(self.network))
        state = self.network.state_dict()
        found = digest_weights({name: value for name, value in state.items() if name in frozen})
        if expected not in (None, found):
            raise ValueError(
                f"The frozen weights of {self.name or 'Whisper'} have the SHA-256 {found}, and the "
                f"network was trained with {expected}: say where those lie with "
                "+encoders.waveform.name=<folder>."
            )
        return found


def _locate_weights(
    name: str | None, revision: str | None, sha256: str | None
) -> tuple[str, str | None]:
    with _explain_reference(sha256):
        return locate_weights(name, revision)


def _load_network(
    name: str, revision: str | None, architecture: Mapping[str, Any], sha256: str | None
) -> nn.Module:
    with _explain_reference(sha256):
        return load_network(name, revision, architecture)


@contextmanager
def _explain_reference(sha256: str | None) -> Iterator[None]:
    """Explain how to give the location of weights that a checkpoint refers to."""
    try:
        yield
    except FileNotFoundError as error:
        if sha256 is None:
            raise
        raise FileNotFoundError(
            f"{error} The checkpoint does not hold these weights, whose SHA-256 is {sha256}: say "
            "where they lie with +encoders.waveform.name=<folder>."
        ) from error


def _freeze_blocks(network: Any, freeze: str | int) -> list[nn.Module]:
    """Freeze a network but for its last blocks, which are returned."""
    blocks = list(network.blocks)
    if freeze == "none":
        return blocks
    if freeze != "all" and not (isinstance(freeze, int) and 0 <= freeze <= len(blocks)):
        raise ValueError(
            f"freeze must be all, none or a number of blocks up to {len(blocks)}, got {freeze!r}."
        )

    network.requires_grad_(False)
    learning = [] if freeze == "all" else blocks[int(freeze) :]
    for block in learning:
        block.requires_grad_(True)
    return learning


def _list_frozen(network: nn.Module) -> list[str]:
    return [name for name, part in network.named_parameters() if not part.requires_grad]


def _leave_out_referred(module: Any, state: dict[str, Any], prefix: str, _: Any) -> None:
    for name in module.referred:
        del state[f"{prefix}network.{name}"]


def _expect_no_referred(module: Any, incompatible: Any) -> None:
    ends = tuple(f"network.{name}" for name in module.referred)
    missing = incompatible.missing_keys
    missing[:] = [key for key in missing if not key.endswith(ends)]
