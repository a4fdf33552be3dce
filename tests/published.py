"""Miniatures of published corpora: few clips with real media, in the official layouts.

The pictures of a clip, and its sound, are its own, drawn by the path of its first file, unless they
are given: the same ``take`` of two files has the same content.
"""

import csv
import hashlib
from pathlib import Path

import av
import numpy as np
from conftest import load, write_sound
from hydra.utils import instantiate

from avfusion.data.store import Store
from avfusion.preparation.prepare import prepare
from avfusion.preparation.summary import preview_store

SECONDS = 0.3
PICTURES = 4
SIZE = (48, 40)  # width and height
RATE = 16_000
# Where the official codec can be read and not written (VP6, DivX), one that can.
VIDEO_CODECS = {
    ".avi": ("mpeg4", "pcm_s16le"),
    ".flv": ("flv1", "libmp3lame"),
    ".mp4": ("mpeg4", "aac"),
    ".mpg": ("mpeg1video", "mp2"),
}
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:{}\nsize 123456\n"


def draw_wave(take: str, seconds: float = SECONDS) -> np.ndarray:
    """Noise that is the take's own."""
    noise = _generator(take).normal(0, 0.1, round(seconds * RATE))
    return noise.clip(-1, 1).astype(np.float32)


def draw_pictures(take: str, count: int = PICTURES) -> list[np.ndarray]:
    """Pictures of one color that is the take's own, with a spot that moves."""
    rng, pictures = _generator(take), []
    color = rng.integers(40, 220, 3)
    for number in range(count):
        picture = np.full((SIZE[1], SIZE[0], 3), color, np.uint8)
        picture[4:12, 4 + 4 * number : 12 + 4 * number] = 10
        pictures.append(picture)
    return pictures


def _generator(take: str) -> np.random.Generator:
    return np.random.default_rng(list(hashlib.sha256(take.encode()).digest()))


def write_voice(path: Path, take: str = "", seconds: float = SECONDS) -> Path:
    """Write the sound of a take, by default one of its own, in the format of the file's name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write_sound(path, draw_wave(take or str(path), seconds), RATE)


def write_clip(
    path: Path,
    take: str = "",
    sound: bool = True,
    seconds: float = SECONDS,
    pictures: list[np.ndarray] | None = None,
) -> Path:
    """Write a video of a take in the format of the file's name, with or without its sound."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shown = draw_pictures(take or str(path)) if pictures is None else pictures
    codec, sound_codec = VIDEO_CODECS[path.suffix.lower()]
    rate = 25 if path.suffix == ".mpg" else max(1, round(len(shown) / seconds))  # MPEG-1 has few
    count = round(seconds * rate)
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=rate)
        video.width, video.height, video.pix_fmt = shown[0].shape[1], shown[0].shape[0], "yuv420p"
        voice = None
        if sound:
            # FLV has no MP3 of 16 kHz.
            voice = container.add_stream(
                sound_codec, rate=44_100 if path.suffix == ".flv" else RATE
            )
            voice.layout = "mono"
        for number in range(count):
            picture = shown[number * len(shown) // count]
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
        if voice is not None:
            wave = (draw_wave(take or str(path), seconds)[None] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
            frame.rate, frame.pts = RATE, 0
            container.mux(voice.encode(frame))
            container.mux(voice.encode(None))
    return path


def write_pointer(path: Path) -> Path:
    """Write what a clone without git-LFS has in the place of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        POINTER.format(hashlib.sha256(str(path).encode()).hexdigest()), encoding="utf-8"
    )
    return path


def write_companions(folder: Path) -> None:
    """Write what systems leave in folders, and what is no part of a corpus."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("Thumbs.db", ".DS_Store", "._hidden.mp4", "readme.txt"):
        (folder / name).write_text("nothing")


def prepare_by_command(*overrides: str) -> Store:
    """Prepare as ``python src/prepare.py`` with these arguments does, by small features."""
    small = ["features.face.size=16", "features.audio.duration=0.3"]
    cfg = load("prepare", *small, *overrides)
    corpus = instantiate(cfg.corpus, _convert_="all")
    features = instantiate(cfg.features, _convert_="all")
    return Store(prepare(corpus, features, cfg.prepare.stores))


def prepare_by_training(stores: Path, *overrides: str) -> Store:
    """Prepare as training on ``data=<name>`` does on first use."""
    small = ["data.features.face.size=16", "data.features.audio.duration=0.3"]
    cfg = load("train", f"data.store={stores}", *small, *overrides)
    cfg.data.protocol, cfg.data.splits = None, {"train": 1}  # a miniature may be too small for it
    return instantiate(cfg.data, _convert_="all").store


def preview(*overrides: str) -> str:
    """What ``prepare.dry_run=true`` prints with these arguments."""
    cfg = load("prepare", *overrides)
    corpus = instantiate(cfg.corpus, _convert_="all")
    features = instantiate(cfg.features, _convert_="all")
    return preview_store(corpus, features, cfg.prepare.stores, None)


def report_of(store: Store) -> dict[str, dict[str, str]]:
    """Rows of the report of a store, by clip."""
    with (store.root / "report.csv").open(newline="", encoding="utf-8") as file:
        return {row["clip_id"]: row for row in csv.DictReader(file)}
