"""Audio Spectrogram Transformer (AST)."""

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.models.speech.states import SpeechStates, record_blocks

SAMPLE_RATE = 16_000
WINDOW, HOP = 400, 160  # samples of a step of the spectrogram
CONFIG = (
    "hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act layer_norm_eps "
    "patch_size qkv_bias frequency_stride time_stride max_length num_mel_bins"
).split()
EXTRACTOR = "num_mel_bins max_length do_normalize mean std".split()
NUM_SPECIAL_TOKENS = 2  # before the patches: class and distillation


class SpectrogramTransformer(nn.Module):
    """AST (Gong et al., 2021, https://arxiv.org/abs/2104.01778): patches of a spectrogram.

    A frame is the mean of the patches of one time over frequencies, ``pooled`` the mean of the two
    class tokens. Each sound is filled up to the length that the network knows, some 10 s, as its
    own feature extractor does; so what is behind a sound is always the same, and its frames are
    those that lie within it.
    """

    def __init__(self, model: nn.Module, extractor: Mapping[str, Any]) -> None:
        from transformers import ASTFeatureExtractor

        super().__init__()
        config: Any = model.config
        self.model = model
        with warnings.catch_warnings():  # of the lowest of its own mel filters, which are empty
            warnings.filterwarnings("ignore", "At least one mel filter", UserWarning)
            self.extract = ASTFeatureExtractor(**extractor)
        self.dim: int = config.hidden_size
        self.patch, self.stride = config.patch_size, config.time_stride
        self.longest: int = (config.max_length - self.patch) // self.stride + 1
        self.hop: int = self.stride * HOP
        self.shortest: int = (self.patch - 1) * HOP + WINDOW
        self.offset = self.shortest / 2 / SAMPLE_RATE

    @property
    def blocks(self) -> nn.ModuleList:
        """Its transformer blocks."""
        return self.model.layers  # type: ignore[return-value]

    def count_frames(self, samples: int) -> int:
        """Frames of a sound of so many samples; one that is shorter than a patch has one."""
        return 1 + max(0, samples - self.shortest) // self.hop

    def span(self, frames: int) -> int:
        """Samples of so many frames."""
        return (frames - 1) * self.hop + self.shortest

    def normalize(
        self, sound: Float[Tensor, "batch samples"], length: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch samples"]:
        """Leave the sound as it is."""
        return sound

    def forward(
        self, sound: Float[Tensor, "batch samples"], length: Int[Tensor, "batch"]
    ) -> SpeechStates:
        """Encode sounds of at most some 10 s."""
        frames = 1 + (length - self.shortest).clamp(min=0) // self.hop
        if int(frames.max()) > self.longest:
            raise ValueError(
                f"AST hears at most {self.longest} frames at once, got {int(frames.max())}: cut "
                "the sound into windows."
            )

        waves = [
            torch.nn.functional.pad(one[:end], (0, max(0, WINDOW - end))).float().cpu().numpy()
            for one, end in zip(sound.detach(), length.tolist(), strict=True)
        ]
        inputs = self.extract(waves, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_values
        with record_blocks(self.blocks) as states:
            output = self.model(inputs.to(sound.device))

        states = [self.average_frequencies(state) for state in states]
        last = self.average_frequencies(output.last_hidden_state)
        return SpeechStates(states, last, frames, output.pooler_output)

    def average_frequencies(
        self, tokens: Float[Tensor, "batch tokens dim"]
    ) -> Float[Tensor, "batch frames dim"]:
        """Average the patches of each time; they come frequency by frequency."""
        return tokens[:, NUM_SPECIAL_TOKENS:].unflatten(1, (-1, self.longest)).mean(1)
