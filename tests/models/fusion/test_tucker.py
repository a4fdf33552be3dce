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

from avfusion.models.fusion.tucker import TuckerFusion


@pytest.mark.parametrize("normalize", [True, False])
def test_equals_the_full_tensor_that_it_decomposes(normalize):
    fuse = TuckerFusion(6, 4, 5, width=7, normalize=normalize, eps=0)
    p, (face, audio) = randomize_parameters(fuse), random_vectors(2, 3)
    face_input = linear(p, "face_input", face.numpy())
    audio_input = linear(p, "audio_input", audio.numpy())
    z = np.einsum("kij,...i,...j->...k", p["core.weight"], face_input, audio_input)
    z = z + p["core.bias"]
    assert_equal(fuse(face, audio), linear(p, "output", power_normalize(z) if normalize else z))


def test_has_a_map_per_modality_a_full_core_and_an_output_map():
    assert count_parameters(TuckerFusion(6, 4, 5, width=7)) == 7 * (7 + 5) + 7**3 + 7 + 5 * (7 + 1)


def test_shared_maps_treat_both_modalities_alike():
    fuse = TuckerFusion(6, 6, 5, width=7, shared=True)
    randomize_parameters(fuse)
    face, audio = random_vectors(3)[0], random_vectors(3)[0]
    fuse.core.weight.data += fuse.core.weight.data.mT.clone()
    torch.testing.assert_close(fuse(face, audio), fuse(audio, face))
    assert count_parameters(fuse) == 7 * (6 + 1) + 7**3 + 7 + 5 * (7 + 1)
    with pytest.raises(ValueError, match="one width"):
        TuckerFusion(6, 4, shared=True)
