"""Claims about decoding pictures."""

import numpy as np
import pytest
from conftest import write_picture
from odd_files import (
    HEIGHT,
    WIDTH,
    corner,
    empty,
    garbage,
    levels,
    marked,
    pointer,
    steps,
    text,
    truncated_picture,
)
from PIL import Image

from avfusion.features.picture import read_frames, read_picture
from avfusion.features.source import Unreadable

EXIF_ORIENTATION = 0x0112


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
        ("half.jpg", truncated_picture, "cannot be decoded"),
        ("half.png", truncated_picture, "cannot be decoded"),
        ("empty.png", empty, "empty file"),
        ("pointer.jpg", pointer, "git-LFS pointer, run git lfs pull"),
        ("text.jpg", text, "cannot be decoded"),
        ("garbage.png", garbage, "cannot be decoded"),
    ],
)
def test_a_picture_that_cannot_be_used_names_its_file_and_its_reason(tmp_path, name, write, reason):
    write(tmp_path / name)
    with pytest.raises(Unreadable, match=rf"^{name}: {reason}"):
        read_picture(tmp_path / name)


@pytest.mark.parametrize(
    ("orientation", "where"), [(1, "top left"), (6, "top right"), (8, "bottom left")]
)
def test_the_rotation_in_exif_is_applied(tmp_path, orientation, where):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    Image.fromarray(marked()).save(tmp_path / "a.jpg", exif=exif)
    picture = read_picture(tmp_path / "a.jpg")
    assert picture.shape == ((HEIGHT, WIDTH, 3) if orientation == 1 else (WIDTH, HEIGHT, 3))
    assert corner(picture) == where


@pytest.mark.parametrize(("mode", "kind"), [("RGBA", "png"), ("CMYK", "tif"), ("P", "png")])
def test_any_mode_of_a_picture_becomes_rgb(tmp_path, mode, kind):
    Image.new("RGB", (9, 7), (204, 51, 0)).convert(mode).save(tmp_path / f"a.{kind}")
    picture = read_picture(tmp_path / f"a.{kind}")
    assert picture.shape == (7, 9, 3) and picture.dtype == np.uint8
    np.testing.assert_allclose(picture[3, 4], (204, 51, 0), atol=1)


def test_gray_pictures_of_8_and_16_bits_become_the_same_rgb(tmp_path):
    ramp = np.arange(0, 256, 2, dtype=np.uint8).reshape(8, 16)
    Image.fromarray(ramp).save(tmp_path / "8.png")
    Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "16.png")
    expected = np.repeat(ramp[..., None], 3, axis=2)
    assert np.array_equal(read_picture(tmp_path / "8.png"), expected)
    assert np.array_equal(read_picture(tmp_path / "16.png"), expected)


def test_a_picture_of_unknown_range_is_refused_rather_than_made_black(tmp_path):
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(Unreadable, match=r"a\.tif: brightness of unknown range"):
        read_picture(tmp_path / "a.tif")


def test_frames_of_a_folder_are_taken_at_fractions_in_the_order_of_their_names(tmp_path):
    for number, picture in enumerate(steps(10)):
        Image.fromarray(picture).save(tmp_path / f"{number:02d}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    assert levels(read_frames(tmp_path, [0.0, 0.19, 0.5, 0.99, 1.0])) == [0, 1, 5, 9, 9]


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(Unreadable, match=f"{tmp_path.name}: no picture"):
        read_frames(tmp_path, [0.5])


def test_one_broken_frame_of_a_folder_is_named(tmp_path):
    write_picture(tmp_path / "0.png", (9, 9, 9))
    empty(tmp_path / "1.png")
    with pytest.raises(Unreadable, match=r"1\.png: empty file"):
        read_frames(tmp_path, [0.0, 0.9])


def test_numbers_of_frames_need_no_leading_zeros(tmp_path):
    for number in (1, 2, 10):
        write_picture(tmp_path / f"frame{number}.png", (20 * number,) * 3, size=(64, 64))
    middle, last = (picture[40, 40, 0] for picture in read_frames(tmp_path, [0.5, 1.0]))
    assert (middle, last) == (40, 200)


def test_a_picture_that_would_fill_the_memory_is_refused_before_it_is_decoded(tmp_path):
    Image.new("1", (12_000, 12_000)).save(tmp_path / "a.png")
    with pytest.raises(Unreadable, match=r"a\.png: picture too large .12000 x 12000"):
        read_picture(tmp_path / "a.png")
