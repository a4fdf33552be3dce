"""Manifest: recordings of your own, described by a CSV."""

import logging
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from sys import intern
from typing import Any
from unicodedata import normalize

from avfusion.corpora.labels import ClassLabels, Label, LabelReader, check_classes
from avfusion.corpora.numbers import (
    Ranges,
    Targets,
    check_targets,
    find_number_labels,
    read_header,
)
from avfusion.corpora.recording import (
    ON_ERROR,
    SPLITS,
    Attributes,
    Box,
    Contents,
    FeatureFormat,
    Recording,
)
from avfusion.corpora.spelling import normalize_name, strip_invisible
from avfusion.corpora.table import (
    ATTRIBUTE_PREFIX,
    BOX_COLUMNS,
    COLUMNS,
    FEATURE_COLUMNS,
    MEDIA_COLUMNS,
    REQUIRED_COLUMNS,
    check_column_names,
    read_rows,
)
from avfusion.corpora.table_errors import ClipsError, LineError, TableErrors
from avfusion.messages import join_items, pluralize

log = logging.getLogger(__name__)


class Manifest:
    """A folder with a ``manifest.csv``, or the path of a CSV.

    ``conf/corpus/README.md`` explains the columns. Names of columns, splits, classes and subjects
    that look alike are one (see ``normalize_name``); ids of clips are one only where nobody could
    see a difference: case and width tell them apart.

    Args:
        root: the folder or the CSV; paths in the CSV are relative to it.
        columns: the table's names of columns, by ours.
        classes: names of the classes; None: the labels of the training split, without splits all.
        media_root: the folder that paths are relative to and may not lead out of. None: the folder
            of the CSV; they may not lead out of ``root`` or, for a CSV, which may lie in a folder
            of lists, out of the folder that holds its own.
        multilabel: whether a label may name several classes with ``|`` between them; None: whether
            any label does.
        targets: numbers that label the clips: names of columns ``target.<name>``, or columns by
            name; None: all such columns, where there is no column of labels.
        ranges: lowest and highest value of numbers, by name.
        features: of the columns ``face_features`` and ``audio_features``: ``rate``, steps per
            second, and ``key``, the array of a file that holds several, for both or by column.
        allow_two_labels_for_one_recording: accept files that stand in the table with two labels.
        on_error: ``skip`` or ``raise``, for a clip that cannot be decoded or whose file is missing.

    Raises:
        FileNotFoundError: if there is no CSV, or no folder of media.
        ValueError: if an option has a value that it cannot have.
    """

    def __init__(
        self,
        root: str,
        columns: Mapping[str, str] | None = None,
        classes: Sequence[str | int] | None = None,
        media_root: str | None = None,
        multilabel: bool | None = None,
        targets: Targets | None = None,
        ranges: Ranges | None = None,
        features: Mapping[str, Any] | None = None,
        allow_two_labels_for_one_recording: bool = False,
        on_error: str = "skip",
    ) -> None:
        path = Path(root).resolve()  # however it is spelled, it is the same corpus
        self.path = path / "manifest.csv" if path.is_dir() else path
        if not self.path.is_file():
            raise FileNotFoundError(
                f"No manifest at {self.path}: set corpus.root to a folder with a manifest.csv, "
                "or to a CSV."
            )
        if on_error not in ON_ERROR:
            raise ValueError(f"corpus.on_error must be one of {ON_ERROR}, got {on_error!r}.")
        check_column_names(columns or {}, media_root)
        check_classes([str(name) for name in classes or ()])
        check_targets(targets, ranges or {})

        self.name = path.name.removesuffix(".csv")
        outermost = path if path.is_dir() else path.parents[1]
        self.media_root = Path(media_root or outermost).resolve()
        self.relative_to = Path(media_root).resolve() if media_root else self.path.parent
        self.columns = {ours: (columns or {}).get(ours, ours) for ours in COLUMNS}
        self.classes = [str(name) for name in classes] if classes else None
        self.multilabel = multilabel
        self.targets = targets
        self.ranges = ranges or {}
        self.features = make_format(features or {})
        self.on_error = on_error
        allowed = allow_two_labels_for_one_recording
        self.allowed_leaks = ["two_labels_for_one_recording"] if allowed else []

    def read(self) -> Contents:
        """Read the CSV and check every row of it.

        Raises:
            ValueError: naming all errors of the table, with their lines.
            FileNotFoundError: if missing files are all that is wrong.
        """
        errors, labels = TableErrors(self.path), self._label_reader()
        columns = {ours: theirs for ours, theirs in self.columns.items() if ours != "label"}
        columns |= {**labels.columns, **find_attribute_columns(self.path)}
        needed = [ours for ours in (*REQUIRED_COLUMNS, *labels.columns) if ours in columns]

        recordings = {}
        for line, row in read_rows(self.path, columns, needed, errors):
            label = labels.read_label(line, row, errors)
            recordings[line] = self._read_recording(line, row, label, errors)
        clips = labels.normalize_labels(recordings, errors)
        self._check_files(clips, errors)

        lines = {id(clip): line for clip, line in zip(clips, recordings, strict=True)}
        names: list[str] = []
        with errors.catch_clips(lines):
            check_split_names(clips)
        with errors.catch_clips(lines):
            clips, names = labels.name_outputs(clips)
        errors.raise_all()
        return Contents(clips, names, labels.kind, self.features)

    def _label_reader(self) -> LabelReader:
        numbers = find_number_labels(self.path, self.columns, self.targets, self.ranges)
        return numbers or ClassLabels(self.columns["label"], self.classes, self.multilabel)

    def _read_recording(
        self, line: int, row: Mapping[str, str], label: Label, errors: TableErrors
    ) -> Recording:
        """Make the recording of one row, without what is wrong there."""
        for ours in REQUIRED_COLUMNS:
            if ours in row and not normalize_name(row[ours]):
                errors.add_line(line, f"has an empty {self.columns[ours]}")

        media: dict[str, Path | None] = {}
        for column in MEDIA_COLUMNS:
            if name := row.get(column, ""):
                media[column] = None
                with errors.catch_line(line):
                    media[column] = find_path(name, self.relative_to, self.media_root)
        features = self._find_features(line, row, media, errors)
        if not media and not any(row.get(column) for column in FEATURE_COLUMNS):
            errors.add_line(line, "names neither a video_path nor an image_path and an audio_path")
        video, image, audio = map(media.get, MEDIA_COLUMNS)
        if "video_path" in media:
            image = audio = None

        box = None
        with errors.catch_line(line):
            box = parse_box([row.get(side, "") for side in BOX_COLUMNS])

        clip_id, subject, split, session = (
            row.get(ours, "") for ours in ("clip_id", "subject", "split", "session")
        )
        split = normalize_name(split) if normalize_name(split) in SPLITS else split
        # A text that many clips share is kept once: a million clips take 120 MiB less.
        names, subject, split, session = map(intern, (label.names, subject, split, session))
        return Recording(
            clip_id,
            names,
            subject,
            split,
            video,
            image,
            audio,
            box,
            session=session,
            numbers=label.numbers,
            face_features=features.get("face_features"),
            audio_features=features.get("audio_features"),
            attributes=read_attributes(row),
        )

    def _find_features(
        self,
        line: int,
        row: Mapping[str, str],
        media: Mapping[str, Path | None],
        errors: TableErrors,
    ) -> dict[str, Path]:
        """Find the files of features that a row brings, one for each modality that it has."""
        found: dict[str, Path] = {}
        for column, own in zip(FEATURE_COLUMNS, ("image_path", "audio_path"), strict=True):
            if name := row.get(column, ""):
                with errors.catch_line(line):
                    found[column] = find_path(name, self.relative_to, self.media_root)
                    if not found[column].is_file():
                        raise LineError(f"names {name} as its {column}, and there is no such file")
            elif column in row and {own, "video_path"} & set(media):
                errors.add_line(
                    line,
                    f"has no {self.columns[column]}",
                    "name the file of its features, as every clip with sound or a picture has one",
                )
        return found

    def _check_files(self, recordings: list[Recording], errors: TableErrors) -> None:
        """Add an error for missing files, or log which clips will be skipped for that."""
        sentence, clips = describe_missing_files(self.path, recordings)
        if clips and (self.on_error == "raise" or clips == len(recordings)):
            errors.add_missing_files(sentence, clips)
        elif clips:
            log.warning("%s Clips that are skipped for that: %d.", sentence, clips)


