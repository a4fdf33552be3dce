"""Files that would open other files or run programs."""

import os

import numpy as np
import pytest
from conftest import tone, write_sound, write_video
from PIL import Image

from avfusion.features.audio import decode_crop
from avfusion.features.picture import read_picture
from avfusion.features.policies import Unreadable


def decode_whole(path):
    return decode_crop(path, lambda total: slice(0, total))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("list.m3u8", "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1,\nfile://{0}\n#EXT-X-ENDLIST\n"),
        ("list.mp4", "ffconcat version 1.0\nfile {1}\n"),
    ],
)
def test_a_play_list_opens_no_other_file(tmp_path, name, text):
    secret = write_video(
        tmp_path / "secret.ts",
        [np.full((32, 32, 3), 90, np.uint8)] * 5,
        [0, 0.1, 0.2, 0.3, 0.4],
        tone(0.5),
    )
    (tmp_path / name).write_text(text.format(secret, secret.name))
    with pytest.raises(Unreadable, match=f"{name}: cannot be decoded"):
        decode_whole(tmp_path / name)
    assert len(decode_whole(secret).samples) > 4000


def test_postscript_runs_no_program(tmp_path):
    text = "%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\nshowpage\n"
    (tmp_path / "face.png").write_text(text)
    with pytest.raises(Unreadable, match=r"face\.png: cannot be decoded"):
        read_picture(tmp_path / "face.png")[0]


def test_a_sound_named_as_something_else_is_known_by_its_content(tmp_path):
    write_sound(tmp_path / "a.wav", tone(0.5)).rename(tmp_path / "a.mov")
    assert len(decode_whole(tmp_path / "a.mov").samples) == 8000


def test_a_page_saved_as_a_sound_is_refused(tmp_path):
    (tmp_path / "a.wav").write_text("<!DOCTYPE html><html><body>404</body></html>")
    with pytest.raises(Unreadable, match=r"a\.wav: cannot be decoded"):
        decode_whole(tmp_path / "a.wav")


def test_pictures_of_any_usual_kind_are_read(tmp_path):
    for kind in ("bmp", "gif", "jpg", "png", "ppm", "tif", "webp"):
        Image.new("RGB", (20, 10), (200, 100, 50)).save(tmp_path / f"a.{kind}")
        assert read_picture(tmp_path / f"a.{kind}")[0].shape == (10, 20, 3)


def test_a_pipe_is_refused_rather_than_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.wav")
    with pytest.raises(Unreadable, match=r"a\.wav: no file but a pipe, socket or device"):
        decode_whole(tmp_path / "a.wav")
