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
    "kinds", [("wav", "flac", "mp3", "m4a", "png", "jpg"), ("mp4", "mkv", "flv", "mpg")]
)
def test_damage_never_crashes_hangs_or_fills_the_memory(tmp_path, kinds):
    paths = [write(tmp_path / f"good.{kind}") for kind in kinds]
    process = subprocess.run(
        [sys.executable, FUZZ, "500", *paths], cwd=ROOT, capture_output=True, text=True
    )
    assert process.returncode == 0, process.stdout + process.stderr[-2000:]
    found = [line.split() for line in process.stdout.splitlines()]
    assert [kind for kind, *_ in found] == [path.suffix for path in paths]
    for _, *numbers in found:
        read, refused, memory = map(int, numbers)
        assert read + refused == 500 and refused > 20
        assert memory < 1024
