"""Tiny speech networks with random weights, in folders as transformers writes them."""

from pathlib import Path
from typing import Any

import torch

CONVOLUTIONS = {"conv_dim": [16, 16, 16], "conv_stride": [5, 8, 8], "conv_kernel": [10, 8, 8]}
SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 48,
}
WAV2VEC2 = CONVOLUTIONS | SMALL | {"num_conv_pos_embeddings": 8, "num_conv_pos_embedding_groups": 2}
WHISPER = {
    "d_model": 128,
    "encoder_layers": 3,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 48,
    "vocab_size": 60,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "decoder_start_token_id": 1,
}
CLAP = {
    "patch_embeds_hidden_size": 8,
    "depths": [1, 1, 1, 1],
    "num_attention_heads": [1, 2, 2, 4],
    "hidden_size": 64,
}
# By name: class of the network, of its configuration and of its feature extractor, settings of
# both. Group norm over time, layer norm and norms of positions all occur.
KINDS: dict[str, tuple[str, str, str, dict[str, Any], dict[str, Any]]] = {
    "wav2vec2": ("Wav2Vec2Model", "Wav2Vec2Config", "Wav2Vec2FeatureExtractor", WAV2VEC2, {}),
    "wav2vec2_large": (
        "Wav2Vec2Model",
        "Wav2Vec2Config",
        "Wav2Vec2FeatureExtractor",
        WAV2VEC2 | {"feat_extract_norm": "layer", "do_stable_layer_norm": True, "conv_bias": True},
        {},
    ),
    "hubert": ("HubertModel", "HubertConfig", "Wav2Vec2FeatureExtractor", WAV2VEC2, {}),
    "wavlm": (
        "WavLMModel",
        "WavLMConfig",
        "Wav2Vec2FeatureExtractor",
        WAV2VEC2,
        {"do_normalize": False},
    ),
    "wavlm_large": (
        "WavLMModel",
        "WavLMConfig",
        "Wav2Vec2FeatureExtractor",
        WAV2VEC2 | {"feat_extract_norm": "layer", "do_stable_layer_norm": True},
        {},
    ),
    "data2vec": (
        "Data2VecAudioModel",
        "Data2VecAudioConfig",
        "Wav2Vec2FeatureExtractor",
        WAV2VEC2 | {"num_conv_pos_embeddings": 3, "conv_pos_kernel_size": 5},
        {},
    ),
    "whisper": ("WhisperModel", "WhisperConfig", "WhisperFeatureExtractor", WHISPER, {}),
    "ast": ("ASTModel", "ASTConfig", "ASTFeatureExtractor", SMALL, {}),
    "clap": (
        "ClapAudioModel",
        "ClapAudioConfig",
        "ClapFeatureExtractor",
        CLAP,
        {"truncation": "rand_trunc"},
    ),
}


def write_checkpoint(folder: Path, kind: str, **changes: Any) -> Path:
    """Write a network of random weights and its feature extractor, unless they are there."""
    import transformers
    from transformers.utils import logging

    if folder.exists():
        return folder
    logging.disable_progress_bar()
    network, config, extractor, settings, options = KINDS[kind]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        model = getattr(transformers, network)(getattr(transformers, config)(**settings | changes))
        for parameter in model.parameters():  # biases and norms, too
            parameter.data += 0.05 * torch.randn(parameter.shape)
    model.save_pretrained(folder)
    getattr(transformers, extractor)(**options).save_pretrained(folder)
    return folder


def draw_sounds(*lengths: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Sounds of true lengths in samples, padded with zeros; noise under a tone of its own each."""
    sound = torch.zeros(len(lengths), max(lengths))
    for place, length in enumerate(lengths):
        time = torch.arange(length) / 16_000
        tone = 0.3 * torch.sin(2 * torch.pi * 200 * (place + 1) * time)
        sound[place, :length] = (tone + 0.05 * torch.randn(length)) * (0.3 + 0.2 * place) + 0.01
    return sound, torch.tensor(lengths)
