import pytest
import torch

from avfusion.encoders import ConvNet, Stored
from avfusion.encoders.stored import reads_maps


def test_maps_are_handed_on_with_their_channels_first():
    maps = torch.rand(2, 3, 8, 5, 4)
    handed_on = Stored(8)(maps)
    for clip in range(2):
        for picture in range(3):
            assert torch.equal(handed_on[clip, :, picture], maps[clip, picture])
    assert not list(Stored(8).state_dict())


def test_a_store_without_maps_is_refused_with_the_cure():
    with pytest.raises(ValueError, match=r"got one without: prepare it with features\.maps\.run="):
        Stored(None)


def test_only_networks_that_look_at_stored_maps_read_them():
    networks = [torch.nn.Module() for _ in range(3)]
    networks[0].face_encoder, networks[1].face_encoder = Stored(8), ConvNet([0.0] * 3, [1.0] * 3)
    assert [reads_maps(network) for network in networks] == [True, False, False]
