"""Claims about the numbers that say how glimpses look."""

import math

import numpy as np
import pytest
import torch
from conftest import events_of
from scipy.spatial.distance import cosine
from scipy.stats import entropy

from avfusion.dashboard.glimpse_shape import sum_statistics


def test_sums_are_those_of_clips_whose_glimpses_are_taken_one_by_one():
    glimpses = torch.rand(5, 3, 2, 4, 6).flatten(2).softmax(dim=-1)
    flat = glimpses.double().numpy()
    pairs = [(a, b) for a in range(3) for b in range(a)]
    expected = [
        np.mean([entropy(glimpse) for clip in flat for glimpse in clip]),
        flat.max(axis=-1).mean(),
        np.mean([1 - cosine(clip[a], clip[b]) for clip in flat for a, b in pairs]),
        1,
        1,
    ]
    found = sum_statistics(glimpses.view(5, 3, 2, 4, 6)).numpy()
    np.testing.assert_allclose(found, 5 * np.array(expected), rtol=1e-5)


def test_extremes_are_those_that_the_docstring_names():
    one_cell = torch.zeros(2, 4, 9)
    one_cell[..., 3] = 1
    assert sum_statistics(one_cell).tolist() == pytest.approx([0, 2, 2, 2, 2], abs=1e-6)
    anywhere = torch.full((1, 2, 9), 1 / 9)
    assert sum_statistics(anywhere).tolist() == pytest.approx([math.log(9), 1 / 9, 1, 1, 1])
    apart = torch.eye(4)[None]
    assert sum_statistics(apart).tolist() == pytest.approx([0, 1, 0, 1, 1], abs=1e-6)


def test_a_single_glimpse_is_not_compared():
    assert sum_statistics(torch.rand(3, 1, 9)).tolist()[2:] == [0, 3, 0]


def test_each_validation_is_logged_once(watched):
    events = events_of(watched)
    for name in ("entropy", "largest_weight", "similarity"):
        found = events.Scalars(f"val/attention_{name}")
        assert [event.step for event in found] == [2, 5, 8]
        assert all(0 < event.value < 10 for event in found)