def find_attribute_columns(path: Path) -> dict[str, str]:
    """Find the columns ``attribute.<name>`` of a table: its names of them, by ours."""
    header = (name for name in read_header(path) if "." in name)
    return {
        f"{ATTRIBUTE_PREFIX}{name.partition('.')[2].strip()}": name
        for name in header
        if normalize_name(name).startswith(ATTRIBUTE_PREFIX) and name.partition(".")[2].strip()
    }


def read_attributes(row: Mapping[str, str]) -> Attributes:
    """Take the attributes out of a row, but for empty cells."""
    return tuple(
        (intern(column.removeprefix(ATTRIBUTE_PREFIX)), intern(text))
        for column, text in sorted(row.items())
        if column.startswith(ATTRIBUTE_PREFIX) and text
    )


def make_format(features: Mapping[str, Any]) -> FeatureFormat:
    """Check the settings ``corpus.features`` of precomputed features."""
    if unknown := sorted(set(features) - set(FeatureFormat._fields)):
        raise ValueError(
            f"corpus.features has no {join_items(unknown)}, it has "
            f"{join_items(FeatureFormat._fields)}."
        )
    for name, value in features.items():
        if isinstance(value, Mapping) and (unknown := sorted(set(value) - set(FEATURE_COLUMNS))):
            raise ValueError(
                f"corpus.features.{name} has no {join_items(unknown)}: give one for both columns, "
                f"or by {join_items(FEATURE_COLUMNS)}."
            )
    rate = features.get("rate")
    for one in rate.values() if isinstance(rate, Mapping) else [rate]:
        if one is not None and not one > 0:
            raise ValueError(f"corpus.features.rate must be steps per second or null, got {one}.")
    return FeatureFormat(**features)


