"""Encoder of Whisper."""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.models.speech.states import SpeechStates, make_step_mask, record_blocks

WINDOW, HOP = 400, 160  # samples, of every Whisper
SAMPLE_RATE = 16_000
CONFIG = (
    "num_mel_bins encoder_layers encoder_attention_heads d_model encoder_ffn_dim "
    "activation_function max_source_positions scale_embedding"
).split()
EXTRACTOR: list[str] = []


class Whisper(nn.Module):
    """The encoder of Whisper (Radford et al., 2022, https://arxiv.org/abs/2212.04356).

    Sounds have their true length. Whisper was trained on sounds that silence fills up to 30 s, and
    transformers does so, too; ``full_window`` asks for that, at the price of 1,500 frames for a
    sound of any length.
    """

    filters: Tensor
    hann: Tensor

    def __init__(self, model: nn.Module, extractor: Mapping[str, Any]) -> None:
        from transformers.audio_utils import mel_filter_bank

        super().__init__()
        config: Any = model.config
        self.model = model
        self.full_window = bool(extractor.get("full_window", False))
        self.dim: int = config.d_model
        self.longest: int = config.max_source_positions
        self.hop = 2 * HOP
        self.shortest = WINDOW
        self.offset = 0.0
        filters = mel_filter_bank(
            1 + WINDOW // 2, config.num_mel_bins, 0.0, 8000.0, SAMPLE_RATE, "slaney", "slaney"
        )
        mel = torch.from_numpy(filters).float().T.contiguous()
        self.register_buffer("filters", mel, persistent=False)
        self.register_buffer("hann", torch.hann_window(WINDOW), persistent=False)

    @property
    def blocks(self) -> nn.ModuleList:
        """Its transformer blocks."""
        return self.model.layers  # type: ignore[return-value]

    def count_frames(self, samples: int) -> int:
        """Frames of a sound of so many samples."""
        return (max(samples, self.shortest) // HOP + 1) // 2

    def span(self, frames: int) -> int:
        """Samples of so many frames."""
        return frames * self.hop

    def normalize(
        self, sound: Float[Tensor, "batch samples"], length: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch samples"]:
        """Leave the sound as it is."""
        return sound

    def forward(
        self, sound: Float[Tensor, "batch samples"], length: Int[Tensor, "batch"]
    ) -> SpeechStates:
        """Encode sounds of at most 30 s."""
        length = length.clamp(min=self.shortest)
        steps = length // HOP
        frames = (steps + 1) // 2
        if int(frames.max()) > self.longest:
            raise ValueError(
                f"Whisper hears at most {self.longest * self.hop / SAMPLE_RATE:g} s at once, got "
                f"{int(length.max()) / SAMPLE_RATE:g} s: cut the sound into windows."
            )

        full = self.longest * self.hop
        ends = [full] * len(sound) if self.full_window else length.tolist()
        sound = F.pad(sound, (0, max(0, max(ends) - sound.shape[1])))
        mels = [self.compute_mel(one[:end]) for one, end in zip(sound, ends, strict=True)]
        most = max(mel.shape[1] for mel in mels)
        x = torch.stack([F.pad(mel, (0, most - mel.shape[1])) for mel in mels])

        seen = torch.full_like(steps, most) if self.full_window else steps
        with record_blocks(self.blocks) as states:
            last = self.encode(x, seen)
        return SpeechStates(states, last, frames)

    def compute_mel(self, sound: Float[Tensor, "samples"]) -> Float[Tensor, "mels steps"]:
        """Compute the log-mel spectrogram of a sound, as Whisper's feature extractor does."""
        with torch.autocast(sound.device.type, enabled=False):
            wave = sound.float()
            spectrum = torch.stft(wave, WINDOW, HOP, window=self.hann, return_complex=True)
            mel = (self.filters @ spectrum[:, :-1].abs().square()).clamp(min=1e-10).log10()
            return (torch.maximum(mel, mel.max() - 8) + 4) / 4

    def encode(
        self, x: Float[Tensor, "batch mels steps"], steps: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch frames dim"]:
        """Run convolutions and blocks on true steps.

        The forward of transformers takes 3,000 steps and nothing else, and masks none.
        """
        model: Any = self.model
        padded = int(steps.min()) < x.shape[2]
        x = F.gelu(model.conv1(x))
        if padded:  # a sound alone has zeros there
            x = x * make_step_mask(steps, x.shape[2])[:, None]
        x = F.gelu(model.conv2(x)).transpose(1, 2)
        x = x + model.embed_positions.weight[: x.shape[1]]
        x = F.dropout(x, model.dropout, self.training)

        mask = make_step_mask((steps + 1) // 2, x.shape[1])[:, None, None] if padded else None
        for block in model.layers:
            x = block(x, mask)
        return model.layer_norm(x)
