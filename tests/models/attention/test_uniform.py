import torch

from avfusion.models.attention import UniformAttention


def test_uniform_attention_is_the_mean_of_the_map():
    face_map = torch.randn(2, 4, 2, 3, 5)
    face, weights = UniformAttention(channels=4, audio_dim=1, glimpses=2)(
        face_map, torch.randn(2, 1)
    )
    mean = face_map.numpy().mean(axis=(2, 3, 4))
    torch.testing.assert_close(face, torch.from_numpy(mean).repeat(1, 2))
    torch.testing.assert_close(weights, torch.full((2, 2, 30), 1 / 30))
