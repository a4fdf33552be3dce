"""Index of a store: a typed record per clip, kept as columns in a Parquet file.

Readers open the columns that they need: a million clips as text took 21 s and 2 GiB in
every process. Equal records give equal bytes, however and by whom they were written.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jaxtyping import Bool, Int, Shaped

from avfusion.corpora.labels import split_label
from avfusion.corpora.numbers import COLUMN_PREFIX, format_label
from avfusion.corpora.recording import Attributes, Box, Recording
from avfusion.corpora.spelling import escape_surrogates
from avfusion.corpora.table import ATTRIBUTE_PREFIX
from avfusion.features import ClipFeatures
from avfusion.features.mfcc import SAMPLE_RATE
from avfusion.features.video import count_pictures
from avfusion.files import open_csv


class Window(NamedTuple):
    """Begin and end of a clip in its recording, in seconds."""

    start: float
    end: float


class PictureSize(NamedTuple):
    """The sides of a picture, in pixels."""

    width: int
    height: int


@dataclass(frozen=True)
class ClipRecord:
    """One clip of a store.

    ``label``, ``subject``, ``session`` are those of the recording, empty where unknown, ``split``
    what the corpus itself assigns it to, if anything; ``shard`` and ``place``, the position in it,
    say where its arrays are. ``window`` is None where the recording is not cut. ``seconds`` is the
    length of the whole sound, ``samples`` what is kept of it at 16 kHz, ``frames`` the number of
    audio frames, ``pictures`` that of the recording's pictures. ``box`` is the speaker's face in
    fractions of the stored picture, ``crop`` the square cut out of the first picture, in pixels,
    ``picture_size`` that picture's. Sources and digests are None where the clip lacks the modality;
    a digest is the same for the same decoded content. ``numbers`` are those that the label names,
    in its order, where it does not name classes. ``attributes`` are what else is known of the clip,
    such as gender, by name. Text is valid UTF-8, see ``escape_surrogates``: that is what a file can
    hold.
    """

    clip_id: str
    label: str
    subject: str
    session: str
    split: str
    shard: int
    place: int
    window: Window | None
    seconds: float
    samples: int
    frames: int
    has_face: bool
    has_audio: bool
    pictures: int
    note: str
    box: Box | None
    crop: Box | None
    picture_size: PictureSize | None
    face_source: str | None
    audio_source: str | None
    face_digest: int | None
    audio_digest: int | None
    numbers: tuple[float, ...] = ()
    attributes: Attributes = ()

    @classmethod
    def of(cls, recording: Recording, clip: ClipFeatures, shard: int, place: int) -> "ClipRecord":
        """Record of a recording that was decoded."""
        window, size = recording.window, clip.picture_size
        # Features that stand for a picture or for a sound are no content that clips could share.
        seen, heard = recording.picture_source is not None, recording.sound_source is not None
        face = recording.picture_source or recording.face_features
        voice = recording.sound_source or recording.audio_features
        return cls(
            clip_id=escape_surrogates(recording.clip_id),
            label=escape_surrogates(recording.label),
            subject=escape_surrogates(recording.subject),
            session=escape_surrogates(recording.session),
            split=recording.split,
            shard=shard,
            place=place,
            window=None if window is None else Window(*(edge / SAMPLE_RATE for edge in window)),
            seconds=float(clip.seconds),
            samples=len(clip.waveform),
            frames=len(clip.audio),
            has_face=bool(clip.has_face),
            has_audio=bool(clip.has_audio),
            pictures=count_pictures(recording),
            note=escape_surrogates(clip.note),
            box=None if clip.box is None else Box(*map(float, clip.box)),
            crop=None if clip.crop is None else Box(*map(float, clip.crop)),
            picture_size=None if size is None else PictureSize(*map(int, size)),
            face_source=escape_surrogates(face) if face and clip.has_face else None,
            audio_source=escape_surrogates(voice) if voice and clip.has_audio else None,
            face_digest=digest_content(clip.face) if clip.has_face and seen else None,
            audio_digest=digest_content(clip.waveform) if clip.has_audio and heard else None,
            numbers=recording.numbers,
            attributes=tuple(
                (name, escape_surrogates(value)) for name, value in recording.attributes
            ),
        )

    @property
    def label_text(self) -> str:
        """The label for display, with the numbers that it names."""
        return format_label(self.label, self.numbers)

    def to_row(self) -> dict[str, Any]:
        """Plain values under the names of the index's columns; None where unknown."""
        row: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "numbers":
                columns = list_number_columns(self.label) if value else []
                row.update(zip(columns, value, strict=True))
            elif field.name == "attributes":
                row.update((f"{ATTRIBUTE_PREFIX}{name}", text) for name, text in value)
            elif field.name in NESTED_COLUMNS:
                names = NESTED_COLUMNS[field.name][1]
                row.update(zip(names, value or [None] * len(names), strict=True))
            else:
                row[field.name] = value

        return row

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> "ClipRecord":
        """Record of such a row."""
        values: dict[str, Any] = {}
        for field in fields(cls):
            if field.name == "numbers":
                values[field.name] = read_numbers(row)
            elif field.name == "attributes":
                values[field.name] = read_attributes(row)
            elif field.name in NESTED_COLUMNS:
                kind, names = NESTED_COLUMNS[field.name]
                parts = [row[name] for name in names]
                values[field.name] = None if None in parts else kind(*parts)
            else:
                values[field.name] = row[field.name]

        return cls(**values)


