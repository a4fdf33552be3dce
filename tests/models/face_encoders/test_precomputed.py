import pytest
import torch

from avfusion.models.face_encoders import Precomputed


def test_maps_are_handed_on_with_their_channels_first():
    maps, encoder = torch.rand(2, 3, 8, 5, 4), Precomputed([3, 8, 5, 4])
    handed_on = encoder(maps)
    for clip in range(2):
        for picture in range(3):
            assert torch.equal(handed_on[clip, :, picture], maps[clip, picture])
    assert not list(encoder.state_dict())
    assert (encoder.channels, encoder.stream) == (8, "face_map")


def test_vectors_of_steps_become_a_map_of_one_cell_per_step():
    mean, std, values = torch.randn(6), torch.rand(6) + 0.5, torch.randn(2, 5, 6)
    encoder = Precomputed([5, 6], mean.tolist(), std.tolist(), stream="clip")
    lengths = torch.tensor([5, 2])
    for face_map in (encoder(values), encoder(values, lengths)):
        assert face_map.shape == (2, encoder.channels, 5, 1, 1)
        expected = ((values - mean) / std).transpose(1, 2)
        torch.testing.assert_close(face_map[..., 0, 0], expected)


def test_layers_of_vectors_count_equally_at_first():
    values = torch.randn(2, 3, 5, 6)
    encoder = Precomputed([3, 5, 6], [[0.0] * 6] * 3, [[1.0] * 6] * 3)
    torch.testing.assert_close(encoder(values)[..., 0, 0], values.mean(dim=1).transpose(1, 2))


@pytest.mark.parametrize("layers", [0, 3])
def test_one_vector_per_clip_is_one_cell_and_that_is_said(layers, caplog):
    numbers = [0.0] * 6, [1.0] * 6
    mean, std = ([one] * layers if layers else one for one in numbers)
    shape = [layers, 6] if layers else [6]
    with caplog.at_level("INFO"):
        encoder = Precomputed(shape, mean, std, stream="clip")
    assert "clip is one vector per clip: attention has nothing to look at." in caplog.text
    assert encoder(torch.randn(2, *shape)).shape == (2, 6, 1, 1, 1)


def test_temporal_layers_read_the_true_steps_only():
    encoder = Precomputed([5, 6], [0.0] * 6, [1.0] * 6, temporal="transformer", hidden_dim=8)
    values, lengths = torch.randn(2, 5, 6), torch.tensor([5, 2])
    noisy = values.clone()
    noisy[1, 2:] = 100
    torch.testing.assert_close(
        encoder(values, lengths)[1, :, :2], encoder(noisy, lengths)[1, :, :2]
    )
    assert encoder.channels == 8


def test_maps_of_one_cell_may_be_read_as_vectors():
    numbers = [0.5] * 6, [2.0] * 6
    maps, encoder = torch.randn(2, 5, 6, 1, 1), Precomputed([5, 6, 1, 1], *numbers, projection=4)
    vectors = Precomputed([5, 6], *numbers, projection=4)
    vectors.load_state_dict(encoder.state_dict())
    assert torch.equal(encoder(maps), vectors(maps[..., 0, 0]))
    assert torch.equal(Precomputed([5, 6, 1, 1])(maps), maps.transpose(1, 2))


def test_options_of_vectors_are_refused_for_maps():
    with pytest.raises(ValueError, match=r"stream vgg16 holds face maps, .* leave out projection"):
        Precomputed([3, 8, 5, 4], projection=4, stream="vgg16")
