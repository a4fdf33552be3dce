"""The audio encoder of a trained run, frozen, as a stream."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.checkpoint import check_targets, find_checkpoint, read_checkpoint
from avfusion.features.streams import Encoded

PREFIX = "network.audio_encoder."  # of its weights in a checkpoint


@dataclass(frozen=True)
class RunAudio:
    """Tokens, or the vector, that the audio encoder of a trained network of this project gives.

    Attributes:
        run: the folder of a run, whose best checkpoint is taken, or a checkpoint.
        stream: the name that its output gets in a store.
        gives: ``tokens``, a sequence, or ``vector``.
        encoder: recipe of the encoder, read from the run if not given.
        clock: rate and offset of the stream that it reads, likewise.
    """

    modality: ClassVar[str] = "audio"
    sha256: ClassVar[str | None] = None  # the module holds all weights

    run: str | None = None
    stream: str = "run_audio"
    gives: str = "tokens"
    encoder: Mapping[str, Any] | None = None
    clock: Sequence[float | None] | None = None

    def __post_init__(self) -> None:
        if self.gives not in ("tokens", "vector"):
            raise ValueError(
                f"features.audio_stream.gives must be tokens or vector, got {self.gives!r}."
            )
        if self.run is None and self.encoder is None:
            raise ValueError(
                "features/audio_stream=run needs a trained run: set features.audio_stream.run to "
                "its folder, or to a checkpoint."
            )

    def __getstate__(self) -> dict[str, Any]:
        """Settings only."""
        return {name: value for name, value in vars(self).items() if name != "_checkpoint"}

    @cached_property
    def _checkpoint(self) -> dict[str, Any]:
        assert self.run is not None
        file = find_checkpoint(self.run, "best")
        checkpoint = read_checkpoint(file)
        if "audio_encoder" not in checkpoint["recipe"]["model"]["network"]:
            raise ValueError(
                f"The network of {file} has no audio encoder: give features.audio_stream.run "
                "another run, such as one of model=lowrank."
            )
        return checkpoint

    @property
    def weights(self) -> str:
        """Origin of the weights, in words."""
        return "nowhere" if self.run is None else str(find_checkpoint(self.run, "best"))

    @property
    def network(self) -> dict[str, Any]:
        """Recipe of the audio encoder."""
        if self.encoder is not None:
            return dict(self.encoder)
        return dict(self._checkpoint["recipe"]["model"]["network"]["audio_encoder"])

    @property
    def reads(self) -> str:
        """The stream that the encoder reads."""
        return str(self.network.get("stream", "mfcc"))

    def recipe(self) -> dict[str, Any]:
        """All that decides what it computes, but its weights."""
        clock = self.clock
        if clock is None:
            described = self._checkpoint["recipe"]["description"]["streams"][self.reads]
            clock = [described["rate"], described["offset"]]
        return {
            "_target_": f"{type(self).__module__}.{type(self).__name__}",
            "_recursive_": False,  # it builds the encoder itself
            "gives": self.gives,
            "encoder": self.network,
            "clock": list(clock),
        }

    def source(self) -> dict[str, Any]:
        """Location of its weights."""
        return {} if self.run is None else {"run": self.run}

    def build(self, state: Mapping[str, Tensor] | None = None) -> nn.Module:
        """Build the module that computes, frozen and in eval mode."""
        from hydra.utils import instantiate  # half a second that decoding does without

        recipe = self.recipe()
        check_targets(Path("features.audio_stream"), recipe)
        if state is None:
            state = {
                name.removeprefix(PREFIX): value
                for name, value in self._checkpoint["state_dict"].items()
                if name.startswith(PREFIX)
            }
        encoder = instantiate(self.network, _convert_="all")
        rate, offset = recipe["clock"]
        module = RunAudioModule(encoder, self.gives, rate, offset or 0.0)
        module.encoder.load_state_dict(
            {name.removeprefix("encoder."): value for name, value in state.items()}
        )
        return module.eval().requires_grad_(False)


class RunAudioModule(nn.Module):
    """An audio encoder that gives what a stream holds."""

    layers = 0

    def __init__(self, encoder: Any, gives: str, rate: float | None, offset: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.kind = "sequence" if gives == "tokens" else "vector"
        if hasattr(encoder, "clock"):  # it reads samples, and its tokens have a clock of their own
            rate, offset = encoder.clock
        self.rate = rate if gives == "tokens" else None
        self.offset = offset if gives == "tokens" else 0.0

    def forward(
        self, values: Float[Tensor, "batch steps *features"], lengths: Int[Tensor, "batch"]
    ) -> Encoded:
        """Encode frames of sounds, or samples."""
        tokens, vector = self.encoder(values, lengths)
        if hasattr(self.encoder, "count_tokens"):  # of several steps each
            lengths = self.encoder.count_tokens(lengths)
        return Encoded(tokens, lengths) if self.kind == "sequence" else Encoded(vector)
