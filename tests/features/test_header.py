"""Sizes in the headers of sound files."""

import numpy as np
import pytest
import soundfile
from conftest import tone

from avfusion.features.audio import decode_crop
from avfusion.features.header import read_header, read_mp3_length

WAVE = 0.5 * tone(0.5)
FORMATS = {
    "wav": ("WAV", b"RIFF"),
    "wavex": ("WAVEX", b"RIFF"),
    "rf64": ("RF64", b"RF64"),
    "w64": ("W64", b"riff"),
    "aiff": ("AIFF", b"FORM"),
    "au": ("AU", b".snd"),
    "caf": ("CAF", b"caff"),
}
# What is known to write them is said in the module.
SIZES = [
    0,
    0xFFFFFFFF,
    0xFFFFFFFF - 36,
    0xFFFFF000,
    0x7FFFFFFF,
    0x7FFFFFFF - 36,
    0x7FFFF000,
    0x7FFFF024,
    0x80000000,
    0x80000024,
    0x7F000000,
]
LONG_SIZES = [2**64 - 1, 2**63 - 1, 2**63]


def write(folder, kind):
    path = folder / f"a.{kind}"
    soundfile.write(path, WAVE, 16_000, format=FORMATS[kind][0], subtype="PCM_16")
    return path


def size_fields(content, kind):
    """Offset, length and byte order of the sizes in a header."""
    data = content.index(b"SSND" if kind == "aiff" else b"data") if kind != "au" else 4
    if kind in ("wav", "wavex"):
        return [(4, 4, "little"), (data + 4, 4, "little")]
    if kind == "rf64":
        return [(20, 8, "little"), (28, 8, "little"), (36, 8, "little")]
    if kind == "w64":
        return [(16, 8, "little"), (data + 16, 8, "little")]
    if kind == "aiff":
        frames = content.index(b"COMM") + 10
        return [(4, 4, "big"), (data + 4, 4, "big"), (frames, 4, "big")]
    return [(data + 4, 8 if kind == "caf" else 4, "big")]


def decode_whole(path):
    return decode_crop(path, lambda total: slice(0, total))


@pytest.mark.parametrize("kind", FORMATS)
def test_every_size_that_means_unknown_is_read_to_the_end_of_the_file(tmp_path, kind):
    path = write(tmp_path, kind)
    content = path.read_bytes()
    fields = size_fields(content, kind)
    long = fields[-1][1] == 8
    for size in SIZES + (LONG_SIZES if long else []):
        changed = bytearray(content)
        for place, length, order in fields:
            changed[place : place + length] = size.to_bytes(length, order)
        path.write_bytes(changed)
        sound = decode_whole(path)
        assert (sound.total, sound.lost) == (8000, 0), hex(size)
        np.testing.assert_allclose(sound.samples, WAVE, atol=2 / 2**15)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("left", [0.9, 0.6, 0.3])
def test_a_file_that_is_truly_cut_says_so(tmp_path, kind, left):
    path = write(tmp_path, kind)
    content = path.read_bytes()
    start = read_header(path).start
    path.write_bytes(content[: start + 2 * round(8000 * left)])
    sound = decode_whole(path)
    assert sound.total == pytest.approx(8000 * left, abs=1200)
    assert sound.promised == pytest.approx(0.5, abs=1e-3)
    assert sound.lost == pytest.approx(0.5 - sound.total / 16_000, abs=1e-3)


@pytest.mark.parametrize("promised", [10**6, 10**9, 3 * 10**9])
def test_a_large_size_that_nobody_writes_for_unknown_is_a_promise(tmp_path, promised):
    path = write(tmp_path, "wav")
    content = bytearray(path.read_bytes())
    for place, length, order in size_fields(content, "wav"):
        content[place : place + length] = promised.to_bytes(length, order)
    path.write_bytes(content)
    sound = decode_whole(path)
    assert sound.promised == pytest.approx(promised / 32_000, rel=1e-3)
    assert sound.lost > 0.9 * sound.promised


def test_a_sound_without_samples_is_empty_though_something_follows_them(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(0), 16_000)
    assert read_header(path).stated == 0
    path.write_bytes(path.read_bytes() + b"LIST" + (4).to_bytes(4, "little") + b"INFO")
    assert read_header(path).size == 0


def chunk(name, content, kind):
    """A chunk of metadata as the container has them."""
    if kind == "w64":
        return name.lower() + bytes(12) + (24 + len(content)).to_bytes(8, "little") + content
    order, size = ("big" if kind in ("aiff", "caf") else "little"), (8 if kind == "caf" else 4)
    return name + len(content).to_bytes(size, order) + content


@pytest.mark.parametrize("kind", ["wav", "wavex", "rf64", "w64", "aiff", "caf"])
@pytest.mark.parametrize("samples", [1, 4, 16])
def test_metadata_behind_few_samples_are_no_samples(tmp_path, kind, samples):
    path = tmp_path / f"a.{kind}"
    soundfile.write(path, WAVE[:samples], 16_000, format=FORMATS[kind][0], subtype="PCM_16")
    content = path.read_bytes()
    start = read_header(path).start
    content = content[: start + 2 * samples]
    if kind == "w64":
        content += bytes(-len(content) % 8)
    notes = chunk(b"NOTE", 12 * b"text", kind)
    path.write_bytes(content + notes + notes)
    header = read_header(path)
    assert (header.start, header.size, header.stated) == (start, 2 * samples, 2 * samples)
    assert decode_whole(path).total == samples


def test_an_mp3_states_its_length_where_its_first_frame_is_a_header(tmp_path):
    soundfile.write(tmp_path / "a.mp3", tone(2.0), 16_000, format="MP3")
    content = (tmp_path / "a.mp3").read_bytes()
    (tmp_path / "cut.mp3").write_bytes(content[: len(content) * 2 // 3])
    assert read_mp3_length(tmp_path / "cut.mp3") == read_mp3_length(tmp_path / "a.mp3")
    assert read_mp3_length(tmp_path / "a.mp3") == pytest.approx(2.0, abs=0.05)
    tagged = b"ID3\x04\0\0\0\0\x02\0" + bytes(256) + content
    (tmp_path / "tagged.mp3").write_bytes(tagged)
    assert read_mp3_length(tmp_path / "tagged.mp3") == read_mp3_length(tmp_path / "a.mp3")
    assert read_mp3_length(tmp_path / "cut.mp3") is not None
    (tmp_path / "none.mp3").write_bytes(
        content.replace(b"Xing", b"\0\0\0\0").replace(b"Info", b"\0\0\0\0")
    )
    assert read_mp3_length(tmp_path / "none.mp3") is None
