import pytest
from numpy_reference import (
    ACTIVATIONS,
    assert_equal,
    count_parameters,
    linear,
    power_normalize,
    random_vectors,
    randomize_parameters,
)

from avfusion.models.fusion.sum import SumFusion


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("normalize", [True, False])
def test_equals_a_map_of_the_sum_of_two_activated_maps(activation, normalize):
    fuse = SumFusion(6, 4, 5, 7, activation, normalize, eps=0)
    p, (face, audio) = randomize_parameters(fuse), random_vectors(2, 3)
    z = ACTIVATIONS[activation](linear(p, "face_input", face.numpy()))
    z = z + ACTIVATIONS[activation](linear(p, "audio_input", audio.numpy()))
    assert_equal(fuse(face, audio), linear(p, "output", power_normalize(z) if normalize else z))


def test_has_a_map_per_modality_and_an_output_map():
    assert count_parameters(SumFusion(6, 4, 5, width=7)) == 7 * (7 + 5) + 5 * (7 + 1)
