import numpy as np
import torch
from numpy_reference import assert_equal, count_parameters, random_vectors, randomize_parameters

from avfusion.models.fusion.gmu import GMUFusion


def test_equals_the_mixture_of_the_paper():
    fuse = GMUFusion(6, 4, 5)
    p, (face, audio) = randomize_parameters(fuse), random_vectors(2, 3)
    face, audio = face.numpy(), audio.numpy()
    both = np.concatenate([face, audio], axis=-1)
    gate = 1 / (1 + np.exp(-(both @ p["gate.weight"].T)))
    expected = gate * np.tanh(face @ p["face_hidden.weight"].T)
    expected += (1 - gate) * np.tanh(audio @ p["audio_hidden.weight"].T)
    assert_equal(fuse(torch.from_numpy(face), torch.from_numpy(audio)), expected)


def test_has_three_maps_without_biases():
    assert count_parameters(GMUFusion(6, 4, 5)) == 5 * (6 + 4 + 6 + 4)