def spell_paths(name: str) -> Iterator[str]:
    """Spell a path of a table in all ways in which its file may be named."""
    slashes = name.replace("\\", "/")
    yield from (name, slashes, strip_invisible(name))
    yield from (normalize(form, slashes) for form in ("NFC", "NFD"))


def find_path(name: str, relative_to: Path, outermost: Path) -> Path:
    """Find a path of a table, in whichever Unicode form the file system has it.

    Raises:
        LineError: if the path, or a link in the folder that it names, leads out of ``outermost``,
            or if it is no path at all.
    """
    try:
        paths = (Path(os.path.normpath(relative_to / spelling)) for spelling in spell_paths(name))
        first = next(paths)
        path = first if first.exists() else next(filter(Path.exists, paths), first)
        links = [entry for entry in path.iterdir() if entry.is_symlink()] if path.is_dir() else []
        inside = all(part.resolve().is_relative_to(outermost) for part in (path, *links))
    except (OSError, ValueError, RuntimeError) as error:  # too long, a zero in it, links in a ring
        raise LineError(
            f"names {name[:80]!r}, which is no path ({error})", "write it as its folder has it"
        ) from error

    if not inside:
        raise LineError(
            f"names {name}, which is not in {outermost}",
            "set corpus.media_root to the folder that holds the media",
        )
    return path


def find_missing_files(recording: Recording) -> list[str]:
    """Find the files and folders of a recording that do not exist."""
    return [str(path) for path in recording.sources if not path.exists()]


def describe_missing_files(table: Path, recordings: Sequence[Recording]) -> tuple[str, int]:
    """Say in a sentence which files of a table are missing, and count the clips that lack one."""
    found = [find_missing_files(clip) for clip in recordings]
    missing, clips = [*chain(*found)], sum(map(bool, found))
    files = sum(len(clip.sources) for clip in recordings)

    most = 2 * clips > len(recordings)
    cause = f"and {clips} of {len(recordings)} clips lack theirs: set" if most else "or to"
    verb = "is" if len(missing) == 1 else "are"
    return (
        f"{len(missing)} of the {files} files of {table} {verb} missing: {join_items(missing)}. "
        f"Paths are relative to the CSV, {cause} corpus.media_root=<folder that holds the media>."
    ), clips


def check_split_names(recordings: Sequence[Recording]) -> None:
    """Refuse splits of other names, and splits for some clips only.

    Raises:
        ClipsError: naming the splits and their clips.
    """
    other = Counter(clip.split for clip in recordings if clip.split not in SPLITS)
    if set(other) - {""} or 0 < other[""] < len(recordings):
        names = [f"{name or 'none'} ({pluralize(n, 'clip')})" for name, n in other.items()]
        raise ClipsError(
            f"The splits must be {', '.join(SPLITS)}, got {join_items(names)}: correct the column, "
            "or leave it out and choose data.splits={train: 0.7, val: 0.1, test: 0.2} in training.",
            [clip for clip in recordings if clip.split not in SPLITS],
        )


def parse_box(sides: list[str]) -> Box | None:
    """Parse the box of a row, in pixels; None where its columns are empty.

    Raises:
        LineError: if a side is missing or no number, or if the box is empty.
    """
    with suppress(ValueError):
        box = Box(*map(float, sides)) if any(sides) else None
        if box is None or (box.left < box.right and box.top < box.bottom):
            return box

    raise LineError(
        f"has the box {', '.join(sides)}",
        "give left, top, right and bottom in pixels, or leave all four empty",
    )
