"""wav2vec 2.0 and its descendants HuBERT, WavLM and data2vec: convolutions, then blocks."""

import warnings
from collections.abc import Mapping
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from avfusion.models.speech.states import SpeechStates, make_step_mask, record_blocks

SAMPLE_RATE = 16_000
CONFIG = (
    "hidden_size num_hidden_layers num_attention_heads intermediate_size hidden_act layer_norm_eps "
    "feat_extract_norm feat_extract_activation feat_proj_layer_norm conv_dim conv_stride "
    "conv_kernel conv_bias num_conv_pos_embeddings num_conv_pos_embedding_groups "
    "conv_pos_kernel_size conv_pos_batch_norm do_stable_layer_norm num_buckets max_bucket_distance "
    "add_adapter"
).split()
EXTRACTOR = ["do_normalize"]


class Wav2Vec2(nn.Module):
    """wav2vec 2.0 (https://arxiv.org/abs/2006.11477), HuBERT (https://arxiv.org/abs/2106.07447),
    WavLM (https://arxiv.org/abs/2110.13900) or data2vec (https://arxiv.org/abs/2202.03555) for
    sounds.

    transformers pads a batch with zeros that reach the true frames of some of these networks: by a
    group norm over time in the first convolution (wav2vec 2.0, HuBERT and WavLM of the base size),
    and by norms between the convolutions of positions (data2vec). Here neither sees padding.
    """

    longest: int | None = None

    def __init__(self, model: nn.Module, extractor: Mapping[str, Any]) -> None:
        super().__init__()
        config: Any = model.config
        if getattr(config, "add_adapter", False) or getattr(config, "conv_pos_batch_norm", False):
            raise ValueError(
                f"A network of the type {config.model_type} with add_adapter or "
                "conv_pos_batch_norm is not supported: take one without, such as "
                "facebook/wav2vec2-base."
            )

        self.do_normalize: bool = extractor["do_normalize"]
        self.kernels, self.strides = tuple(config.conv_kernel), tuple(config.conv_stride)
        self.hop: int = prod(self.strides)
        self.shortest = _find_reach(self.kernels, self.strides)
        self.offset = self.shortest / 2 / SAMPLE_RATE
        self.dim: int = config.hidden_size

        self.model = model
        first: Any = model.feature_extractor.conv_layers[0]  # type: ignore[union-attr, index]
        if isinstance(getattr(first, "layer_norm", None), nn.GroupNorm):
            first.layer_norm = MaskedGroupNorm(first.layer_norm)
        encoder: Any = model.encoder
        if config.model_type == "data2vec-audio":
            encoder.pos_conv_embed = MaskedPositions(encoder.pos_conv_embed.layers)
        # Found once: to look for them among all modules takes a tenth of a small network's pass.
        modules = list(model.modules())
        self.norms = [one for one in modules if isinstance(one, MaskedGroupNorm)]
        self.positions = [one for one in modules if isinstance(one, MaskedPositions)]

    @property
    def blocks(self) -> nn.ModuleList:
        """Its transformer blocks."""
        return self.model.encoder.layers  # type: ignore[union-attr, return-value]

    def count_frames(self, samples: int) -> int:
        """Frames of a sound of so many samples; a shorter one than a frame needs has one."""
        return 1 + max(0, samples - self.shortest) // self.hop

    def span(self, frames: int) -> int:
        """Samples of so many frames."""
        return (frames - 1) * self.hop + self.shortest

    def normalize(
        self, sound: Float[Tensor, "batch samples"], length: Int[Tensor, "batch"]
    ) -> Float[Tensor, "batch samples"]:
        """Scale each sound to a mean of zero and a variance of one, where its network does."""
        if not self.do_normalize:
            return sound

        padded = int(length.min()) < sound.shape[1]
        mask = (
            make_step_mask(length, sound.shape[1]) if padded else None
        )  # it costs half of the time
        wide = sound.double()
        mean = (wide if mask is None else wide * mask).sum(1, keepdim=True) / length[:, None]
        centered = wide - mean if mask is None else (wide - mean) * mask
        variance = centered.square().sum(1, keepdim=True) / length[:, None]
        return (centered / (variance + 1e-7).sqrt()).to(sound.dtype)

    def forward(
        self, sound: Float[Tensor, "batch samples"], length: Int[Tensor, "batch"]
    ) -> SpeechStates:
        """Encode normalized sounds."""
        length = length.clamp(min=self.shortest)
        if sound.shape[1] < self.shortest:
            sound = F.pad(sound, (0, self.shortest - sound.shape[1]))
        frames = 1 + (length - self.shortest) // self.hop
        first = 1 + (length - self.kernels[0]) // self.strides[0]
        for norm in self.norms:
            norm.lengths = first
        for positions in self.positions:
            positions.lengths = frames

        padded = int(length.min()) < sound.shape[1]
        mask = make_step_mask(length, sound.shape[1]) if padded else None
        with record_blocks(self.blocks) as states, warnings.catch_warnings():
            # WavLM gives torch masks of two types.
            warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")
            last = self.model(sound, attention_mask=mask).last_hidden_state
        return SpeechStates(states, last, frames)


class MaskedGroupNorm(nn.Module):
    """Group norm over the true steps of each sound; weights and names are those of the original."""

    def __init__(self, original: nn.GroupNorm) -> None:
        super().__init__()
        self.groups, self.eps = original.num_groups, original.eps
        self.weight, self.bias = original.weight, original.bias
        self.lengths: Tensor | None = None  # set before each pass

    def forward(self, x: Float[Tensor, "batch channels steps"]) -> Tensor:
        """Normalize the true steps of each sound, and leave zeros behind them."""
        steps = [x.shape[2]] * len(x) if self.lengths is None else self.lengths.tolist()
        if min(steps) == x.shape[2]:
            return F.group_norm(x, self.groups, self.weight, self.bias, self.eps)

        normed = [
            F.group_norm(one[None, :, :count], self.groups, self.weight, self.bias, self.eps)
            for one, count in zip(x, steps, strict=True)
        ]
        return torch.cat([F.pad(one, (0, x.shape[2] - one.shape[2])) for one in normed])


class MaskedPositions(nn.Module):
    """Convolutions of positions of data2vec, each of which sees zeros behind the true frames."""

    def __init__(self, layers: nn.ModuleList) -> None:
        super().__init__()
        self.layers = layers
        self.lengths: Tensor | None = None  # set before each pass

    def forward(self, x: Float[Tensor, "batch frames dim"]) -> Tensor:
        """Compute the positions of each frame."""
        mask: Any = 1 if self.lengths is None else make_step_mask(self.lengths, x.shape[1])[:, None]
        x = x.transpose(1, 2)
        for layer in self.layers:
            x = layer(x * mask)
        return x.transpose(1, 2)


def _find_reach(kernels: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """Samples that one frame sees."""
    reach = 1
    for kernel, stride in zip(reversed(kernels), reversed(strides), strict=True):
        reach = (reach - 1) * stride + kernel
    return reach
