"""Claims about the pointing game."""

import numpy as np
import pytest
import torch

from avfusion.training.metrics.pointing import PointingGame

NAN_BOX = [float("nan")] * 4


def point(glimpses, boxes) -> dict[str, float]:
    """The scores of maps ``[clips, glimpses, rows, columns]`` of one picture each."""
    game = PointingGame()
    game.update(torch.as_tensor(glimpses, dtype=torch.float32)[:, :, None], torch.tensor(boxes))
    return {name: float(value) for name, value in game.compute().items()}


def peak(row: int, column: int, size: int = 4) -> list[list[float]]:
    picture = np.full((size, size), 0.2 / (size * size - 1))
    picture[row, column] = 0.8
    return picture.tolist()


def test_a_peak_in_the_box_is_a_hit_and_its_mass_is_counted():
    scores = point([[peak(1, 2)]], [[0.5, 0.25, 0.75, 0.5]])
    assert scores["attention_hit"] == 1
    beside = 8 * 0.2 / 15  # half a cell on each side of one cell reaches its eight neighbours
    assert scores["attention_mass"] == pytest.approx(0.8 + beside)


def test_a_peak_outside_of_the_box_is_none():
    assert point([[peak(1, 2)]], [[0.0, 0.75, 0.25, 1.0]])["attention_hit"] == 0


@pytest.mark.parametrize("side", range(4))
def test_the_margin_is_half_a_cell_exactly_on_each_side(side):
    edge, outward = (0.5, 1) if side < 2 else (0.25, -1)
    for distance, hit in ((0, 1), (0.001, 0)):
        box = [0.0, 0.0, 1.0, 1.0]
        box[side] = edge + outward * distance
        assert point([[peak(1, 1)]], [box])["attention_hit"] == hit


@pytest.mark.parametrize(("row", "column", "hit"), [(0, 3, 1), (3, 0, 0)])
def test_rows_go_down_and_columns_go_right(row, column, hit):
    assert point([[peak(row, column)]], [[0.75, 0.0, 1.0, 0.25]])["attention_hit"] == hit


def test_equal_cells_share_the_vote():
    scores = point(np.full((1, 1, 4, 4), 1 / 16), [[0.25, 0.25, 0.25, 0.25]])
    assert scores["attention_hit"] == scores["attention_mass"] == pytest.approx(4 / 16)


def test_the_mean_of_the_glimpses_points():
    glimpses = [peak(0, 0), peak(3, 3), peak(3, 3)]
    assert point([glimpses], [[0.8, 0.8, 1.0, 1.0]])["attention_hit"] == 1
    assert point([glimpses[:1]], [[0.8, 0.8, 1.0, 1.0]])["attention_hit"] == 0


def test_a_peak_in_any_picture_counts():
    weights = torch.zeros(1, 1, 3, 4, 4)
    weights[0, 0, 2, 1, 1] = 1
    game = PointingGame()
    game.update(weights, torch.tensor([[0.3, 0.3, 0.4, 0.4]]))
    assert game.compute()["attention_hit"] == game.compute()["attention_mass"] == 1


def test_clips_without_a_box_are_ignored():
    box = [0.5, 0.25, 0.75, 0.5]
    unknown = point([[peak(1, 2)], [peak(3, 3)]], [box, NAN_BOX])
    assert unknown == point([[peak(1, 2)]], [box])


def test_without_glimpses_or_boxes_nothing_is_reported():
    assert point([[peak(1, 2)]], [NAN_BOX]) == {}
    game = PointingGame()
    game.update(None, torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
    assert game.compute() == {}


def test_scores_are_split_by_the_width_of_the_face():
    boxes = [[0.0, 0.0, width, 1.0] for width in (0.2, 0.28, 0.3, 0.38, 0.39, 0.9)]
    scores = point([[peak(0, column)] for column in (0, 3, 0, 0, 3, 3)], boxes)
    assert scores["attention_hit"] == pytest.approx(4 / 6)
    each = {size: scores[f"attention_hit_{size}"] for size in ("small", "medium", "large")}
    assert each == {"small": 0.5, "medium": 1.0, "large": 0.5}
    only_small = point([[peak(0, 0)]], boxes[:1])
    assert set(only_small) == {
        f"attention_{score}{size}" for score in ("hit", "mass") for size in ("", "_small")
    }


def test_a_map_of_one_cell_points_nowhere():
    game = PointingGame()
    game.update(torch.full((2, 2, 3, 1, 1), 1 / 3), torch.tensor([[0.1, 0.1, 0.9, 0.9]] * 2))
    assert game.compute() == {}