def list_number_columns(label: str) -> list[str]:
    """Name the columns of the numbers that a label names."""
    return [f"{COLUMN_PREFIX}{name}" for name in split_label(label)]


def read_numbers(row: Mapping[str, Any]) -> tuple[float, ...]:
    """Take the numbers that the label of a row names out of their columns."""
    return tuple(row[column] for column in list_number_columns(row["label"]) if column in row)


def read_attributes(row: Mapping[str, Any]) -> Attributes:
    """Take the attributes that are known of a row out of their columns."""
    return tuple(
        (column.removeprefix(ATTRIBUTE_PREFIX), row[column])
        for column in sorted(row)
        if column.startswith(ATTRIBUTE_PREFIX) and row[column] is not None
    )


BOX = ("box_left", "box_top", "box_right", "box_bottom")
# The columns of what has several numbers.
NESTED_COLUMNS: dict[str, tuple[Any, tuple[str, ...]]] = {
    "window": (Window, ("start", "end")),
    "box": (Box, BOX),
    "crop": (Box, ("crop_left", "crop_top", "crop_right", "crop_bottom")),
    "picture_size": (PictureSize, ("picture_width", "picture_height")),
}


def digest_content(array: np.ndarray) -> int:
    """First 64 bits of the SHA-256 of an array's bytes."""
    return int.from_bytes(hashlib.sha256(array.tobytes()).digest()[:8])


def format_digest(digest: int) -> str:
    """Format a digest as sixteen hexadecimal digits, as in checkpoints."""
    return f"{digest:016x}"


Rows = Sequence[int] | Int[np.ndarray, "rows"]
ROW_GROUP = 2**14  # clips that are written, and read for a single record, at a time
REPEATED_TEXT = pa.dictionary(pa.int32(), pa.string())  # text that many clips share
SCHEMA = pa.schema(
    {
        "clip_id": pa.string(),
        "label": REPEATED_TEXT,
        "subject": REPEATED_TEXT,
        "session": REPEATED_TEXT,
        "split": REPEATED_TEXT,
        "shard": pa.int64(),
        "place": pa.int64(),
        "start": pa.float64(),
        "end": pa.float64(),
        "seconds": pa.float64(),
        "samples": pa.int64(),
        "frames": pa.int64(),
        "has_face": pa.bool_(),
        "has_audio": pa.bool_(),
        "pictures": pa.int64(),
        "note": REPEATED_TEXT,
        **dict.fromkeys(NESTED_COLUMNS["box"][1], pa.float64()),
        **dict.fromkeys(NESTED_COLUMNS["crop"][1], pa.float64()),
        **dict.fromkeys(NESTED_COLUMNS["picture_size"][1], pa.int64()),
        "face_source": pa.string(),
        "audio_source": pa.string(),
        "face_digest": pa.uint64(),
        "audio_digest": pa.uint64(),
    }
)
NUMBER = pa.float64()  # of a column target.<name>, null where it is missing
DIGESTS = ("face_digest", "audio_digest")
# Names that begin alike, and positions that count on, are kept as differences.
ENCODINGS = {
    **dict.fromkeys(("clip_id", "face_source", "audio_source"), "DELTA_BYTE_ARRAY"),
    "place": "DELTA_BINARY_PACKED",
    **dict.fromkeys(DIGESTS, "PLAIN"),
}


