"""Claims about every audio encoder that the package offers, with every pooling."""

import inspect
from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from avfusion.models import audio_encoders
from avfusion.models.audio_encoders.pooling import POOLINGS
from avfusion.models.audio_encoders.precomputed import TEMPORAL_LAYERS, Precomputed

KINDS = [
    kind
    for _, kind in inspect.getmembers(audio_encoders, inspect.isclass)
    if "audio_length" in inspect.signature(kind.forward).parameters
]
# The class itself has no temporal layer: no parameters, and no order of the frames.
TEMPORAL = [partial(Precomputed, projection=5, temporal=name) for name in TEMPORAL_LAYERS]
ORDERED = [kind for kind in KINDS if kind is not Precomputed] + TEMPORAL
LENGTHS = torch.tensor([7, 1, 4, 5])
PADDING = torch.arange(7) >= LENGTHS[:, None]
each_kind = pytest.mark.parametrize("kind", [*KINDS, *TEMPORAL], ids=lambda kind: name_of(kind))
each_ordered = pytest.mark.parametrize("kind", ORDERED, ids=lambda kind: name_of(kind))
each_pooling = pytest.mark.parametrize("pooling", POOLINGS)


def name_of(kind: Any) -> str:
    return (
        f"precomputed-{kind.keywords['temporal']}" if isinstance(kind, partial) else kind.__name__
    )


def make(kind: Any, **options) -> nn.Module:
    return kind([0.25] * 6, [1.5] * 6, **{"hidden_dim": 8} | options).double()


def sound(batch: int = 4, frames: int = 7) -> torch.Tensor:
    return torch.randn(batch, frames, 6, dtype=torch.double)


def assert_close(ours: torch.Tensor, theirs: torch.Tensor) -> None:
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


def test_all_audio_encoders_are_found():
    assert {"BiLSTM", "TCN", "GRU", "LSTM", "Precomputed", "Transformer"} <= {
        kind.__name__ for kind in KINDS
    }


@each_kind
@each_pooling
def test_outputs_have_the_announced_widths(kind, pooling):
    encoder = make(kind, pooling=pooling)
    tokens, vector = encoder(sound(), LENGTHS)
    assert tokens.shape == (4, 7, encoder.dim)
    assert vector.shape == (4, encoder.vector_dim)


@each_kind
@each_pooling
@pytest.mark.parametrize("garbage", [0.0, -3.0, 1e6])
def test_values_in_the_padding_change_nothing(kind, pooling, garbage):
    encoder, audio = make(kind, pooling=pooling), sound()
    padded = torch.where(PADDING[..., None], garbage, audio)
    (tokens, vector), (same_tokens, same) = encoder(audio, LENGTHS), encoder(padded, LENGTHS)
    assert_close(vector, same)
    assert_close(tokens[~PADDING], same_tokens[~PADDING])


@each_kind
@each_pooling
def test_a_clip_in_a_batch_equals_the_same_clip_alone_without_padding(kind, pooling):
    encoder, audio = make(kind, pooling=pooling), sound()
    tokens, vector = encoder(torch.cat([audio, sound(frames=20)], dim=1), LENGTHS)
    for k, length in enumerate(LENGTHS.tolist()):
        alone_tokens, alone = encoder(audio[k : k + 1, :length], LENGTHS[k : k + 1])
        assert_close(alone[0], vector[k])
        assert_close(alone_tokens[0], tokens[k, :length])


@each_kind
@each_pooling
def test_only_true_frames_receive_a_gradient(kind, pooling):
    audio = sound().requires_grad_()
    tokens, vector = make(kind, pooling=pooling)(audio, LENGTHS)
    (vector.square().sum() + tokens[~PADDING].square().sum()).backward()
    assert not audio.grad[PADDING].any()
    assert audio.grad[~PADDING].any(dim=-1).all()


@each_ordered
@each_pooling
def test_every_parameter_receives_a_gradient(kind, pooling):
    encoder = make(kind, pooling=pooling)
    tokens, vector = encoder(sound(), LENGTHS)
    (vector.pow(2).sum() + tokens.pow(3).sum()).backward()
    assert all(parameter.grad.abs().max() > 1e-9 for parameter in encoder.parameters())


@each_ordered
def test_the_order_of_the_frames_matters(kind):
    encoder, audio, length = make(kind), sound(1), torch.tensor([7])
    vector, reverse = encoder(audio, length)[1], encoder(audio.flip(1), length)[1]
    assert (vector - reverse).abs().max() > 1e-4


@each_kind
def test_its_input_is_normalized_feature_by_feature(kind):
    audio, mean, std = sound(), torch.randn(6).double(), torch.rand(6).double() + 0.5
    encoder = kind(mean.tolist(), std.tolist(), hidden_dim=8).double()
    plain = kind([0.0] * 6, [1.0] * 6, hidden_dim=8).double()
    states = encoder.state_dict()
    keep = {name: value for name, value in states.items() if "normalize" not in name}
    plain.load_state_dict(plain.state_dict() | keep)
    expected = plain((audio - mean) / std, LENGTHS)[1]
    torch.testing.assert_close(encoder(audio, LENGTHS)[1], expected, rtol=1e-5, atol=1e-5)


@each_kind
def test_half_precision_stays_near_full_precision(kind):
    encoder, audio = make(kind).float(), sound().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        tokens, vector = encoder(audio, LENGTHS)
    full_tokens, full = encoder(audio, LENGTHS)
    torch.testing.assert_close(vector.float(), full, rtol=0.1, atol=0.1)
    assert tokens.isfinite().all() and full_tokens.isfinite().all()


@each_kind
@pytest.mark.parametrize("options", [{"hidden_dim": 0}, {"num_layers": 0}])
def test_no_width_and_no_layers_are_refused(kind, options):
    with pytest.raises(ValueError, match="hidden_dim and num_layers of at least 1"):
        make(kind, **options)


@each_kind
def test_an_unknown_pooling_is_refused(kind):
    with pytest.raises(ValueError, match=r"pooling must be one of \('mean', .*got 'median'"):
        make(kind, pooling="median")


@each_kind
def test_layers_count_equally_at_first_and_learn_how_much_they_count(kind):
    mean, std = torch.randn(3, 6).double(), torch.rand(3, 6).double() + 0.5
    encoder = kind(mean.tolist(), std.tolist(), hidden_dim=8).double()
    plain = kind([0.0] * 6, [1.0] * 6, hidden_dim=8).double()
    states = encoder.state_dict()
    shared = {
        name: value
        for name, value in states.items()
        if "layer_weights" not in name and not name.startswith("normalize")
    }
    plain.load_state_dict(plain.state_dict() | shared)

    layers = torch.randn(4, 3, 7, 6, dtype=torch.double)
    expected = plain(((layers - mean[:, None]) / std[:, None]).mean(dim=1), LENGTHS)[1]
    vector = encoder(layers, LENGTHS)[1]
    torch.testing.assert_close(vector, expected, rtol=1e-5, atol=1e-5)
    vector.square().sum().backward()
    assert encoder.layer_weights.logits.grad.abs().min() > 0
