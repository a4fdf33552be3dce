import numpy as np
import pytest
from numpy_reference import (
    assert_equal,
    count_parameters,
    linear,
    power_normalize,
    random_vectors,
    randomize_parameters,
)

from avfusion.models.fusion.mfh import MFHFusion


@pytest.mark.parametrize("activation", ["none", "tanh"])
@pytest.mark.parametrize("normalize", [True, False])
def test_the_second_multiplies_the_unpooled_product_of_the_first(activation, normalize):
    fuse = MFHFusion(6, 4, 5, 7, 3, activation, normalize, eps=0)
    p, (face, audio) = randomize_parameters(fuse), random_vectors(2, 3)
    parts = [
        linear(p, f"{vector_of}_factors.{k}", vector.numpy())
        for k in (0, 1)
        for vector_of, vector in (("face", face), ("audio", audio))
    ]
    if activation == "tanh":
        parts = [np.tanh(part) for part in parts]
    first = parts[0] * parts[1]
    second = parts[2] * parts[3] * first
    pools = [product.reshape(2, 3, 7, 3).sum(axis=-1) for product in (first, second)]
    pools = [power_normalize(pool) for pool in pools] if normalize else pools
    assert_equal(fuse(face, audio), linear(p, "output", np.concatenate(pools, axis=-1)))


def test_has_two_factor_maps_per_modality_and_one_output_map():
    fuse = MFHFusion(6, 4, 5, width=7, factor=3)
    assert count_parameters(fuse) == 2 * 21 * (6 + 1 + 4 + 1) + 5 * (14 + 1)


def test_pools_without_factors_are_refused():
    with pytest.raises(ValueError, match="factor must be at least 1, got 0"):
        MFHFusion(6, 4, factor=0)
