"""Decoding of pictures."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, write_picture
from corrupt_files import (
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
)
from PIL import Image, ImageFile

from avfusion.corpora import Recording
from avfusion.features import AudioFeatures, FaceFeatures, Features, Policies
from avfusion.features import picture as pictures
from avfusion.features.picture import read_frame_folder, read_picture
from avfusion.features.policies import Unreadable

EXIF_ORIENTATION = 0x0112


@pytest.mark.parametrize(
    ("name", "write", "reason"),
    [
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


@pytest.mark.parametrize("most", [1023, 4095, 65535])
def test_the_brightest_value_of_a_pgm_is_white(tmp_path, most):
    ramp = np.linspace(0, most, 64).astype(">u2").reshape(8, 8)
    (tmp_path / "a.pgm").write_bytes(b"P5 8 8 %d\n" % most + ramp.tobytes())
    picture = read_picture(tmp_path / "a.pgm").picture
    np.testing.assert_allclose(picture[..., 0], ramp / most * 255, atol=1)


def test_white_is_the_least_value_of_a_tiff_that_says_so(tmp_path):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    Image.fromarray(ramp).save(tmp_path / "a.tif", tiffinfo={pictures.PHOTOMETRIC_TAG: 0})
    picture = read_picture(tmp_path / "a.tif").picture
    np.testing.assert_allclose(picture[..., 0], 255 - ramp / 257, atol=1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        *(("tif", mode) for mode in ("1", "L", "I;16", "P", "LA", "RGB", "RGBA", "CMYK")),
        *(("png", mode) for mode in ("1", "L", "I;16", "P", "LA", "RGB", "RGBA")),
        *(("jpg", mode) for mode in ("L", "RGB", "CMYK")),
        ("webp", "RGB"),
        ("avif", "RGB"),
    ],
)
def test_every_orientation_is_applied_in_every_mode(tmp_path, kind, mode, orientation):
    picture = Image.fromarray(marked()[..., 0])
    if mode == "I;16":
        picture = Image.fromarray(np.asarray(picture).astype(np.uint16) * 257)
    else:
        picture = picture.convert(mode)
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = orientation
    picture.save(tmp_path / f"a.{kind}", exif=exif)
    seen = read_picture(tmp_path / f"a.{kind}").picture
    # What each number says of the rows and columns, and thereby of the first pixel.
    rows, columns = (HEIGHT, WIDTH) if orientation < 5 else (WIDTH, HEIGHT)
    assert seen.shape == (rows, columns, 3)
    corners = ("top left", "top right", "bottom right", "bottom left")
    assert corner(seen) == corners[(orientation - 1) % 4]


def test_a_picture_of_unknown_range_is_refused_rather_than_made_black(tmp_path):
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(Unreadable, match=r"a\.tif: brightness of unknown range"):
        read_picture(tmp_path / "a.tif")[0]


CUT = [
    *(("jpg", mode) for mode in ("L", "RGB", "CMYK")),
    *(("png", mode) for mode in ("1", "L", "I;16", "P", "LA", "RGB", "RGBA")),
    *(("tif", mode) for mode in ("L", "I;16", "RGB")),
    *((kind, "RGB") for kind in ("gif", "bmp", "ppm")),
]


def noise_as(mode):
    noise = np.random.default_rng(0).integers(0, 256, (256, 128, 3), np.uint8)
    if mode == "I;16":
        return Image.fromarray(noise[..., 0].astype(np.uint16) * 257)
    return Image.fromarray(noise).convert(mode)


@pytest.mark.parametrize(("kind", "mode"), CUT)
def test_a_picture_that_was_cut_is_what_is_left_of_it(tmp_path, kind, mode):
    path, turned = tmp_path / f"a.{kind}", Image.Exif()
    turned[EXIF_ORIENTATION] = 3 if kind in ("jpg", "png", "tif") else 1
    noise_as(mode).save(path, exif=turned)
    whole, content = read_picture(path), path.read_bytes()
    path.write_bytes(content[: 8 * len(content) // 10])
    cut = read_picture(path)
    assert whole.lost == 0 and 0.1 < cut.lost < 0.5
    kept = np.any(cut.picture != 0, axis=(1, 2))  # the rows
    assert kept.mean() == pytest.approx(1 - cut.lost, abs=0.01)
    wrong = np.any(cut.picture[kept] != whole.picture[kept], axis=(1, 2))
    assert wrong.sum() <= 2  # a row may be cut, and colours at the edge may be those of neighbours
    path.write_bytes(content[: 3 * len(content) // 10])
    assert read_picture(path).lost > 0.5


def test_what_is_left_of_a_picture_is_kept_with_a_note_or_skipped_by_policy(tmp_path):
    path = tmp_path / "a.png"
    noise_as("RGB").save(path)
    content = path.read_bytes()
    recording = Recording("a", "", "", "test", image=path)
    face, audio = FaceFeatures(size=32), AudioFeatures()
    path.write_bytes(content[: 8 * len(content) // 10])
    clip = Features(face, audio, Policies(missing="mask"))(recording)
    assert "damaged: 0.20 of 1.00 pictures lost" in clip.note
    with pytest.raises(Unreadable, match="damaged") as refusal:
        Features(face, audio, Policies(missing="mask", damaged="error"))(recording)
    assert refusal.value.fatal
    path.write_bytes(content[: 3 * len(content) // 10])
    with pytest.raises(
        Unreadable, match=r"a\.png: truncated .0\.7. of 1\.00 pictures lost"
    ) as skip:
        Features(face, audio, Policies(missing="mask"))(recording)
    assert skip.value.reason == "truncated" and not skip.value.fatal
    clip = Features(face, audio, Policies(missing="mask", truncated="keep"))(recording)
    assert "truncated: 0.7" in clip.note


@pytest.mark.parametrize("kind", ["webp", "avif", "jp2"])
def test_of_a_cut_picture_whose_decoder_wants_all_of_it_nothing_is_kept(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    noise_as("RGB").save(path)
    content = path.read_bytes()
    path.write_bytes(content[: 8 * len(content) // 10])
    with pytest.raises(Unreadable, match=r"truncated|cannot be decoded"):
        read_picture(path)


@pytest.mark.parametrize(("kept", "reason"), [(0.85, "damaged"), (0.2, "truncated")])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_progressive_jpeg_that_was_cut_is_less_fine(tmp_path, mode, kept, reason):
    path = tmp_path / "a.jpg"
    noise_as(mode).save(path, progressive=True)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    lost = read_picture(path).lost
    assert (0 < lost <= 0.5) if reason == "damaged" else lost > 0.5


def test_an_error_in_the_middle_of_a_picture_loses_what_comes_after(tmp_path):
    path = tmp_path / "a.png"
    noise_as("RGB").quantize(8).save(path)
    whole, content = read_picture(path), bytearray(path.read_bytes())
    middle = 7 * len(content) // 10
    content[middle : middle + 200] = bytes(200)
    path.write_bytes(content)
    damaged = read_picture(path)
    assert 0.1 < damaged.lost < 0.5
    assert np.array_equal(damaged.picture[:128], whole.picture[:128])


def test_frames_of_a_folder_are_taken_at_fractions_in_the_order_of_their_names(tmp_path):
    for number, picture in enumerate(steps(10)):
        Image.fromarray(picture).save(tmp_path / f"{number:02d}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    assert levels(read_frame_folder(tmp_path, [0.0, 0.19, 0.5, 0.99, 1.0]).pictures) == [
        0,
        1,
        5,
        9,
        9,
    ]


def test_a_folder_without_pictures_is_refused(tmp_path):
    with pytest.raises(Unreadable, match=f"{tmp_path.name}: no picture"):
        read_frame_folder(tmp_path, [0.5])


def test_one_broken_frame_of_a_folder_is_named(tmp_path):
    write_picture(tmp_path / "0.png", (9, 9, 9))
    empty(tmp_path / "1.png")
    with pytest.raises(Unreadable, match=r"1\.png: empty file"):
        read_frame_folder(tmp_path, [0.0, 0.9])


def test_numbers_of_frames_need_no_leading_zeros(tmp_path):
    for number in (1, 2, 10):
        write_picture(tmp_path / f"frame{number}.png", (20 * number,) * 3, size=(64, 64))
    middle, last = (p[40, 40, 0] for p in read_frame_folder(tmp_path, [0.5, 1.0]).pictures)
    assert (middle, last) == (40, 200)


def test_names_of_frames_may_hold_signs_that_only_look_like_numbers(tmp_path):
    for name in ("1\u00b22", "1\u00b210"):
        write_picture(tmp_path / f"{name}.png", (20 * len(name),) * 3)
    assert [p[30, 30, 0] for p in read_frame_folder(tmp_path, [0.0, 0.9]).pictures] == [60, 80]


def quarters(width, height):
    """A picture whose quarters have colours of their own."""
    colours = np.array([[[250, 10, 10], [10, 250, 10]], [[10, 10, 250], [250, 250, 10]]], np.uint8)
    return colours.repeat(height // 2, axis=0).repeat(width // 2, axis=1)


@pytest.mark.slow
@pytest.mark.parametrize("progressive", [False, True])
def test_a_photograph_of_50_megapixels_is_read_at_a_quarter_of_its_sides(tmp_path, progressive):
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = 6  # a quarter clockwise
    photograph = Image.fromarray(quarters(8192, 6144))
    photograph.save(tmp_path / "a.jpg", quality=20, exif=exif, progressive=progressive)
    picture, reduction, _ = read_picture(tmp_path / "a.jpg")
    assert reduction == 4 and picture.shape == (2048, 1536, 3)
    upright = np.rot90(quarters(2, 2), -1)
    np.testing.assert_allclose(picture[512::1024, 384::768], upright, atol=10)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "LA", "I;16"])
def test_a_large_picture_of_any_mode_becomes_the_means_of_its_squares(tmp_path, monkeypatch, mode):
    monkeypatch.setattr(pictures, "MAX_KEPT_PIXELS", 700)
    noise = np.random.default_rng(0).integers(0, 256, (48, 64), np.uint8)
    if mode == "I;16":
        Image.fromarray(noise.astype(np.uint16) * 257).save(tmp_path / "a.png")
    else:
        Image.fromarray(noise).convert(mode).save(tmp_path / "a.png")
        noise = np.array(Image.fromarray(noise).convert(mode).convert("L"))
    picture, reduction, _ = read_picture(tmp_path / "a.png")
    assert reduction == 4 and picture.shape == (12, 16, 3)
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
