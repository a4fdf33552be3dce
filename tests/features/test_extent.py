"""Claims about how many pictures a recording has."""

import numpy as np
import pytest
from conftest import tone, write_picture, write_sound, write_video

from avfusion.corpora import Recording
from avfusion.features.video import count_pictures


def recording(**files) -> Recording:
    return Recording("a", "", "", "test", **files)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_pictures_of_a_video_are_counted(tmp_path, suffix):
    pictures = [np.full((32, 32, 3), 10 * number, np.uint8) for number in range(20)]
    times = [number / 25 for number in range(20)]
    video = write_video(tmp_path / f"a{suffix}", pictures, times, tone(0.8))
    assert count_pictures(recording(video=video)) == pytest.approx(
        20, abs=2
    )  # Matroska tells the length alone


def test_the_frames_of_a_folder_are_counted_without_its_companions(tmp_path):
    for number in range(3):
        write_picture(tmp_path / f"{number}.png", (9, 9, 9))
    (tmp_path / "._0.png").touch()
    (tmp_path / "list.txt").touch()
    assert count_pictures(recording(image=tmp_path)) == 3


def test_one_picture_is_one_and_a_sound_has_none(tmp_path):
    picture = write_picture(tmp_path / "a.png", (9, 9, 9))
    sound = write_sound(tmp_path / "a.wav", tone(0.1))
    assert count_pictures(recording(image=picture, audio=sound)) == 1
    assert count_pictures(recording(audio=sound)) == 0


def test_a_file_that_cannot_be_opened_has_none_that_count(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video")
    assert count_pictures(recording(video=tmp_path / "a.mp4")) == 0
    assert count_pictures(recording(video=tmp_path / "none.mp4")) == 0
