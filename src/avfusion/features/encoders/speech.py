"""Hidden states of pretrained speech networks as a stream."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.features.streams import Encoded
from avfusion.models.speech import (
    SpeechStates,
    build_network,
    count_blocks,
    limit_blocks,
    load_network,
    read_architecture,
)
from avfusion.models.speech.loading import read_revision
from avfusion.models.speech.states import make_step_mask

SAMPLE_RATE = 16_000
LAYERS = ("last", "last4", "all")
POOLINGS = ("none", "mean", "mean_std", "model")
WINDOW_SECONDS = 30.0  # seconds, of networks that see as much as one gives them
BATCH_WINDOWS = 8  # that a network sees at a time


@dataclass(frozen=True)
class Speech:
    """A network of transformers for speech: wav2vec 2.0, HuBERT, WavLM, data2vec, Whisper, AST or
    CLAP.

    Attributes:
        stream: the name that its output gets in a store.
        name: an id of the Hugging Face hub, or a folder.
        revision: branch, tag or commit of the hub.
        layers: ``last`` (the output of the network, behind its final norm), a number (the output of
            that block; 0: the input of the first one), several numbers (their mean), ``last4`` (the
            mean of the last four blocks) or ``all`` (the input of the first block and the output of
            each, for learned weights).
        pooling: of frames over time: none, mean, mean_std (both, one behind the other), or model
            (the pooled outputs of AST and CLAP).
        stride: how many frames are averaged to one.
        window: seconds that the network sees at once (None: as many as it was trained on, of those
            without a limit 30). Longer sounds are cut into windows that overlap, and scaled before.
        context: seconds that a window has on each side beyond what is kept of it.
        full_window: whether Whisper's sounds are filled up to 30 s by silence, as in its training.
        architecture: what the network is built of; read where the weights are, if not given.
    """

    modality: ClassVar[str] = "audio"
    reads: ClassVar[str] = "waveform"
    sha256: ClassVar[str | None] = None  # the module holds all weights

    stream: str
    name: str | None = None
    revision: str | None = None
    layers: int | str | Sequence[int] = "last"
    pooling: str = "none"
    stride: int = 1
    window: float | None = None
    context: float = 2.0
    full_window: bool = False
    architecture: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        key = f"features.audio_stream ({self.stream})"
        if self.layers not in LAYERS and (not self.numbers or min(self.numbers) < 0):
            raise ValueError(
                f"layers of {key} must be a number, a list of numbers or one of {LAYERS}: "
                f"{self.layers}."
            )
        if self.pooling not in POOLINGS:
            raise ValueError(f"pooling of {key} must be one of {POOLINGS}, got {self.pooling!r}.")
        if self.pooling == "model" and self.layers != "last":
            raise ValueError(f"pooling=model of {key} needs layers=last, got {self.layers}.")
        if self.stride < 1 or (self.stride > 1 and self.pooling != "none"):
            raise ValueError(
                f"stride of {key} must be at least 1, and 1 where frames are pooled, got "
                f"{self.stride}."
            )
        if self.context < 0 or (self.window is not None and self.window <= 2 * self.context):
            raise ValueError(
                f"context of {key} must be at least 0 and less than half of window={self.window}, "
                f"got {self.context}."
            )

    @property
    def numbers(self) -> list[int]:
        """Numbers of the layers, where they are given as such."""
        layers = self.layers
        if isinstance(layers, int):
            return [layers]
        return [] if isinstance(layers, str) else list(layers)

    @cached_property
    def location(self) -> tuple[str, str | None]:
        """Hub id or folder, and revision."""
        if self.name is None:
            raise FileNotFoundError(
                f"The weights of {self.stream} are nowhere: set features.audio_stream.name to a "
                "folder or an id of the hub, such as microsoft/wavlm-base."
            )
        return self.name, self.revision

    @cached_property
    def network(self) -> dict[str, Any]:
        """Architecture of the network, without blocks that are not needed."""
        found = self.architecture or read_architecture(*self.location)
        if self.full_window:
            if found["model_type"] != "whisper":
                raise ValueError(
                    f"full_window is for Whisper, and {self.stream} is a network of the type "
                    f"{found['model_type']}: set features.audio_stream.full_window=false."
                )
            found = {**found, "extractor": {"full_window": True}}
        if self.layers == "last" or self.architecture is not None:
            return dict(found)

        if found["model_type"] == "clap_audio_model":
            raise ValueError(
                "The stages of CLAP are of several widths: set features.audio_stream.layers=last, "
                f"got {self.layers}."
            )
        if self.numbers:
            if max(self.numbers) > (blocks := count_blocks(found)):
                raise ValueError(
                    f"{self.name} has {blocks} blocks: set features.audio_stream.layers to at most "
                    f"{blocks}, got {self.layers}."
                )
            return limit_blocks(found, max(self.numbers))
        return dict(found)

    @property
    def weights(self) -> str:
        """Origin of the weights, in words."""
        if self.name is None:
            return "nowhere"
        return self.name if self.revision is None else f"{self.name}, revision {self.revision}"

    def recipe(self) -> dict[str, Any]:
        """All that decides what it computes, but its weights."""
        settings = ("stream", "layers", "pooling", "stride", "window", "context", "full_window")
        return {
            "_target_": f"{type(self).__module__}.{type(self).__name__}",
            **{name: getattr(self, name) for name in settings},
            "architecture": self.network,
        }

    def source(self) -> dict[str, Any]:
        """Location of its weights."""
        name, revision = self.name, self.revision
        if name is None:
            return {"name": None, "revision": revision}
        if Path(name).is_dir():
            return {"name": str(Path(name).absolute()), "revision": None}
        return {"name": name, "revision": read_revision(name, revision)}

    def build(self, state: Mapping[str, Tensor] | None = None) -> nn.Module:
        """Build the module that computes, frozen and in eval mode."""
        if state is None:
            network = load_network(*self.location, self.network)
        else:
            network = build_network(self.network)
        encoder = SpeechEncoder(
            network,
            self.numbers or str(self.layers),
            self.pooling,
            self.stride,
            self.window,
            self.context,
        )
        if state is not None:
            encoder.load_state_dict(state)
        return encoder.eval().requires_grad_(False)


class Window(NamedTuple):
    """A stretch of a sound, in frames: what the network sees, and what is kept of it."""

    clip: int
    first: int
    last: int
    keep_first: int
    keep_last: int


class SpeechEncoder(nn.Module):
    """Frames of a speech network, or a vector, of sounds of any length; see ``Speech``."""

    def __init__(
        self,
        network: Any,
        layers: str | Sequence[int],
        pooling: str,
        stride: int,
        window: float | None,
        context: float,
    ) -> None:
        super().__init__()
        self.network, self.chosen, self.pooling, self.stride = network, layers, pooling, stride
        self.kind = "sequence" if pooling == "none" else "vector"
        self.layers = len(network.blocks) + 1 if layers == "all" else 0
        step = network.hop / SAMPLE_RATE
        self.rate = 1 / (step * stride) if pooling == "none" else None
        self.offset = network.offset + step * (stride - 1) / 2 if pooling == "none" else 0.0

        longest = network.longest
        seconds = WINDOW_SECONDS if longest is None else network.span(longest) / SAMPLE_RATE
        if window is not None and longest is not None and window > seconds:
            raise ValueError(
                f"This network hears at most {seconds:g} s at once: set "
                f"features.audio_stream.window to that or less, got {window}."
            )
        self.window: int = network.count_frames(round((window or seconds) * SAMPLE_RATE))
        self.context = round(context * SAMPLE_RATE / network.hop)
        if self.window <= 2 * self.context:
            raise ValueError(
                f"A window of {window or seconds:g} s leaves nothing between two contexts of "
                f"{context:g} s: set features.audio_stream.context to less."
            )

    def forward(
        self, values: Float[Tensor, "batch samples"], lengths: Int[Tensor, "batch"]
    ) -> Encoded:
        """Encode sounds of true lengths in samples."""
        sound = self.network.normalize(values, lengths)
        counts = [self.network.count_frames(length) for length in lengths.tolist()]
        if max(counts) <= self.window:
            states = self.network(sound, lengths)
            true, pooled = states.frames, states.pooled
            frames = self.choose(states)[..., : max(counts), :]
        else:
            frames, pooled = self.encode_windows(sound, lengths, counts)
            true = torch.tensor(counts, device=sound.device)

        if self.pooling == "model":
            if pooled is None:
                raise ValueError(
                    "pooling=model is for AST and CLAP, as this network makes no vector of a sound "
                    "itself: set features.audio_stream.pooling=mean."
                )
            return Encoded(pooled)
        if self.pooling == "none":
            return Encoded(*average_steps(frames, true, self.stride))
        return Encoded(pool(frames, true, with_deviation=self.pooling == "mean_std"))

    def choose(self, states: SpeechStates) -> Float[Tensor, "batch *layers frames dim"]:
        """Pick the layers that were asked for."""
        if self.chosen == "last":
            return states.last
        if self.chosen == "last4":
            return torch.stack(states.blocks[-4:]).mean(0)
        if self.chosen == "all":
            return torch.stack(states.blocks, dim=1)
        return torch.stack([states.blocks[int(number)] for number in self.chosen]).mean(0)

    def encode_windows(
        self,
        sound: Float[Tensor, "batch samples"],
        lengths: Int[Tensor, "batch"],
        counts: list[int],
    ) -> tuple[Float[Tensor, "batch *layers frames dim"], Float[Tensor, "batch dim"] | None]:
        """Encode sounds of which some are longer than a window, and join what is kept."""
        windows = [
            window
            for clip, count in enumerate(counts)
            for window in plan_windows(clip, count, self.window, self.context)
        ]
        kept: list[list[Tensor]] = [[] for _ in counts]
        vectors: list[list[Tensor]] = [[] for _ in counts]

        for start in range(0, len(windows), BATCH_WINDOWS):
            some = windows[start : start + BATCH_WINDOWS]
            waves = [self.cut(sound, lengths, counts, window) for window in some]
            samples = torch.tensor([len(wave) for wave in waves], device=sound.device)
            states = self.network(nn.utils.rnn.pad_sequence(waves, batch_first=True), samples)
            frames = self.choose(states)
            for index, window in enumerate(some):
                inside = slice(window.keep_first - window.first, window.keep_last - window.first)
                kept[window.clip].append(frames[index, ..., inside, :])
                if states.pooled is not None:
                    vectors[window.clip].append(states.pooled[index])

        joined = [torch.cat(parts, dim=-2) for parts in kept]
        most = max(counts)
        frames = torch.stack([F.pad(one, (0, 0, 0, most - one.shape[-2])) for one in joined])
        if not vectors[0]:
            return frames, None
        return frames, torch.stack([torch.stack(some).mean(0) for some in vectors])

    def cut(
        self, sound: Tensor, lengths: Tensor, counts: list[int], window: Window
    ) -> Float[Tensor, "samples"]:
        """Samples of a window; the last one has what is left of the sound."""
        begin = window.first * self.network.hop
        end = int(lengths[window.clip])
        if window.last < counts[window.clip]:
            end = begin + self.network.span(window.last - window.first)
        return sound[window.clip, begin:end]


def plan_windows(clip: int, count: int, window: int, context: int) -> Iterator[Window]:
    """Cover frames by windows; all but those of a sound that fits in one are of the same length."""
    done, first = 0, 0
    while done < count:
        last = min(first + window, count)
        keep = count if last == count else last - context
        yield Window(clip, first, last, done, keep)
        done, first = keep, min(first + window - 2 * context, max(0, count - window))


def average_steps(
    frames: Float[Tensor, "batch *layers frames dim"], true: Int[Tensor, "batch"], stride: int
) -> tuple[Float[Tensor, "batch *layers steps dim"], Int[Tensor, "batch"]]:
    """Average so many true frames to one step; the last step may have fewer."""
    if stride == 1:
        return frames, true

    mask = _mask_frames(frames, true)
    short = -frames.shape[-2] % stride
    total = F.pad(frames * mask, (0, 0, 0, short)).unflatten(-2, (-1, stride)).sum(-2)
    number = F.pad(mask, (0, 0, 0, short)).unflatten(-2, (-1, stride)).sum(-2)
    return total / number.clamp(min=1), -(-true // stride)


def pool(
    frames: Float[Tensor, "batch *layers frames dim"],
    true: Int[Tensor, "batch"],
    with_deviation: bool,
) -> Float[Tensor, "batch *layers features"]:
    """Mean of the true frames and, behind it, their standard deviation."""
    mask = _mask_frames(frames, true)
    number = mask.sum(-2)
    mean = (frames * mask).sum(-2) / number
    if not with_deviation:
        return mean
    variance = ((frames - mean.unsqueeze(-2)).square() * mask).sum(-2) / number
    return torch.cat([mean, variance.sqrt()], dim=-1)


def _mask_frames(frames: Tensor, true: Tensor) -> Tensor:
    mask = make_step_mask(true, frames.shape[-2]).to(frames.dtype)
    return mask.reshape(len(frames), *[1] * (frames.ndim - 3), -1, 1)