class Codes(NamedTuple):
    """A column of text of which many clips have the same: ``names[numbers]``."""

    numbers: Int[np.ndarray, "clips"]
    names: list[str]

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "Codes":
        """Codes of an Arrow column of text without nulls."""
        if not pa.types.is_dictionary(column.type):
            column = column.dictionary_encode()
        whole = column.unify_dictionaries().combine_chunks()
        return cls(whole.indices.to_numpy(), whole.dictionary.to_pylist())

    def where(self, *names: str) -> Bool[np.ndarray, "clips"]:
        """Mask the clips that have one of some names."""
        return np.array([name in names for name in self.names], bool)[self.numbers]

    def texts(self, rows: Rows) -> list[str]:
        """Text of some clips."""
        return [self.names[number] for number in self.numbers[np.asarray(rows, np.int64)].tolist()]

    def in_order(self, selected: Bool[np.ndarray, "clips"]) -> list[str]:
        """Names that some clips have, each once, the first clip's first."""
        numbers = self.numbers[selected]
        firsts = np.sort(np.unique(numbers, return_index=True)[1])
        return [self.names[number] for number in numbers[firsts].tolist()]

    def counts(self, selected: Bool[np.ndarray, "clips"] | slice = slice(None)) -> Counter[str]:
        """Count the clips, of all or of some, that have each of the names that occur."""
        counts = np.bincount(self.numbers[selected], minlength=len(self.names)).tolist()
        return Counter({name: n for name, n in zip(self.names, counts, strict=True) if n})


class IndexWriter:
    """Write records into a file of columns, some thousands at a time.

    ``names`` are those of the numbers that their labels may name, ``attributes`` those of the
    attributes that they may have.
    """

    def __init__(
        self, path: Path, names: Iterable[str] = (), attributes: Iterable[str] = ()
    ) -> None:
        self.schema = add_columns(SCHEMA, names, attributes)
        dictionaries = [
            name
            for name in self.schema.names
            if name not in ENCODINGS and not name.startswith(COLUMN_PREFIX)
        ]
        self.file = pq.ParquetWriter(
            path,
            self.schema,
            compression="zstd",
            use_dictionary=dictionaries,
            column_encoding=ENCODINGS,
            write_statistics=False,
        )
        self.waiting: list[ClipRecord] = []
        self.written = 0

    def write(self, record: ClipRecord) -> None:
        """Add one record."""
        self.waiting.append(record)
        self.written += 1
        if len(self.waiting) == ROW_GROUP:
            self._flush()

    def _flush(self) -> None:
        self.file.write_table(tabulate(self.waiting, self.schema), row_group_size=ROW_GROUP)
        self.waiting = []

    def __enter__(self) -> "IndexWriter":
        return self

    def __exit__(self, *_: object) -> None:
        if self.waiting:
            self._flush()
        self.file.close()


def write_index(
    path: Path,
    records: Iterable[ClipRecord],
    names: Iterable[str] = (),
    attributes: Iterable[str] = (),
) -> None:
    """Write the index of some records, with numbers and attributes of these names."""
    with IndexWriter(path, names, attributes) as index:
        for record in records:
            index.write(record)


