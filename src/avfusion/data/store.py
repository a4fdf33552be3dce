"""A prepared corpus on disk, read at the speed of memory; its splits are decided by who reads it.

It lies in a folder, or at an address in object storage, of which what is read comes into a cache.

<store>/
  description.json   format, class names, sizes, feature settings, checksums
  index.parquet      a record per kept clip: id, label, subject, session, the corpus' own split,
                     lengths, boxes, where from; numbers to predict as target.<name>, what else
                     is known of a clip as attribute.<name>
  report.csv         a row per recording: kept, skipped or left out, and why
  <stream>/00000.npy shards of a stream, [clips, ...], as the description says of it:
    frames           [clips, pictures, size, size, 3] uint8, RGB
    waveform         [clips, samples] int16, mono at 16 kHz
    mfcc             [clips, frames, features] float32, or what other audio features are called
  moments/<stream>/00000.npy  [clips, numbers] float64: statistics of any training clips
  <stream>/stream.json  of a stream that an encoder computed: see avfusion.data.computed
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, SupportsIndex

import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Bool, Float32, Float64, Int64, Shaped
from torch import Tensor

from avfusion.addresses import is_address
from avfusion.corpora.numbers import COLUMN_PREFIX
from avfusion.corpora.spelling import normalize_name
from avfusion.corpora.table import ATTRIBUTE_PREFIX
from avfusion.data.computed import LENGTHS_FILE, ComputedStream, gather, read_computed
from avfusion.data.files import DESCRIPTION, Folder, StoreFiles
from avfusion.data.index import BOX, ClipRecord, Codes, Index, Rows, to_numpy
from avfusion.features.clip import Stream
from avfusion.files import data_folder, read_csv
from avfusion.preparation.statistics import Moments, sum_moments

if TYPE_CHECKING:
    from avfusion.data.remote import Cache

STORE_FORMAT = 5  # until 4 output_names were class_names
INDEX_FILE = "index.parquet"
REPORT_FILE = "report.csv"
MOMENTS_FOLDER = "moments"
SHARD_PATTERN = "[0-9]*.npy"  # in the folder of a stream
WEIGHTS_FILE = "encoder.pt"


class Store:
    """The clips of a store; ``rows`` are positions in its index.

    ``store`` is a folder, an address (``s3://...``), or the files that another store has opened.
    Columns of the index, and the arrays of a stream, are opened when they are first asked for.
    Modalities that are ``removed`` read as those of clips that were recorded without; the index
    still says what was recorded.
    """

    def __init__(self, store: str | Path | StoreFiles, removed: Sequence[str] = ()) -> None:
        self.files = open_files(store) if isinstance(store, str | Path) else store
        self.root = self.files.root
        self.removed = tuple(removed)
        self.description = read_description(self.root)
        self.index = Index(self.files.get(self.root / INDEX_FILE))
        self._spell: Callable[[str], str] | None = None
        described = self.description["streams"].items()
        self.streams = {name: Stream.from_plain(values) for name, values in described}
        self.computed: dict[str, ComputedStream] = read_computed(self.files)
        self.streams |= {name: one.stream for name, one in self.computed.items()}
        self.opened: dict[str, Shards] = {}  # by stream
        self._lengths: dict[str, np.ndarray] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Let the processes of a loader open the store anew rather than copy it."""
        return Store, (self.files, self.removed)

    def __len__(self) -> int:
        return len(self.index)

    @cached_property
    def shard(self) -> Int64[np.ndarray, "clips"]:
        """The shard of each clip."""
        return self.column("shard")

    @cached_property
    def place(self) -> Int64[np.ndarray, "clips"]:
        """The position of each clip in its shard."""
        return self.column("place")

    @cached_property
    def has_face(self) -> Bool[np.ndarray, "clips"]:
        """Whether each clip has a face."""
        recorded = self.column("has_face")
        return np.zeros_like(recorded) if "face" in self.removed else recorded

    @cached_property
    def has_audio(self) -> Bool[np.ndarray, "clips"]:
        """Whether each clip has sound."""
        recorded = self.column("has_audio")
        return np.zeros_like(recorded) if "audio" in self.removed else recorded

    @cached_property
    def boxes(self) -> Float32[np.ndarray, "clips 4"]:
        """The speaker's face in fractions of each stored picture, NaN where unknown."""
        if "face" in self.removed:
            return np.full((len(self), 4), np.nan, np.float32)
        sides = self.index.columns(*BOX)
        boxes = np.empty((len(self), 4), np.float32)
        for number, side in enumerate(BOX):
            boxes[:, number] = to_numpy(sides[side])
        return boxes

    @cached_property
    def labels(self) -> Codes:
        """The label of each clip."""
        return Codes.of(self.columns("label")["label"])

    def numbers(self, name: str) -> Float64[np.ndarray, "clips"]:
        """Read the number of a name, however it is spelled, of each clip; NaN where unknown."""
        known = {normalize_name(column): column for column in self.index.number_columns}
        column = known.get(normalize_name(f"{COLUMN_PREFIX}{name}"))
        return np.full(len(self), np.nan) if column is None else self.column(column)

    @property
    def attributes(self) -> list[str]:
        """The names of what else is known of clips, such as gender."""
        return self.index.attributes

    def attribute(self, name: str) -> list[str | None]:
        """Read an attribute of each clip, None where it is unknown."""
        return self.texts(f"{ATTRIBUTE_PREFIX}{name}")

    def column(self, name: str) -> Shaped[np.ndarray, "clips"]:
        """Read a column of numbers or of truth values; NaN where one is unknown."""
        return to_numpy(self.index.columns(name)[name])

    def columns(self, *names: str) -> pa.Table:
        """Read columns of the index, with nulls where something is unknown."""
        table = self.index.columns(*names)
        if self._spell is not None and "label" in names:
            labels = Codes.of(table["label"])
            spelled = pa.array([self._spell(name) for name in labels.names], pa.string())
            column = spelled.take(pa.array(labels.numbers)).dictionary_encode()
            table = table.set_column(names.index("label"), "label", column)

        return table

    def texts(self, name: str) -> list[str | None]:
        """Read a column of text, None where it is unknown."""
        return self.columns(name)[name].to_pylist()

    def records(self, rows: Rows) -> list[ClipRecord]:
        """Read all that is known of some clips, in the order of the rows."""
        found = self.index.records(rows)
        if self._spell is None:
            return found
        return [replace(record, label=self._spell(record.label)) for record in found]

    def record(self, row: int) -> ClipRecord:
        """Read all that is known of one clip."""
        return self.records([row])[0]

    def respell(self, spell: Callable[[str], str]) -> None:
        """Spell labels otherwise, such as a network spells its classes."""
        self._spell = spell
        self.__dict__.pop("labels", None)

    def without(self, *modalities: str) -> "Store":
        """Open the same clips as if some modalities had not been recorded."""
        other = Store(self.files, (*self.removed, *modalities))
        other._spell = self._spell
        return other

    def _is_removed(self, name: str) -> bool:
        """Whether a stream belongs to a modality that is removed."""
        return self.streams[name].modality in self.removed

    @property
    def address(self) -> str:
        """The folder of the store, or the address that it comes from."""
        return self.files.address

    def has_files(self, name: str) -> bool:
        """Whether there are values of a stream."""
        return bool(self.files.find(f"{name}/*"))

    def file(self, name: str) -> Path:
        """The path of a file that lies beside the streams, once it is there."""
        return self.files.get(self.root / name)

    def fetch(self, names: Sequence[str], rows: Int64[np.ndarray, "rows"]) -> None:
        """Let what is read of some streams of some clips be on this machine, all at once.

        Otherwise a store that comes from an address is fetched file by file as it is read.
        """
        if isinstance(self.files, Folder):
            return
        wanted: list[Path] = []
        for name in names:
            if self._is_removed(name):
                continue
            if name in self.computed:
                stream = self.computed[name]
                parts = np.unique(stream.find_parts(rows)).tolist()
                wanted += map(stream.part_file, parts)
            else:
                files = self.shards(name).paths
                wanted += [files[number] for number in np.unique(self.shard[rows]).tolist()]
        self.files.fetch(wanted)

    def shards(self, name: str) -> "Shards":
        """Map the shards of a stream; as plain arrays, whose slices cost less than memmap's."""
        if name not in self.opened:
            self.opened[name] = Shards(self.files.find(f"{name}/{SHARD_PATTERN}"), self.files)
        return self.opened[name]

    def has_modality(self, name: str) -> Bool[np.ndarray, "clips"]:
        """Whether each clip has what a stream is of: a face, or sound."""
        return self.has_face if self.streams[name].modality == "face" else self.has_audio

    def moments(self, name: str, selected: Bool[np.ndarray, "clips"]) -> Moments | None:
        """Add up the moments of a stream over some clips, None where it has none."""
        if name in self.computed:
            return self.computed[name].moments(selected & self.has_modality(name))
        files = self.files.find(f"{MOMENTS_FOLDER}/{name}/{SHARD_PATTERN}")
        if not files:
            return None
        # One after the other: those of a million clips are a gigabyte.
        packed = map(map_shard, map(self.files.get, files))
        return sum_moments(packed, self.shard[selected], self.place[selected])

    def skipped(self) -> set[str]:
        """Ids of the clips of the corpus that could not be used."""
        rows = read_csv(self.file(REPORT_FILE))
        return {row["clip_id"] for row in rows if row["outcome"] != "kept"}

    def shown(self, modality: str) -> str:
        """Stream of a modality that is displayed: the first."""
        return next(name for name, one in self.streams.items() if one.modality == modality)

    def read(self, name: str, rows: Int64[np.ndarray, "batch"]) -> Shaped[Tensor, "batch *item"]:
        """Copy a stream of some clips, which must be in the order of the store.

        Pictures are [batch, pictures, 3, height, width], their channels last in memory, as
        convolutions like them; a sequence has as many steps as the longest of these clips.
        """
        if name in self.computed:
            computed = self.computed[name]
            is_removed = self._is_removed(name)
            return torch.from_numpy(
                computed.zeros(len(rows)) if is_removed else computed.read(rows)
            )
        kind = self.streams[name].kind
        if self._is_removed(name):
            values = self.streams[name].zeros(len(rows))
        else:
            shards = self.shards(name)
            numbers = self.shard.take(rows) if len(shards) > 1 else None
            values = gather(shards.__getitem__, numbers, self.place.take(rows))
        if kind == "pictures":
            values = values.transpose(0, 1, 4, 2, 3)
        elif kind == "sequence":
            values = values[:, : self.lengths(name).take(rows).max()]

        return torch.from_numpy(values)

    def lengths(self, name: str) -> Int64[np.ndarray, "clips"]:
        """Numbers of true steps of a sequence in each clip: at least one."""
        if name not in self._lengths:
            column, file = self.streams[name].lengths, self.root / name / LENGTHS_FILE
            if self._is_removed(name):
                steps = np.ones(len(self), np.int64)
            elif name in self.computed:
                steps = self.computed[name].steps
            else:
                steps = np.load(self.files.get(file)) if column is None else self.column(column)
            self._lengths[name] = np.maximum(steps, 1).astype(np.int64, copy=False)
        return self._lengths[name]

    def clip(self, name: str, row: int) -> Shaped[Tensor, "*item"]:
        """Copy a stream of one clip, a sequence without padding."""
        return self.read(name, np.array([row]))[0]

    def has_weights(self, name: str) -> bool:
        """Whether the weights of the encoder that computed a stream are kept beside it."""
        return bool(self.files.find(f"{name}/{WEIGHTS_FILE}"))

    def encoder(self, name: str) -> dict[str, Tensor]:
        """Weights of the encoder that computed a stream."""
        file = self.files.get(self.root / name / WEIGHTS_FILE)
        return torch.load(file, map_location="cpu", weights_only=True)


def open_files(location: str | Path, cache: "Cache | None" = None) -> StoreFiles:
    """Open the files of a store that lies in a folder, or at an address that fsspec knows."""
    if not is_address(location):
        return Folder(Path(location))

    from avfusion.data.remote import Cache, open_cached  # where there is an address

    return open_cached(str(location), cache or Cache())


def open_recorded(location: str, settings: Mapping[str, Any]) -> Store:
    """Open the store that a run records, where it was or among the stores of this machine.

    ``settings`` are those of the run, by dotted keys: they say where it is cached.

    Raises:
        FileNotFoundError: It is at neither location.
    """
    if is_address(location):
        from avfusion.data.remote import Cache

        given = {key: settings.get(f"data.cache.{key}") for key in ("folder", "size_gb")}
        if given["folder"] and not Path(given["folder"]).is_dir():  # of another machine
            given["folder"] = None
        return Store(open_files(location, Cache(**{k: one for k, one in given.items() if one})))
    recorded = Path(location)
    for folder in (recorded, Path(data_folder()) / "stores" / recorded.name):
        if (folder / DESCRIPTION).is_file():
            return Store(folder)
    raise FileNotFoundError(
        f"their store is not at {recorded}, and not among the stores of this machine."
    )


def find_description(location: str | Path, cache: "Cache | None" = None) -> dict[str, Any] | None:
    """Description of the store at a location, None where a folder holds none."""
    if not is_address(location) and not (Path(location) / DESCRIPTION).is_file():
        return None
    return read_description(open_files(location, cache).root)


class Shards(Sequence[np.ndarray]):
    """The shards of a stream, each mapped when it is first read."""

    def __init__(self, paths: list[Path], files: StoreFiles) -> None:
        self.paths = paths
        self.files = files
        self.arrays: list[np.ndarray | None] = [None] * len(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, number: SupportsIndex) -> np.ndarray:  # type: ignore[override]
        array = self.arrays[number]
        if array is None:
            array = self.arrays[number] = map_shard(self.files.get(self.paths[number]))
        return array


def find_shards(folder: Path) -> list[Path]:
    """Find the files of the shards in a folder, in their order."""
    return sorted(folder.glob(SHARD_PATTERN))


def map_shard(file: Path) -> np.ndarray:
    """Map a shard into memory, as a plain array."""
    return np.asarray(np.load(file, mmap_mode="r"))


def locate_shard(root: Path, name: str, shard: int) -> Path:
    """File of one array's shard."""
    return root / name / f"{shard:05d}.npy"


def read_description(root: Path) -> dict[str, Any]:
    """Description of a store, or say how to make the store."""
    path = root / DESCRIPTION
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

    if given != STORE_FORMAT:
        raise ValueError(
            f"The store in {root} has format {given}, this version reads {STORE_FORMAT}: "
            "prepare the corpus again."
        )

    return description
