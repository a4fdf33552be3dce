import numpy as np
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

from avfusion.models.fusion.mfb import MFBFusion


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("normalize", [True, False])
def test_equals_an_explicit_sum_over_factors(activation, normalize):
    fuse = MFBFusion(6, 4, 5, 7, 3, activation, normalize, eps=0)
    p, (face, audio) = randomize_parameters(fuse), random_vectors(2, 3)
    act = ACTIVATIONS[activation]
    pools = np.zeros((2, 3, 7))
    for number in range(7):
        for k in range(3 * number, 3 * number + 3):
            of_face = p["face_factors.weight"][k] @ face.numpy()[..., None]
            of_audio = p["audio_factors.weight"][k] @ audio.numpy()[..., None]
            pools[..., number] += act(of_face[..., 0] + p["face_factors.bias"][k]) * act(
                of_audio[..., 0] + p["audio_factors.bias"][k]
            )
    expected = linear(p, "output", power_normalize(pools) if normalize else pools)
    assert_equal(fuse(face, audio), expected)


def test_has_a_factor_map_per_modality_and_an_output_map():
    fuse = MFBFusion(6, 4, 5, width=7, factor=3)
    assert count_parameters(fuse) == 21 * (6 + 1 + 4 + 1) + 5 * (7 + 1)


def test_pools_without_factors_are_refused():
    with pytest.raises(ValueError, match="factor must be at least 1, got 0"):
        MFBFusion(6, 4, factor=0)
