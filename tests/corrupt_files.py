"""Broken and odd files, and what is asked of their pictures."""

import av
import numpy as np
from conftest import tone, write_sound, write_video
from PIL import Image

WIDTH, HEIGHT = 64, 48
FASTSTART = {"movflags": "faststart"}


def gray(level, width=WIDTH, height=HEIGHT):
    return np.full((height, width, 3), level, np.uint8)


def levels(pictures):
    """Turn pictures of one gray level into the number of the picture, 20 levels apart."""
    return [round((picture.mean() - 20) / 20) for picture in pictures]


def steps(count):
    return [gray(20 + 20 * number) for number in range(count)]


def marked(marker=16):
    picture = gray(20)
    picture[:marker, :marker] = 235
    return picture


def corner(picture):
    rows, columns = np.where(picture[..., 0] > 128)
    height, width, _ = picture.shape
    vertical = "top" if rows.mean() < height / 2 else "bottom"
    return f"{vertical} {'left' if columns.mean() < width / 2 else 'right'}"


def silent_video(path):
    return write_video(path, steps(5), [n / 5 for n in range(5)])


def cut_in_half(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def truncated_sound(path):
    cut_in_half(write_sound(path, tone(3.0)))


def truncated_stream(path):
    """Cut a sound whose header comes first, as of files that are played while they load."""
    whole = write_sound(path.with_stem("whole"), tone(3.0), codec="pcm_s16le")
    with av.open(str(whole)) as source, av.open(str(path), "w", options=FASTSTART) as target:
        stream = target.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux():
            packet.stream = stream
            if packet.dts is not None:
                target.mux(packet)
    cut_in_half(path)


def truncated_video(path):
    cut_in_half(write_video(path, steps(5), [n / 5 for n in range(5)], tone(1.0)))


def truncated_picture(path):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    cut_in_half(path)


def empty(path):
    path.touch()


def pointer(path):
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")


def garbage(path):
    path.write_bytes(np.random.default_rng(0).bytes(5000))


def text(path):
    path.write_text("This was to be a recording.\n" * 100)
