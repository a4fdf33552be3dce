"""A prepared corpus on disk, read at the speed of memory.

<store>/
  description.json   format, class names, sizes, feature settings, statistics, checksums
  index.csv          a row per kept clip: id, label, subject, split, lengths, boxes, where from
  report.csv         a row per recording: kept or skipped, and why
  face/00000.npy     shards: [clips, pictures, size, size, 3] uint8, RGB
  sound/00000.npy    [clips, samples] int16, mono at 16 kHz
  audio/00000.npy    [clips, frames, features] float32
  face_map/00000.npy [clips, pictures, channels, rows, columns] float16, where they are asked for
  face_map/encoder.pt  weights of the encoder that made them
"""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float16, Float32, Int16, Int64, UInt8
from torch import Tensor

FORMAT = 3
BOX = ("box_left", "box_top", "box_right", "box_bottom")  # fractions of the stored picture
WEIGHTS = "face_map/encoder.pt"
WINDOW = ("start", "end")  # seconds; empty where the recording is not cut into windows
CROP = ("crop_left", "crop_top", "crop_right", "crop_bottom")  # pixels of the first picture
PICTURE = ("picture_width", "picture_height")  # pixels, of the same picture before it was cut


class Store:
    """The clips of a store; ``rows`` are positions in its index."""

    def __init__(self, root: str | Path) -> None:
        self.root = Path(root)
        self.description = read_description(self.root)
        with (self.root / "index.csv").open(newline="", encoding="utf-8") as file:
            self.index = list(csv.DictReader(file))
        self.shard = self.numbers("shard")
        self.place = self.numbers("place")
        self.frames = self.numbers("frames")
        self.has_face = self.numbers("has_face").astype(bool)
        self.has_audio = self.numbers("has_audio").astype(bool)
        boxes = [[float(clip[side] or "nan") for side in BOX] for clip in self.index]
        self.boxes = np.array(boxes, np.float32).reshape(-1, 4)
        self.face = self.shards("face")
        self.audio = self.shards("audio")
        self.face_map = self.shards("face_map")

    def __reduce__(self) -> tuple[Any, ...]:
        """Let the processes of a loader open the store anew rather than copy it."""
        return Store, (self.root,)

    def __len__(self) -> int:
        return len(self.index)

    def numbers(self, column: str) -> Int64[np.ndarray, "clips"]:
        """Return a column of whole numbers."""
        return np.array([int(clip[column]) for clip in self.index], dtype=np.int64)

    def respell(self, spell: Callable[[str], str]) -> None:
        """Spell labels otherwise, such as a network spells its classes."""
        for clip in self.index:
            clip["label"] = spell(clip["label"])

    def shards(self, name: str) -> list[np.ndarray]:
        """Map the shards of one array; as plain arrays, whose slices cost less than memmap's."""
        files = sorted((self.root / name).glob("*.npy"))
        return [np.asarray(np.load(file, mmap_mode="r")) for file in files]

    def rows(self, split: str) -> Int64[np.ndarray, "rows"]:
        """Return the rows of a split, in the order of the corpus."""
        return np.array(
            [i for i, clip in enumerate(self.index) if clip["split"] == split], np.int64
        )

    def faces(
        self, rows: Int64[np.ndarray, "batch"]
    ) -> UInt8[Tensor, "batch pictures 3 height width"]:
        """Return pictures; their channels are last in memory, as convolutions like them."""
        return torch.from_numpy(self.gather(self.face, rows).transpose(0, 1, 4, 2, 3))

    def face_maps(
        self, rows: Int64[np.ndarray, "batch"]
    ) -> Float16[Tensor, "batch pictures channels rows columns"]:
        """Return face maps, where the store has them."""
        return torch.from_numpy(self.gather(self.face_map, rows))

    def map_encoder(self) -> dict[str, Tensor]:
        """Return the weights of the encoder that made the face maps."""
        return torch.load(self.root / WEIGHTS, map_location="cpu", weights_only=True)

    def audio_frames(
        self, rows: Int64[np.ndarray, "batch"]
    ) -> Float32[Tensor, "batch frames features"]:
        """Return audio frames, as many as the longest of these clips has."""
        longest = self.frames.take(rows).max()
        return torch.from_numpy(self.gather(self.audio, rows)[:, :longest])

    def clip(
        self, row: int
    ) -> tuple[UInt8[Tensor, "pictures 3 height width"], Float32[np.ndarray, "frames features"]]:
        """Return pictures and true audio frames of one clip."""
        rows = np.array([row])
        return self.faces(rows)[0], self.audio_frames(rows)[0].numpy()

    def sound(self, row: int) -> Int16[np.ndarray, "samples"]:
        """Return the samples of one clip, at 16 kHz."""
        shard = np.load(shard_file(self.root, "sound", int(self.shard[row])), mmap_mode="r")
        return np.array(shard[self.place[row], : int(self.index[row]["samples"])])

    def gather(self, shards: list[np.ndarray], rows: Int64[np.ndarray, "batch"]) -> np.ndarray:
        """Copy rows out of their shards; they must be in the order of the shards."""
        places = self.place.take(rows)
        if len(shards) == 1:
            return shards[0].take(places, axis=0, mode="clip")
        numbers = self.shard.take(rows)
        ends = [*(np.flatnonzero(np.diff(numbers)) + 1).tolist(), len(rows)]
        out = np.empty((len(rows), *shards[0].shape[1:]), shards[0].dtype)
        start = 0
        for end in ends:
            shard = shards[numbers[start]]
            shard.take(places[start:end], axis=0, out=out[start:end], mode="clip")
            start = end
        return out


def shard_file(root: Path, name: str, shard: int) -> Path:
    """Return the file of one array's shard."""
    return root / name / f"{shard:05d}.npy"


def read_description(root: Path) -> dict[str, Any]:
    """Return the description of a store, or say how to make the store."""
    path = root / "description.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"No store in {root}. Make it with: python src/prepare.py corpus=manifest "
            "corpus.root=<folder with a manifest.csv>, and give data.store=<the path it prints>."
        )
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
        given = description["format"]
    except (json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} does not describe a store: give another data.store, or prepare the corpus "
            "again."
        ) from error
    if given != FORMAT:
        raise ValueError(
            f"The store in {root} has format {given}, this version reads {FORMAT}: "
            "prepare the corpus again."
        )
    return description
