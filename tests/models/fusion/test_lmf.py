import numpy as np
import pytest
from numpy_reference import assert_equal, count_parameters, random_vectors, randomize_parameters

from avfusion.models.fusion.lmf import LMFFusion


def test_equals_the_full_tensor_that_it_factorizes():
    fuse = LMFFusion(6, 4, 5, rank=2)
    p, (face, audio) = randomize_parameters(fuse), random_vectors(2, 3)
    tensor = np.einsum("r,rid,rjd->ijd", p["weights"], p["face_factors"], p["audio_factors"])
    assert max(np.linalg.matrix_rank(tensor[..., k]) for k in range(5)) == 2
    one = np.ones((2, 3, 1))
    of_face = np.concatenate([one, face.numpy()], axis=-1)
    of_audio = np.concatenate([one, audio.numpy()], axis=-1)
    expected = np.einsum("...i,...j,ijd->...d", of_face, of_audio, tensor) + p["bias"]
    assert_equal(fuse(face, audio), expected)


def test_every_factor_is_registered_and_counted():
    assert count_parameters(LMFFusion(6, 4, 5, rank=2)) == 2 * (7 + 5) * 5 + 2 + 5


def test_a_tensor_without_rank_is_refused():
    with pytest.raises(ValueError, match="rank must be at least 1, got 0"):
        LMFFusion(6, 4, rank=0)
