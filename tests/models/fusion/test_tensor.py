import numpy as np
import pytest
from numpy_reference import (
    assert_equal,
    count_parameters,
    linear,
    random_vectors,
    randomize_parameters,
)

from avfusion.models.fusion.tensor import TensorFusion


def outer(face: np.ndarray, audio: np.ndarray) -> np.ndarray:
    rows = [np.outer([1, *f], [1, *a]).ravel() for f, a in zip(face, audio, strict=True)]
    return np.stack(rows)


def test_by_itself_equals_the_outer_product_row_by_row():
    fuse, (face, audio) = TensorFusion(6, 4).double(), random_vectors(3)
    assert fuse.dim == 7 * 5
    assert not list(fuse.parameters())
    assert_equal(fuse(face, audio), outer(face.numpy(), audio.numpy()))


def test_with_widths_equals_the_map_of_the_product_of_rectified_layers():
    fuse = TensorFusion(6, 4, dim=5, width=3)
    p, (face, audio) = randomize_parameters(fuse), random_vectors(3)
    face_input = linear(p, "face_input.0", face.numpy()).clip(min=0)
    audio_input = linear(p, "audio_input.0", audio.numpy()).clip(min=0)
    assert_equal(fuse(face, audio), linear(p, "output", outer(face_input, audio_input)))


@pytest.mark.parametrize(
    ("width", "dim", "parameters"),
    [(None, 5, 5 * (7 * 5 + 1)), (3, None, 3 * (7 + 5)), (3, 5, 3 * (7 + 5) + 5 * (4 * 4 + 1))],
)
def test_has_the_maps_whose_widths_are_given(width, dim, parameters):
    assert count_parameters(TensorFusion(6, 4, dim, width)) == parameters
