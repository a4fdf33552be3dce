import numpy as np
import pytest
import torch
from numpy_reference import (
    assert_equal,
    count_parameters,
    linear,
    power_normalize,
    random_vectors,
    randomize_parameters,
)

from avfusion.models.fusion.mutan import MutanFusion


@pytest.mark.parametrize("normalize", [True, False])
def test_equals_a_core_tensor_of_that_rank(normalize):
    fuse = MutanFusion(6, 4, 5, width=7, rank=3, normalize=normalize, eps=0)
    p, (face, audio) = randomize_parameters(fuse), random_vectors(2, 3)
    face_inputs = linear(p, "face_input", face.numpy())
    audio_inputs = linear(p, "audio_input", audio.numpy())
    one = np.ones((2, 3, 1))
    of_face = np.concatenate([face_inputs, one], axis=-1)
    of_audio = np.concatenate([audio_inputs, one], axis=-1)
    face_core = np.hstack([p["face_factors.weight"], p["face_factors.bias"][:, None]])
    audio_core = np.hstack([p["audio_factors.weight"], p["audio_factors.bias"][:, None]])
    core = np.einsum("rki,rkj->kij", face_core.reshape(3, 7, 8), audio_core.reshape(3, 7, 8))
    assert max(np.linalg.matrix_rank(core)) == 3
    z = np.einsum("kij,...i,...j->...k", core, of_face, of_audio)
    assert_equal(fuse(face, audio), linear(p, "output", power_normalize(z) if normalize else z))


def test_has_two_maps_per_modality_and_an_output_map():
    inputs, factors, output = 7 * (6 + 1 + 4 + 1), 2 * 21 * (7 + 1), 5 * (7 + 1)
    assert count_parameters(MutanFusion(6, 4, 5, width=7, rank=3)) == inputs + factors + output


def test_a_core_without_rank_is_refused():
    with pytest.raises(ValueError, match="rank must be at least 1, got 0"):
        MutanFusion(6, 4, rank=0)


def test_shared_maps_treat_both_modalities_alike():
    fuse = MutanFusion(6, 6, 5, width=7, rank=3, shared=True)
    randomize_parameters(fuse)
    face, audio = random_vectors(3)[0], random_vectors(3)[0]
    torch.testing.assert_close(fuse(face, audio), fuse(audio, face))
    assert count_parameters(fuse) == 7 * (6 + 1) + 21 * (7 + 1) + 5 * (7 + 1)
    with pytest.raises(ValueError, match="one width"):
        MutanFusion(6, 4, shared=True)