def add_columns(schema: pa.Schema, names: Iterable[str], attributes: Iterable[str]) -> pa.Schema:
    """Add a column for the numbers of each name, and for each attribute."""
    for name in names:
        schema = schema.append(pa.field(f"{COLUMN_PREFIX}{name}", NUMBER))
    for name in attributes:
        schema = schema.append(pa.field(f"{ATTRIBUTE_PREFIX}{name}", REPEATED_TEXT))
    return schema


def tabulate(records: Iterable[ClipRecord], schema: pa.Schema = SCHEMA) -> pa.Table:
    """Make columns of records."""
    return pa.Table.from_pylist([record.to_row() for record in records], schema=schema)


def to_numpy(column: pa.ChunkedArray) -> Shaped[np.ndarray, "clips"]:
    """Column of numbers or of truth values; NaN where one is unknown."""
    dtype = np.float64 if column.null_count else column.type.to_pandas_dtype()
    return np.array(column.to_numpy(zero_copy_only=False), dtype)


class Index:
    """The columns of an index that was written.

    ``names`` are those of all columns, ``opened`` those of the columns that have been read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.opened: list[str] = []
        with self._file() as file:
            self.clips = file.metadata.num_rows
            self.names: list[str] = file.schema_arrow.names
            sizes = [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)]

        self.ends = np.cumsum(sizes, dtype=np.int64)

    def __len__(self) -> int:
        return self.clips

    def _file(self) -> pq.ParquetFile:
        try:
            return pq.ParquetFile(self.path)
        except (OSError, pa.ArrowException) as error:
            reason = str(error).partition("\n")[0]
            raise ValueError(
                f"{self.path} cannot be read ({reason}): delete the store and prepare the corpus "
                "again."
            ) from error

    @property
    def number_columns(self) -> list[str]:
        """The names of the columns of numbers to predict."""
        return [name for name in self.names if name.startswith(COLUMN_PREFIX)]

    @property
    def attributes(self) -> list[str]:
        """The names of the attributes that clips have."""
        columns = (name for name in self.names if name.startswith(ATTRIBUTE_PREFIX))
        return [name.removeprefix(ATTRIBUTE_PREFIX) for name in columns]

    def columns(self, *names: str) -> pa.Table:
        """Read columns; nulls stand for what is unknown."""
        self.opened += [name for name in names if name not in self.opened]
        with self._file() as file:
            # In this thread: processes that load batches were forked from it.
            return file.read(list(names), use_threads=False)

    def records(self, rows: Rows) -> list[ClipRecord]:
        """Read the records of some rows, in their order."""
        asked = np.asarray(rows, np.int64)
        groups = np.searchsorted(self.ends, asked, side="right")
        found: dict[int, ClipRecord] = {}
        with self._file() as file:
            for group in np.unique(groups).tolist():
                some = np.unique(asked[groups == group])
                table = file.read_row_group(group, use_threads=False)
                start = int(self.ends[group]) - len(table)
                taken = table.take(some - start).to_pylist()
                found |= zip(some.tolist(), map(ClipRecord.from_row, taken), strict=True)

        return [found[row] for row in asked.tolist()]

    def rows(self) -> Iterator[dict[str, Any]]:
        """Read all rows, one after the other, as plain values."""
        with self._file() as file:
            for group in range(file.num_row_groups):
                yield from file.read_row_group(group, use_threads=False).to_pylist()


def check_export(path: Path) -> Path:
    """Refuse a file that cannot be written, before long work."""
    if path.is_dir() or not path.absolute().parent.is_dir():
        raise ValueError(
            f"prepare.export={path} cannot be written: name a file, such as clips.csv, in a folder "
            "that is there."
        )
    return path


def export_index(index: Index, path: Path) -> None:
    """Write an index as CSV, for people; cells are empty where something is unknown."""
    with open_csv(path, index.names) as writer:
        for row in index.rows():
            flags = {name: int(row[name]) for name in ("has_face", "has_audio")}
            digests = {name: row[name] for name in DIGESTS if row[name] is not None}
            writer.writerow(row | flags | {n: format_digest(d) for n, d in digests.items()})
