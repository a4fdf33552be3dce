import pytest
import torch

from avfusion.models.audio_encoders import Transformer


def test_equals_its_parts_applied_to_one_clip_without_padding():
    encoder = Transformer([0.0] * 6, [1.0] * 6, hidden_dim=8, num_layers=2, num_heads=2).double()
    audio = torch.randn(2, 9, 6, dtype=torch.double)
    tokens, vector = encoder(audio, torch.tensor([9, 4]))
    place, rate = torch.arange(4.0)[:, None], 10_000 ** -(torch.arange(4) / 4)
    waves = torch.cat([(place * rate).sin(), (place * rate).cos()], dim=1)
    expected = encoder.enter(audio[1, :4]) + waves
    for block in encoder.blocks:
        expected = block(expected[None], expected[None])[0]
    torch.testing.assert_close(tokens[1, :4], encoder.norm(expected), rtol=0, atol=1e-6)
    torch.testing.assert_close(vector[1], encoder.norm(expected).mean(dim=0), rtol=0, atol=1e-6)


def test_a_width_that_is_no_multiple_of_the_heads_is_refused():
    with pytest.raises(
        ValueError, match="dim must be a multiple of num_heads, got dim=10 and num_heads=4"
    ):
        Transformer([0.0], [1.0], hidden_dim=10)
