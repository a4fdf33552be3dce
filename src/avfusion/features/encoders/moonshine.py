"""Encoder of Moonshine as a stream, by ONNX Runtime."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.features.encoders.packages import find_file
from avfusion.features.encoders.speech import plan_windows
from avfusion.features.streams import Encoded
from avfusion.files import hash_file

INSTALL = "pip install -e '.[moonshine]'"
SAMPLE_RATE = 16_000
HOP = 64 * 3 * 2  # samples, by three convolutions of 127, 7 and 3 steps
MIN_SAMPLES = ((3 - 1) * 3 + 7 - 1) * 64 + 127


@dataclass(frozen=True)
class Moonshine:
    """The encoder of Moonshine tiny (Jeffries et al., 2024, https://arxiv.org/abs/2410.15608).

    It gives 41.7 vectors a second. Each sound is computed alone, as padding reaches its true
    frames; longer ones than ``window`` seconds are cut into windows, of which ``context`` seconds
    on each side are not kept. ``path`` is a file of ONNX Runtime; without it, that of the package
    moonshine-voice is read.
    """

    modality: ClassVar[str] = "audio"
    reads: ClassVar[str] = "waveform"

    stream: str = "moonshine"
    window: float = 30.0
    context: float = 2.0
    path: str | None = None

    def __post_init__(self) -> None:
        if not 0 <= 2 * self.context < self.window:
            raise ValueError(
                "features.audio_stream.context must be at least 0 and less than half of window="
                f"{self.window}, got {self.context}."
            )

    @property
    def weights(self) -> str:
        """Origin of the weights, in words."""
        return self.path or "encoder_model.ort of the package moonshine-voice (MIT)"

    @property
    def file(self) -> Path:
        """File of weights."""
        inside = "assets/tiny-en/encoder_model.ort"
        return find_file(self.path, "moonshine_voice", inside, INSTALL)

    @cached_property
    def sha256(self) -> str | None:
        """SHA-256 of the file of weights."""
        try:
            return hash_file(self.file)
        except FileNotFoundError:
            return None

    def recipe(self) -> dict[str, Any]:
        """All that decides what it computes, but its weights."""
        settings = {"stream": self.stream, "window": self.window, "context": self.context}
        return {"_target_": f"{type(self).__module__}.{type(self).__name__}", **settings}

    def source(self) -> dict[str, Any]:
        """Location of its weights."""
        return {"path": None if self.path is None else str(Path(self.path).absolute())}

    def build(self, state: Mapping[str, Tensor] | None = None) -> nn.Module:
        """Build the module that computes."""
        try:
            from onnxruntime import InferenceSession
        except ImportError as error:
            raise ValueError(f"{self.stream} needs ONNX Runtime: {INSTALL}.") from error
        try:
            session = InferenceSession(str(self.file), providers=["CPUExecutionProvider"])
        except FileNotFoundError:
            raise
        except Exception as error:  # of its own kinds
            raise ValueError(f"{self.file} is no file of ONNX Runtime ({error}).") from error
        return MoonshineEncoder(session, self.window, self.context).eval()


class MoonshineEncoder(nn.Module):
    """Frames of sounds, each computed alone."""

    kind = "sequence"
    layers = 0
    rate = SAMPLE_RATE / HOP
    offset = MIN_SAMPLES / 2 / SAMPLE_RATE

    def __init__(self, session: Any, window: float, context: float) -> None:
        super().__init__()
        self.session = session
        self.inputs = [one.name for one in session.get_inputs()]
        self.window = count_frames(round(window * SAMPLE_RATE))
        self.context = round(context * SAMPLE_RATE / HOP)

    def forward(
        self, values: Float[Tensor, "batch samples"], lengths: Int[Tensor, "batch"]
    ) -> Encoded:
        """Encode sounds of true lengths in samples."""
        ends = lengths.tolist()
        frames = [self.encode(one[:end]) for one, end in zip(values, ends, strict=True)]
        steps = torch.tensor([len(one) for one in frames])
        return Encoded(nn.utils.rnn.pad_sequence(frames, batch_first=True), steps)

    def encode(self, sound: Float[Tensor, "samples"]) -> Float[Tensor, "frames dim"]:
        """Encode a sound of any length."""
        count, kept = count_frames(len(sound)), []
        for part in plan_windows(0, count, self.window, self.context):
            end = (part.last - 1) * HOP + MIN_SAMPLES if part.last < count else len(sound)
            frames = self.run(sound[part.first * HOP : end])
            kept.append(frames[part.keep_first - part.first : part.keep_last - part.first])
        return torch.cat(kept)

    def run(self, sound: Float[Tensor, "samples"]) -> Float[Tensor, "frames dim"]:
        """Encode a sound at once."""
        sound = F.pad(sound.float().cpu(), (0, max(0, MIN_SAMPLES - len(sound))))[None]
        known = {"input_values": sound, "attention_mask": torch.ones_like(sound).long()}
        (output, *_) = self.session.run(None, {name: known[name].numpy() for name in self.inputs})
        return torch.from_numpy(output)[0]


def count_frames(samples: int) -> int:
    """Frames of a sound of so many samples; a shorter one than a frame needs has one."""
    steps = (max(samples, MIN_SAMPLES) - 127) // 64 + 1
    return ((steps - 7) // 3 + 1 - 3) // 2 + 1
