import pytest
from numpy_reference import (
    assert_equal,
    count_parameters,
    linear,
    random_vectors,
    randomize_parameters,
)

from avfusion.models.fusion.bilinear import BilinearFusion


@pytest.mark.parametrize("width", [None, 3])
def test_equals_the_sum_of_products_and_of_what_each_says(width):
    fuse = BilinearFusion(6, 4, 5, width)
    p, (face, audio) = randomize_parameters(fuse), random_vectors(2, 3)
    face_input, audio_input = face.numpy(), audio.numpy()
    if width:
        face_input = linear(p, "face_input", face_input)
        audio_input = linear(p, "audio_input", audio_input)
    expected = linear(p, "face_term", face_input) + audio_input @ p["audio_term.weight"].T
    for k, weights in enumerate(p["product.weight"]):
        expected[..., k] += ((face_input @ weights) * audio_input).sum(axis=-1)
    assert_equal(fuse(face, audio), expected)


@pytest.mark.parametrize(
    ("width", "parameters"),
    [(None, 5 * (6 * 4 + 6 + 4 + 1)), (3, 3 * (7 + 5) + 5 * (9 + 3 + 3 + 1))],
)
def test_has_a_weight_per_product_and_per_number(width, parameters):
    assert count_parameters(BilinearFusion(6, 4, 5, width)) == parameters
