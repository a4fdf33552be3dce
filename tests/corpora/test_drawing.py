"""Drawn faces of the cocktail party."""

from itertools import combinations

import numpy as np
import pytest

from avfusion.corpora.drawing import BROWS, RADII, SIDE, draw_look, draw_party


def draw_faces(seed, kinds, expressions=None, aroused=None):
    """The picture of a party as an array, its boxes and its looks."""
    rng = np.random.default_rng(seed)
    looks = [draw_look(rng, kind) for kind in kinds]
    expressions = expressions or ["open"] * len(kinds)
    picture, boxes = draw_party(rng, looks, expressions, aroused=aroused)
    return np.asarray(picture), boxes, looks


def find_background(picture, boxes):
    """The color outside of all boxes."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    free = np.ones((SIDE, SIDE), bool)
    for left, top, right, bottom in boxes:
        free &= (
            (columns < left - 1) | (columns > right + 1) | (rows < top - 1) | (rows > bottom + 1)
        )
    colors = np.unique(picture[free], axis=0)
    assert len(colors) == 1, "something is drawn outside of the boxes"
    return colors[0]


@pytest.mark.parametrize("kind", RADII)
@pytest.mark.parametrize("seed", range(4))
def test_the_box_is_the_extent_of_the_face(kind, seed):
    picture, boxes, _ = draw_faces(seed, [kind])
    face = (picture != find_background(picture, boxes)).any(axis=2)
    rows, columns = np.flatnonzero(face.any(1)), np.flatnonzero(face.any(0))
    extent = (columns[0], rows[0], columns[-1], rows[-1])
    np.testing.assert_allclose(extent, np.clip(boxes[0], 0, SIDE - 1), atol=1.01)


@pytest.mark.parametrize("seed", range(20))
def test_faces_stand_in_places_of_their_own_with_their_centers_in_the_picture(seed):
    _, boxes, _ = draw_faces(seed, RADII)
    centers = [((left + right) / 2, (top + bottom) / 2) for left, top, right, bottom in boxes]
    assert len({(x < SIDE / 2, y < SIDE / 2) for x, y in centers}) == 3
    assert all(min(abs(side - SIDE / 2) for side in center) > 20 for center in centers)
    assert all(-6 < left and right < SIDE + 6 for left, _, right, _ in boxes)


@pytest.mark.parametrize("seed", range(20))
def test_size_alone_tells_the_kinds_apart(seed):
    _, boxes, _ = draw_faces(seed, RADII)
    widths = [right - left for left, _, right, _ in boxes]
    assert widths[1] - widths[0] > 3 and widths[2] - widths[1] > 3
    for width, radius in zip(widths, RADII.values(), strict=True):
        assert width == pytest.approx(2 * radius, rel=0.1)


@pytest.mark.parametrize("kind", RADII)
def test_every_expression_calm_or_aroused_looks_different_on_the_same_face(kind):
    pictures = [
        draw_faces(0, [kind], [expression], [aroused])[0].astype(int)
        for expression in BROWS
        for aroused in (False, True)
    ]
    for one, other in combinations(pictures, 2):
        assert (np.abs(one - other).max(axis=2) > 50).sum() >= 8


def test_a_face_has_its_skin():
    picture, (box,), (look,) = draw_faces(0, ["man"])
    x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    assert tuple(picture[round(y), round(x)]) == look.skin


def test_subjects_of_a_kind_differ_in_skin_and_size():
    rng = np.random.default_rng(0)
    looks = [draw_look(rng, "child") for _ in range(10)]
    assert len({look.skin for look in looks}) == len({look.radius for look in looks}) == 10
