"""Claims about decoding pictures."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, write_picture
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
from PIL import Image, ImageFile

from avfusion.features import picture as pictures
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
        read_picture(tmp_path / name)[0]


@pytest.mark.parametrize(
    ("orientation", "where"), [(1, "top left"), (6, "top right"), (8, "bottom left")]
)
def test_the_rotation_in_exif_is_applied(tmp_path, orientation, where):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    Image.fromarray(marked()).save(tmp_path / "a.jpg", exif=exif)
    picture = read_picture(tmp_path / "a.jpg")[0]
    assert picture.shape == ((HEIGHT, WIDTH, 3) if orientation == 1 else (WIDTH, HEIGHT, 3))
    assert corner(picture) == where


@pytest.mark.parametrize(("mode", "kind"), [("RGBA", "png"), ("CMYK", "tif"), ("P", "png")])
def test_any_mode_of_a_picture_becomes_rgb(tmp_path, mode, kind):
    Image.new("RGB", (9, 7), (204, 51, 0)).convert(mode).save(tmp_path / f"a.{kind}")
    picture = read_picture(tmp_path / f"a.{kind}")[0]
    assert picture.shape == (7, 9, 3) and picture.dtype == np.uint8
    np.testing.assert_allclose(picture[3, 4], (204, 51, 0), atol=1)


def test_gray_pictures_of_8_and_16_bits_become_the_same_rgb(tmp_path):
    ramp = np.arange(0, 256, 2, dtype=np.uint8).reshape(8, 16)
    Image.fromarray(ramp).save(tmp_path / "8.png")
    Image.fromarray(ramp.astype(np.uint16) * 257).save(tmp_path / "16.png")
    expected = np.repeat(ramp[..., None], 3, axis=2)
    assert np.array_equal(read_picture(tmp_path / "8.png")[0], expected)
    assert np.array_equal(read_picture(tmp_path / "16.png")[0], expected)


def test_a_picture_of_unknown_range_is_refused_rather_than_made_black(tmp_path):
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(Unreadable, match=r"a\.tif: brightness of unknown range"):
        read_picture(tmp_path / "a.tif")[0]


def test_frames_of_a_folder_are_taken_at_fractions_in_the_order_of_their_names(tmp_path):
    for number, picture in enumerate(steps(10)):
        Image.fromarray(picture).save(tmp_path / f"{number:02d}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    assert levels(read_frames(tmp_path, [0.0, 0.19, 0.5, 0.99, 1.0]).pictures) == [0, 1, 5, 9, 9]


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
    middle, last = (p[40, 40, 0] for p in read_frames(tmp_path, [0.5, 1.0]).pictures)
    assert (middle, last) == (40, 200)


def test_names_of_frames_may_hold_signs_that_only_look_like_numbers(tmp_path):
    for name in ("1\u00b22", "1\u00b210"):
        write_picture(tmp_path / f"{name}.png", (20 * len(name),) * 3)
    assert [p[30, 30, 0] for p in read_frames(tmp_path, [0.0, 0.9]).pictures] == [60, 80]


def quarters(width, height):
    """A picture whose quarters have colours of their own."""
    colours = np.array([[[250, 10, 10], [10, 250, 10]], [[10, 10, 250], [250, 250, 10]]], np.uint8)
    return colours.repeat(height // 2, axis=0).repeat(width // 2, axis=1)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_photograph_of_50_megapixels_is_read_at_a_quarter_of_its_sides(tmp_path, progressive):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6  # a quarter clockwise
    photograph = Image.fromarray(quarters(8192, 6144))
    photograph.save(tmp_path / "a.jpg", quality=20, exif=exif, progressive=progressive)
    picture, reduced = read_picture(tmp_path / "a.jpg")
    assert reduced == 4 and picture.shape == (2048, 1536, 3)
    upright = np.rot90(quarters(2, 2), -1)
    np.testing.assert_allclose(picture[512::1024, 384::768], upright, atol=10)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "LA", "I;16"])
def test_a_large_picture_of_any_mode_becomes_the_means_of_its_squares(tmp_path, monkeypatch, mode):
    monkeypatch.setattr(pictures, "KEPT_PIXELS", 700)
    noise = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)
    if mode == "I;16":
        Image.fromarray(noise.astype(np.uint16) * 257).save(tmp_path / "a.png")
    else:
        Image.fromarray(noise).convert(mode).save(tmp_path / "a.png")
        noise = np.array(Image.fromarray(noise).convert(mode).convert("L"))
    picture, reduced = read_picture(tmp_path / "a.png")
    assert reduced == 4 and picture.shape == (12, 16, 3)
    means = noise.reshape(12, 4, 16, 4).mean(axis=(1, 3))
    np.testing.assert_allclose(picture, means[..., None].repeat(3, axis=2), atol=1)


def header_of(path, width, height):
    """Write the beginning of a PNG of one bit a pixel, and too little after it."""
    size = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = [(b"IHDR", size), (b"IDAT", zlib.compress(bytes(1000))), (b"IEND", b"")]
    chunks = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    ]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


@pytest.mark.parametrize("side", [6_000, 12_000, 100_000])
def test_a_picture_that_would_fill_the_memory_is_refused_before_it_is_decoded(
    tmp_path, monkeypatch, side
):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    header_of(tmp_path / "a.png", side, side)
    with pytest.raises(Unreadable, match=r"a\.png: picture too large") as refusal:
        read_picture(tmp_path / "a.png")
    assert refusal.value.reason == "picture too large"


def test_a_real_picture_of_12_000_times_12_000_pixels_is_refused_by_its_size(tmp_path):
    Image.new("1", (12_000, 12_000)).save(tmp_path / "a.png")
    with pytest.raises(Unreadable, match=r"a\.png: picture too large .12000 x 12000 pixels, shr"):
        read_picture(tmp_path / "a.png")


@pytest.mark.slow
def test_a_worker_that_reads_the_largest_pictures_stays_below_1_gib(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    large = Image.fromarray(np.tile(noise, (140, 187, 1)))  # 107 megapixels
    large.save(tmp_path / "a.jpg", quality=30)
    large.crop((0, 0, 11_968, 6_000)).save(tmp_path / "b.jpg", quality=30, progressive=True)
    large.crop((0, 0, 5_800, 5_700)).convert("LA").save(tmp_path / "c.png", compress_level=1)
    large.crop((0, 0, 4_100, 4_000)).save(tmp_path / "d.webp", quality=1, method=0)
    files = [str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.png", "d.webp")]
    reader = [sys.executable, Path(__file__).with_name("memory.py"), *files]
    process = subprocess.run(reader, cwd=ROOT, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr[-2000:]
    read, memory = map(int, process.stdout.split())
    assert read == 4 and memory < 1024
