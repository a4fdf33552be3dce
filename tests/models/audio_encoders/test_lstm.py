import pytest
import torch
from torch import nn

from avfusion.models.audio_encoders import LSTM

LENGTHS = torch.tensor([7, 1, 4, 5])


def lstm(**options) -> LSTM:
    return LSTM([0.25] * 6, [1.5] * 6, **{"hidden_dim": 5} | options).double()


def sound(batch: int = 4, frames: int = 7) -> torch.Tensor:
    return torch.randn(batch, frames, 6, dtype=torch.double)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_equals_torchs_lstm_run_clip_by_clip_without_padding(num_layers):
    encoder, audio = lstm(num_layers=num_layers), sound()
    tokens, vector = encoder(audio, LENGTHS)
    lower, upper = (nn.LSTM(size, 5, num_layers).double() for size in (6, 5))
    lower.load_state_dict(encoder.lower.state_dict())
    upper.load_state_dict(encoder.upper.state_dict())
    for clip, length, seen, summary in zip(audio, LENGTHS, tokens, vector, strict=True):
        below, _ = lower((clip[:length] - 0.25) / 1.5)
        above, _ = upper(below)
        torch.testing.assert_close(seen[:length], above, rtol=0, atol=1e-12)
        both = torch.cat([below.mean(dim=0), above.mean(dim=0)])
        torch.testing.assert_close(summary, both, rtol=0, atol=1e-12)


@pytest.mark.parametrize("garbage", [0.0, -3.0, 1e6])
def test_values_in_the_padding_change_nothing(garbage):
    encoder, audio = lstm(), sound()
    padded = audio.clone()
    padding = torch.arange(7) >= LENGTHS[:, None]
    padded[padding] = garbage
    (tokens, vector), (same_tokens, same) = encoder(audio, LENGTHS), encoder(padded, LENGTHS)
    assert torch.equal(vector, same)
    assert torch.equal(tokens[~padding], same_tokens[~padding])


def test_more_padding_changes_nothing():
    encoder, audio = lstm(), sound()
    longer = torch.cat([audio, sound(frames=9)], dim=1)
    (tokens, vector), (more, same) = encoder(audio, LENGTHS), encoder(longer, LENGTHS)
    torch.testing.assert_close(vector, same, rtol=0, atol=1e-12)
    torch.testing.assert_close(tokens, more[:, :7], rtol=0, atol=1e-12)


def test_padding_receives_no_gradient():
    audio = sound().requires_grad_()
    lstm()(audio, LENGTHS)[1].sum().backward()
    padding = torch.arange(7) >= LENGTHS[:, None]
    assert not audio.grad[padding].any()
    assert audio.grad[~padding].all()


def test_a_batch_of_one_equals_its_place_in_a_larger_one():
    encoder, audio = lstm(), sound()
    tokens, vector = encoder(audio, LENGTHS)
    alone_tokens, alone = encoder(audio[2:3], LENGTHS[2:3])
    torch.testing.assert_close(alone, vector[2:3], rtol=0, atol=1e-12)
    torch.testing.assert_close(alone_tokens, tokens[2:3], rtol=0, atol=1e-12)


def test_outputs_have_the_announced_widths():
    encoder = lstm(hidden_dim=4)
    tokens, vector = encoder(sound(), LENGTHS)
    assert (tokens.shape[-1], vector.shape[-1]) == (encoder.dim, encoder.vector_dim) == (4, 8)


@pytest.mark.parametrize("options", [{"hidden_dim": 0}, {"num_layers": 0}])
def test_no_width_and_no_layers_are_refused(options):
    with pytest.raises(ValueError, match="hidden_dim and num_layers of at least 1"):
        lstm(**options)


def test_dropout_acts_between_both_lstms_in_training_only():
    encoder = lstm(dropout=0.5)
    audio, length = torch.randn(2, 7, 6).double(), torch.tensor([7, 4])
    kept = lstm()
    kept.load_state_dict(encoder.state_dict())
    assert torch.equal(encoder.eval()(audio, length)[1], kept(audio, length)[1])
    lower, vector = kept(audio, length)[1][:, :5], encoder.train()(audio, length)[1]
    assert torch.equal(vector[:, :5], lower)  # of the lower network
    assert not torch.equal(vector[:, 5:], kept(audio, length)[1][:, 5:])


def test_without_biases_there_are_none():
    names = [name for name, _ in lstm(bias=False).named_parameters()]
    assert names and not any("bias" in name for name in names)


def test_a_dropout_of_one_is_refused():
    with pytest.raises(ValueError, match=r"audio_encoder\.dropout must lie in \[0, 1\), got 1"):
        lstm(dropout=1.0)
