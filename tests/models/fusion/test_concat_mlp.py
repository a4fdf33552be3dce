import numpy as np
import pytest
from numpy_reference import (
    assert_equal,
    count_parameters,
    linear,
    random_vectors,
    randomize_parameters,
)

from avfusion.models.fusion.concat_mlp import ConcatMLPFusion


@pytest.mark.parametrize("hidden", [[], [7], [7, 3]])
def test_equals_rectified_layers_in_turn_and_a_linear_one(hidden):
    fuse = ConcatMLPFusion(6, 4, 5, hidden)
    p, (face, audio) = randomize_parameters(fuse), random_vectors(2, 3)
    numbers = np.concatenate([face.numpy(), audio.numpy()], axis=-1)
    for k in range(len(hidden)):
        numbers = linear(p, f"layers.{k}", numbers).clip(min=0)
    assert_equal(fuse(face, audio), linear(p, f"layers.{len(hidden)}", numbers))


def test_has_a_layer_between_each_two_widths():
    assert count_parameters(ConcatMLPFusion(6, 4, 5, hidden=[7, 3])) == 11 * 7 + 8 * 3 + 4 * 5
