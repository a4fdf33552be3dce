"""Claims about the picture of the first batch."""

import io

import pytest
import torch
from conftest import events_of, single_label, toy_clips
from PIL import Image

from avfusion.dashboard import BatchGrid
from avfusion.figures.predictions import batch_figure, tile_pictures


def test_it_is_drawn_once_at_the_first_step(watched):
    (event,) = events_of(watched).Images("train/first_batch")
    assert event.step == 0
    assert min(Image.open(io.BytesIO(event.encoded_image_string)).size) > 200


def test_every_clip_has_its_place_in_rows_of_equal_length():
    pictures = torch.rand(5, 2, 3, 1)
    grid = tile_pictures(pictures, 3)
    assert grid.shape == (4, 9, 1)
    for number, picture in enumerate(pictures):
        row, column = divmod(number, 3)
        assert torch.equal(grid[2 * row : 2 * row + 2, 3 * column : 3 * column + 3], picture)
    assert not grid[2:, 6:].any()


def test_the_figure_shows_the_pictures_as_they_reach_the_network_with_names_and_boxes():
    clips = toy_clips(3, size=8)
    clips = clips._replace(label=torch.tensor([0, 1, -1]))
    face, audio = batch_figure(
        clips.streams["frames"], clips.streams["mfcc"], clips, single_label("low", "high")
    ).axes
    shown = torch.from_numpy(face.get_images()[0].get_array().data)
    assert torch.equal(shown[:8, 8:16], clips.streams["frames"][1, 0].permute(1, 2, 0))
    assert [text.get_text() for text in face.texts] == ["low", "high", "?"]
    assert [box.get_x() for box in face.patches] == pytest.approx([0.8, 8.8, 0.8])
    assert audio.get_images()[0].get_array().shape == (2 * 75, 2 * clips.streams["mfcc"].shape[1])


def test_less_than_one_clip_is_refused():
    with pytest.raises(ValueError, match="clips must be at least 1, got 0"):
        BatchGrid(clips=0)
