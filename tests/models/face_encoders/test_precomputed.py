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


def test_a_stream_without_maps_is_refused():
    with pytest.raises(
        ValueError, match=r"The stream mfcc holds arrays of shape \[49, 75\] and no"
    ):
        Precomputed([49, 75], stream="mfcc")
