import pytest

from avfusion.models.layers.input_maps import input_maps


def test_each_modality_has_a_map_of_its_own_unless_shared():
    face, audio = input_maps(6, 4, 5, shared=False)
    assert (face.in_features, audio.in_features) == (6, 4)
    assert face.out_features == audio.out_features == 5
    first, second = input_maps(6, 6, 5, shared=True)
    assert first is second


def test_maps_of_different_widths_cannot_be_shared():
    with pytest.raises(ValueError, match=r"one width, got 6 .* and 4 .*; set shared=false"):
        input_maps(6, 4, 5, shared=True)
