import numpy as np
import torch

from avfusion.models.attention import MCBAttention


def test_scores_each_position_by_the_sketched_outer_product_with_the_voice():
    attention = MCBAttention(channels=4, audio_dim=5, hidden_dim=6, glimpses=3, bins=7).double()
    face_map, audio = torch.randn(2, 4, 2, 3, 5).double(), torch.randn(2, 5).double()
    _, weights = attention(face_map, audio)
    product, (rows, bias, last) = (
        attention.product,
        (p.detach().numpy() for p in attention.parameters()),
    )
    scores = np.zeros((2, 3, 2, 3, 5))
    for clip, *place in np.ndindex(2, 2, 3, 5):
        bins = np.zeros(7)
        for i, j in np.ndindex(4, 5):
            place_of = (product.face_sketch.hashes[i] + product.audio_sketch.hashes[j]) % 7
            sign = product.face_sketch.signs[i] * product.audio_sketch.signs[j]
            bins[place_of] += sign * face_map[clip, i, *place] * audio[clip, j]
        root = bins / (np.sqrt(np.abs(bins) + 1e-6) + 1e-3)
        root /= np.sqrt((root**2).sum())
        scores[clip, :, *place] = last @ np.maximum(rows @ root + bias, 0)
    powers = np.exp(scores.reshape(2, 3, -1))
    expected = torch.from_numpy(powers / powers.sum(axis=-1, keepdims=True))
    torch.testing.assert_close(weights, expected, rtol=0, atol=1e-12)
