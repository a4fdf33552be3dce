"""Damaged files of every kind."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, tone, write_sound, write_video
from PIL import Image

pytestmark = pytest.mark.slow
FUZZ = Path(__file__).with_name("fuzz.py")


def write(path: Path) -> Path:
    """Write a good file of the kind that its name says."""
    noise = np.random.default_rng(0).integers(0, 256, (8, 48, 64, 3), np.uint8)
    if path.suffix in (".wav", ".flac", ".mp3", ".m4a"):
        return write_sound(path, tone(1.0))
    if path.suffix in (".mp4", ".mkv", ".flv", ".mpg"):
        return write_video(path, list(noise), [n / 25 for n in range(8)], tone(0.5))
    Image.fromarray(noise[0]).save(path)
    return path


@pytest.mark.parametrize(
    "kind", ["wav", "flac", "mp3", "m4a", "mp4", "mkv", "flv", "mpg", "png", "jpg"]
)
def test_damage_never_crashes_hangs_or_fills_the_memory(tmp_path, kind):
    path = write(tmp_path / f"good.{kind}")
    process = subprocess.run(
        [sys.executable, FUZZ, path, "500"], cwd=ROOT, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr[-2000:]
    read, refused, memory = map(int, process.stdout.split())
    assert read + refused == 500 and refused > 20
    assert memory < 1024
