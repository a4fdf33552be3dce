import pytest
import torch
from torch import nn

from avfusion.models.audio_encoders import BiLSTM

LENGTHS = torch.tensor([7, 1, 4, 5])


def torch_lstm(encoder: BiLSTM, num_layers: int) -> nn.LSTM:
    """torch's own bidirectional LSTM with the weights of an encoder."""
    lstm = nn.LSTM(6, 5, num_layers, batch_first=True, bidirectional=True).double()
    weights = {}
    for end, part in (("", encoder.forward_lstms), ("_reverse", encoder.backward_lstms)):
        for name, value in part.state_dict().items():
            layer, kind = name.split(".")
            weights[kind.removesuffix("0") + layer + end] = value
    lstm.load_state_dict(weights)
    return lstm


@pytest.mark.parametrize("num_layers", [1, 3])
def test_equals_torchs_bidirectional_lstm_run_clip_by_clip_without_padding(num_layers):
    encoder = BiLSTM([0.25] * 6, [1.5] * 6, hidden_dim=5, num_layers=num_layers).double()
    audio = torch.randn(4, 7, 6, dtype=torch.double)
    tokens, vector = encoder(audio, LENGTHS)
    lstm = torch_lstm(encoder, num_layers)
    for clip, length, seen, summary in zip(audio, LENGTHS, tokens, vector, strict=True):
        theirs, _ = lstm((clip[None, :length] - 0.25) / 1.5)
        torch.testing.assert_close(seen[:length], theirs[0], rtol=0, atol=1e-12)
        torch.testing.assert_close(summary, theirs[0].mean(dim=0), rtol=0, atol=1e-12)


def test_last_pooling_is_the_final_state_of_both_directions():
    encoder = BiLSTM([0.0] * 6, [1.0] * 6, hidden_dim=5, num_layers=2, pooling="last").double()
    audio = torch.randn(4, 7, 6, dtype=torch.double)
    _, vector = encoder(audio, LENGTHS)
    for clip, length, summary in zip(audio, LENGTHS, vector, strict=True):
        _, (final, _) = torch_lstm(encoder, 2)(clip[None, :length])
        torch.testing.assert_close(summary, final[-2:].flatten(), rtol=0, atol=1e-12)


def test_dropout_acts_between_layers_in_training_only():
    audio = torch.randn(4, 7, 6)
    for num_layers, changes in ((1, False), (2, True)):
        encoder = BiLSTM([0.0] * 6, [1.0] * 6, hidden_dim=5, num_layers=num_layers, dropout=0.5)
        evaluated = encoder.eval()(audio, LENGTHS)[1]
        assert torch.equal(evaluated, encoder(audio, LENGTHS)[1])
        assert torch.equal(evaluated, encoder.train()(audio, LENGTHS)[1]) is not changes
