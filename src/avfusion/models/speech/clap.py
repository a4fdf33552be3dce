"""Audio tower of CLAP."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.signal import resample_poly
from torch import Tensor, nn

from avfusion.models.speech.states import SpeechStates

SAMPLE_RATE = 16_000
CONFIG = (
    "window_size num_mel_bins spec_size hidden_act patch_size patch_stride hidden_size depths "
    "projection_dim num_attention_heads enable_fusion fusion_type patch_embed_input_channels "
    "flatten_patch_embeds patch_embeds_hidden_size enable_patch_layer_norm qkv_bias mlp_ratio "
    "aff_block_r num_hidden_layers layer_norm_eps"
).split()
EXTRACTOR = (
    "feature_size sampling_rate hop_length max_length_s fft_window_size frequency_min "
    "frequency_max top_db truncation padding"
).split()


class Clap(nn.Module):
    """The audio tower of CLAP (Wu et al., 2022, https://arxiv.org/abs/2211.06687), an HTSAT.

    A frame is the mean over frequencies of the last map, ``pooled`` the mean of all of it. Its own
    feature extractor repeats a short sound until 10 s are full; the frames are those of the sound
    itself. Sounds are brought from 16 kHz to the rate that it asks for, so what was above 8 kHz is
    missing. Its stages are of several widths, so the last one alone can be had.
    """

    def __init__(self, model: nn.Module, extractor: Mapping[str, Any]) -> None:
        from transformers import ClapFeatureExtractor

        super().__init__()
        config: Any = model.config
        self.model = model
        self.extract = ClapFeatureExtractor(**extractor)
        encoder: Any = model.audio_encoder
        self.dim: int = encoder.num_features
        self.longest: int = config.spec_size * encoder.freq_ratio // self.reduction(config)
        self.hop: int = SAMPLE_RATE * self.extract.max_length_s // self.longest
        self.shortest = 1
        self.offset = self.hop / 2 / SAMPLE_RATE

    @property
    def blocks(self) -> nn.ModuleList:
        """None that could be had."""
        return nn.ModuleList()

    @staticmethod
    def reduction(config: Any) -> int:
        """Steps of the spectrogram for one of the last map."""
        stride = config.patch_stride
        width = stride if isinstance(stride, int) else stride[1]
        return width * 2 ** (len(config.depths) - 1)

    def count_frames(self, samples: int) -> int:
        """Frames of a sound of so many samples; the last one may be cut short."""
        return max(1, -(-samples // self.hop))

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
        """Encode sounds of at most 10 s."""
        frames = -(-length // self.hop)
        if int(frames.max()) > self.longest:
            raise ValueError(
                f"CLAP hears at most {self.extract.max_length_s} s at once, got "
                f"{int(length.max()) / SAMPLE_RATE:g} s: cut the sound into windows."
            )

        waves = [
            self.resample(one[:end].double().cpu().numpy())
            for one, end in zip(sound.detach(), length.tolist(), strict=True)
        ]
        rate = self.extract.sampling_rate
        mels = self.extract(waves, sampling_rate=rate, return_tensors="pt").input_features
        # The extractor declares one of the sounds, at random, to be longer than 10 s.
        longer = torch.zeros(len(waves), 1, dtype=torch.bool)
        output = self.model(mels.float().to(sound.device), is_longer=longer.to(sound.device))
        last = output.last_hidden_state.mean(2).transpose(1, 2)
        return SpeechStates([], last, frames, output.pooler_output)

    def resample(self, wave: np.ndarray) -> np.ndarray:
        """Bring a sound to the rate of the feature extractor, and to its length at most."""
        rate = self.extract.sampling_rate
        factor = int(np.gcd(rate, SAMPLE_RATE))
        wave = resample_poly(wave, rate // factor, SAMPLE_RATE // factor)
        return wave[: self.extract.nb_max_samples]
