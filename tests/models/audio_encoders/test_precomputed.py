import pytest
import torch

from avfusion.models.audio_encoders import Precomputed

LENGTHS = torch.tensor([3, 1, 5])


def frames() -> torch.Tensor:
    return torch.randn(3, 5, 6)


def test_without_options_the_tokens_are_the_normalized_frames():
    mean, std, given = torch.randn(6), torch.rand(6) + 0.5, frames()
    tokens, _ = Precomputed(mean.tolist(), std.tolist())(given, LENGTHS)
    torch.testing.assert_close(tokens, (given - mean) / std)


def test_a_projection_is_a_linear_map_of_each_frame():
    encoder, given = Precomputed([0.0] * 6, [1.0] * 6, projection=4), frames()
    tokens, vector = encoder(given, LENGTHS)
    weight, bias = encoder.projection.weight, encoder.projection.bias
    torch.testing.assert_close(tokens, given @ weight.T + bias)
    assert (encoder.dim, encoder.vector_dim) == (4, 8) and vector.shape == (3, 8)


def test_one_vector_per_clip_is_a_token_that_is_not_pooled():
    given = torch.randn(3, 1, 6)
    for pooling in ("mean", "mean+std", "attentive"):
        encoder = Precomputed([0.0] * 6, [1.0] * 6, shape=[6], pooling=pooling)
        tokens, vector = encoder(given, torch.ones(3, dtype=torch.int64))
        assert torch.equal(tokens, given)
        torch.testing.assert_close(vector, given[:, 0])


def test_dropout_acts_in_training_only():
    encoder, given = Precomputed([0.0] * 6, [1.0] * 6, dropout=0.5), frames()
    assert (encoder.train()(given, LENGTHS)[0] == 0).any()
    assert torch.equal(encoder.eval()(given, LENGTHS)[0], given)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"temporal": "lstm"}, "temporal must be none, gru, tcn, transformer, got 'lstm'"),
        ({"projection": 0}, "projection must be null or at least 1, got 0"),
        ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), got 1.0"),
        ({"layer_norm": True}, "layer_norm=true normalizes the layers of a stream"),
    ],
)
def test_options_that_cannot_be_are_refused(options, sentence):
    with pytest.raises(ValueError, match=sentence):
        Precomputed([0.0] * 6, [1.0] * 6, **options)
