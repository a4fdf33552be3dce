import numpy as np
import pytest
import torch
from numpy_reference import (
    assert_equal,
    count_parameters,
    linear,
    random_vectors,
    randomize_parameters,
)

from avfusion.models.fusion.film import FiLMFusion


@pytest.mark.parametrize("condition", ["audio", "face"])
def test_equals_each_number_scaled_and_shifted(condition):
    fuse = FiLMFusion(6, 4, 5, condition)
    p, (face, audio) = randomize_parameters(fuse), random_vectors(2, 3)
    said, heard = (audio, face) if condition == "audio" else (face, audio)
    width = heard.shape[-1]
    both = linear(p, "scale_and_shift", said.numpy())
    modulated = np.empty((2, 3, width))
    for number in range(width):
        scale, shift = both[..., number], both[..., width + number]
        modulated[..., number] = scale * heard.numpy()[..., number] + shift
    assert_equal(fuse(face, audio), linear(p, "output", modulated))


def test_a_condition_of_zeros_changes_nothing_at_first():
    fuse, (face, audio) = FiLMFusion(6, 4, 5).double(), random_vectors(3)
    torch.testing.assert_close(fuse(face, torch.zeros_like(audio)), fuse.output(face))


def test_has_a_scale_and_a_shift_per_number_and_an_output_map():
    assert count_parameters(FiLMFusion(6, 4, 5)) == 2 * 6 * (4 + 1) + 5 * (6 + 1)
    assert count_parameters(FiLMFusion(6, 4, 5, condition="face")) == 2 * 4 * (6 + 1) + 5 * (4 + 1)


def test_a_condition_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match="must be audio or face, got 'text'"):
        FiLMFusion(6, 4, condition="text")
