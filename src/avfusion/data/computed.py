"""Computed streams on disk, which lie beside those that decoding gives and change none of them.

<store>/<stream>/
  stream.json        what the stream is, and of which clips each file holds the values
  00000.npy          values of some clips, in the order of the index:
                     of a sequence [steps of all of these clips, ...], of others [clips, ...];
                     layers come after the steps, [steps, layers, features]
  lengths.npy        true steps of each clip, [clips], of a sequence whose clips differ in length
  moments.npy        [clips, numbers] float64: statistics of any training clips, but of vectors
  encoder.pt         weights of the encoder, where they are not too large to travel

The true steps lie one after the other, so that long clips and short ones take no more room than
they need. A folder with a stream.json is whole.
"""

import json
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int64, Shaped

from avfusion.data.files import Folder, StoreFiles
from avfusion.features.clip import Stream
from avfusion.preparation.statistics import Moments, limit_chunk, sum_moments

COMPUTED_FORMAT = 1
STREAM_FILE = "stream.json"
LENGTHS_FILE = "lengths.npy"
MOMENTS_FILE = "moments.npy"


def read_computed(files: StoreFiles) -> "dict[str, ComputedStream]":
    """Open the computed streams of a store, in the order of their names."""
    found = files.find(f"*/{STREAM_FILE}")
    return {file.parent.name: ComputedStream(file.parent, files) for file in found}


class ComputedStream:
    """Values of a computed stream, opened when they are first asked for; rows are of the index."""

    def __init__(self, folder: Path, files: StoreFiles | None = None) -> None:
        self.folder = folder
        self.files = files or Folder(folder.parent)
        self.description: dict[str, Any] = json.loads(
            (folder / STREAM_FILE).read_text(encoding="utf-8")
        )
        if self.description["format"] != COMPUTED_FORMAT:
            raise ValueError(
                f"The stream in {folder} has format {self.description['format']}, this version "
                f"reads {COMPUTED_FORMAT}: delete the folder and compute it again."
            )
        self.stream = Stream.from_plain(self.description["stream"])
        self.firsts = np.array(self.description["firsts"])  # row of the first clip of each file
        self.arrays: dict[int, np.ndarray] = {}

    @property
    def precision(self) -> str:
        """Precision of its computation: 32 or bf16."""
        return str(self.description["precision"])

    @property
    def is_ragged(self) -> bool:
        """Whether the steps of all clips lie one after the other."""
        return bool(self.description["ragged"])

    @cached_property
    def steps(self) -> Int64[np.ndarray, "clips"]:
        """True steps of each clip: none of one that lacks the modality."""
        if self.is_ragged:
            return np.load(self.files.get(self.folder / LENGTHS_FILE))
        return np.full(self.description["clips"], self.stream.shape[bool(self.stream.layers)])

    @cached_property
    def starts(self) -> Int64[np.ndarray, "clips"]:
        """Place of the first step of each clip in its file."""
        before = np.cumsum(self.steps) - self.steps
        return before - before[self.firsts][self.find_parts(np.arange(len(before)))]

    def find_parts(self, rows: Int64[np.ndarray, "rows"]) -> Int64[np.ndarray, "rows"]:
        """Find the files that hold some clips."""
        return np.searchsorted(self.firsts, rows, side="right") - 1

    def part_file(self, part: int) -> Path:
        """Path of the values of a part."""
        return self.folder / f"{part:05d}.npy"

    def array(self, part: int) -> np.ndarray:
        """Map a file into memory, as a plain array, whose slices cost less than memmap's."""
        if part not in self.arrays:
            file = self.files.get(self.part_file(part))
            self.arrays[part] = np.asarray(np.load(file, mmap_mode="r"))
        return self.arrays[part]

    def read(self, rows: Int64[np.ndarray, "batch"]) -> Shaped[np.ndarray, "batch *item"]:
        """Copy the values of some clips, sequences as long as the longest of them."""
        parts = self.find_parts(rows)
        if self.is_ragged:
            values = self._read_steps(rows, parts.tolist())
        else:
            values = gather(self.array, parts, rows - self.firsts[parts])
        is_layered = self.stream.kind == "sequence" and self.stream.layers
        return values.swapaxes(1, 2) if is_layered else values

    def _read_steps(self, rows: np.ndarray, parts: list[int]) -> np.ndarray:
        steps, starts = self.steps.take(rows).tolist(), self.starts.take(rows).tolist()
        longest = max(1, *steps)
        values = np.empty((len(rows) * longest, *self.array(parts[0]).shape[1:]), self.stream.dtype)
        for clip, (part, length, start) in enumerate(zip(parts, steps, starts, strict=True)):
            first, last = clip * longest, clip * longest + length
            values[first:last] = self.array(part)[start : start + length]
            if length < longest:
                values[last : first + longest] = 0
        return values.reshape(len(rows), longest, *values.shape[1:])

    def zeros(self, clips: int) -> Shaped[np.ndarray, "batch *item"]:
        """Make what clips have that lack the modality: zeros, of a sequence one step."""
        values = self.stream.zeros(clips)
        if self.stream.kind != "sequence":
            return values
        return values[:, :, :1] if self.stream.layers else values[:, :1]

    def moments(self, selected: Bool[np.ndarray, "clips"]) -> Moments:
        """Add up the moments of some clips, which have the modality."""
        rows = np.flatnonzero(selected)
        if self.stream.kind != "vector":
            file = self.files.get(self.folder / MOMENTS_FILE)
            packed = np.asarray(np.load(file, mmap_mode="r"))
            return sum_moments([packed], np.zeros_like(rows), rows)

        columns = int(np.prod(self.stream.shape))
        total = Moments.of(np.zeros((0, columns))).pack()
        chunk = limit_chunk(columns)
        for start in range(0, len(rows), chunk):
            values = self.read(rows[start : start + chunk])
            total += Moments.of(values.reshape(len(values), columns)).pack()
        return Moments.unpack(total)


def gather(
    array: Callable[[int], np.ndarray],
    files: Int64[np.ndarray, "batch"] | None,
    positions: Int64[np.ndarray, "batch"],
) -> Shaped[np.ndarray, "batch *item"]:
    """Copy items out of arrays, ``array(file)[position]`` each, with one call for all of a file.

    ``files`` is None where there is only one.
    """
    if files is None or not len(files):
        return array(0).take(positions, axis=0, mode="clip")

    first = array(int(files[0]))
    ends = [*(np.flatnonzero(np.diff(files)) + 1).tolist(), len(files)]
    if len(ends) == 1:
        return first.take(positions, axis=0, mode="clip")

    values = np.empty((len(files), *first.shape[1:]), first.dtype)
    start = 0
    for end in ends:
        items = array(int(files[start]))
        items.take(positions[start:end], axis=0, out=values[start:end], mode="clip")
        start = end
    return values
