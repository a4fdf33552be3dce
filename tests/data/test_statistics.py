"""Claims about mean and standard deviation."""

import numpy as np
import pytest

from avfusion.data.statistics import Moments


def test_moments_of_parts_add_up_to_those_of_the_whole():
    table = np.random.default_rng(0).normal(3, 5, (100, 4)).astype(np.float32)
    parts = Moments.sum(Moments.of(part) for part in np.split(table, [1, 30, 77]))
    found = parts.mean_and_deviation()
    np.testing.assert_allclose(found["mean"], table.mean(0, np.float64))
    np.testing.assert_allclose(found["std"], table.std(0, dtype=np.float64))


def test_bytes_do_not_overflow():
    table = np.full((100_000, 3), 255, np.uint8)
    table[::2] = 1
    found = Moments.of(table).mean_and_deviation()
    assert found["mean"] == pytest.approx([128] * 3) and found["std"] == pytest.approx([127] * 3)


def test_a_scale_scales_both():
    moments = Moments.of(np.random.default_rng(0).integers(0, 256, (50, 3), np.uint8))
    plain, scaled = moments.mean_and_deviation(), moments.mean_and_deviation(scale=1 / 255)
    for name in ("mean", "std"):
        assert scaled[name] == pytest.approx([number / 255 for number in plain[name]])


def test_a_column_that_never_changes_can_be_divided_by():
    found = Moments.of(np.array([[7.1, 1.0], [7.1, 3.0], [7.1, 5.0]])).mean_and_deviation()
    assert found["std"] == pytest.approx([1.0, np.sqrt(8 / 3)])


def test_no_data_has_no_statistics():
    assert Moments.sum([]).mean_and_deviation() == {"mean": [], "std": []}
    assert Moments.sum([Moments.of(np.ones((2, 3))), Moments.sum([])]).rows == 2
