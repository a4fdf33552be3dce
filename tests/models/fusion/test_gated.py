import numpy as np
import pytest
from numpy_reference import (
    assert_equal,
    count_parameters,
    linear,
    random_vectors,
    randomize_parameters,
)

from avfusion.models.fusion.gated import GatedFusion


@pytest.mark.parametrize("gate", ["audio", "face"])
def test_equals_one_modality_times_the_sigmoid_of_the_other(gate):
    fuse = GatedFusion(6, 4, 5, 7, gate)
    p, (face, audio) = randomize_parameters(fuse), random_vectors(2, 3)
    inputs = {
        "face": linear(p, "face_input", face.numpy()),
        "audio": linear(p, "audio_input", audio.numpy()),
    }
    opening = 1 / (1 + np.exp(-inputs.pop(gate)))
    (passing,) = inputs.values()
    assert_equal(fuse(face, audio), linear(p, "output", opening * passing))


def test_has_a_map_per_modality_and_an_output_map():
    assert count_parameters(GatedFusion(6, 4, 5, width=7)) == 7 * (7 + 5) + 5 * (7 + 1)


def test_a_gate_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="must be audio or face, got 'text'"):
        GatedFusion(6, 4, gate="text")
