"""Any recordings, described by a CSV, and the files that it names."""

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import chain
from pathlib import Path
from unicodedata import normalize

from avfusion.corpora.labels import ClassLabels, Label, LabelReader, check_classes
from avfusion.corpora.mistakes import Mistakes, WrongClips, WrongLine
from avfusion.corpora.numbers import Ranges, Targets, check_targets, find_numbers
from avfusion.corpora.recording import ON_ERROR, SPLITS, Box, Contents, Recording
from avfusion.corpora.spelling import canonical, visible
from avfusion.corpora.table import BOX, COLUMNS, MEDIA, REQUIRED, check_names, read_rows
from avfusion.messages import join_items


def find(name: str, beside: Path, outermost: Path) -> Path:
    """Return a path of a table, in whichever spelling the file system knows it.

    Neither the path nor, of a folder, what lies in it may lead out of ``outermost``.
    """
    spellings = [name, name.replace("\\", "/"), visible(name)]
    spellings += [normalize(form, spellings[1]) for form in ("NFC", "NFD")]
    try:
        paths = [Path(os.path.normpath(beside / spelling)) for spelling in spellings]
        path = next((path for path in paths if path.exists()), paths[0])
        links = [entry for entry in path.iterdir() if entry.is_symlink()] if path.is_dir() else []
        inside = all(part.resolve().is_relative_to(outermost) for part in (path, *links))
    except (OSError, ValueError, RuntimeError) as error:  # too long, a zero in it, links in a ring
        raise WrongLine(
            f"names {name[:80]!r}, which is no path ({error})", "write it as its folder has it"
        ) from error
    if not inside:
        raise WrongLine(
            f"names {name}, which is not in {outermost}",
            "set corpus.media_root to the folder that holds the media",
        )
    return path


def missing_files(recording: Recording) -> list[str]:
    """Return the files and folders of a recording that are not there."""
    return [str(path) for path in recording.sources if not path.exists()]


def told_missing(table: Path, recordings: Sequence[Recording]) -> tuple[str, int]:
    """Return a sentence about the files of a table that are missing, and of how many clips."""
    found = [missing_files(clip) for clip in recordings]
    missing, clips = [*chain(*found)], sum(map(bool, found))
    files = sum(len(clip.sources) for clip in recordings)
    most = 2 * clips > len(recordings)
    cause = f"and {clips} of {len(recordings)} clips lack theirs: set" if most else "or to"
    return (
        f"{len(missing)} of the {files} files of {table} are missing: {join_items(missing)}. "
        f"Paths are relative to the CSV, {cause} corpus.media_root=<folder that holds the media>."
    ), clips


log = logging.getLogger(__name__)


class Manifest:
    """A folder with a ``manifest.csv``, or the path of a CSV; its paths are relative to it.

    No path may lead out of ``media_root``: by default that folder, or for a CSV, which may lie in a
    folder of lists, the folder that holds its own.
    Columns: clip_id, video_path or image_path and audio_path, label, subject; session and split
    (train, val, test), where the corpus has them; box_left, box_top, box_right, box_bottom (the
    speaker's face, in pixels) where known. ``columns`` gives other names for them. A folder of
    frames counts as an image_path. ``multilabel`` says whether a label may name several classes,
    with ``|`` between them; None: whether any label does.
    ``targets`` names numbers in the columns ``target.<name>``, or maps names to columns; clips are
    then labeled by these numbers. None: all such columns, where there is no column of labels.
    ``ranges`` gives the lowest and the highest value of some of them.

    Names of columns, splits, classes and subjects that look alike are one (see ``canonical``). Ids
    of clips are one only where nobody could see a difference: case and width tell them apart.
    A clip whose file is missing is skipped as one that cannot be decoded, if ``on_error`` is skip.
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
        check_names(columns or {}, media_root)
        check_classes([str(name) for name in classes or ()])
        check_targets(targets, ranges or {})
        self.name = path.name.removesuffix(".csv")
        outermost = path if path.is_dir() else path.parents[1]
        self.media_root = Path(media_root or outermost).resolve()
        self.beside = Path(media_root).resolve() if media_root else self.path.parent
        self.columns = {ours: (columns or {}).get(ours, ours) for ours in COLUMNS}
        self.classes = [str(name) for name in classes] if classes else None
        self.multilabel = multilabel
        self.targets = targets
        self.ranges = ranges or {}
        self.on_error = on_error
        allowed = allow_two_labels_for_one_recording
        self.allowed_leaks = ["two_labels_for_one_recording"] if allowed else []

    def read(self) -> Contents:
        """Read the CSV and check every row of it; one error names all mistakes."""
        mistakes, labels = Mistakes(self.path), self.label_reader()
        columns = {ours: theirs for ours, theirs in self.columns.items() if ours != "label"}
        columns |= labels.columns
        needed = [ours for ours in (*REQUIRED, *labels.columns) if ours in columns]
        recordings = {}
        for line, row in read_rows(self.path, columns, needed, mistakes):
            label = labels.read(line, row, mistakes)
            recordings[line] = self.recording(line, row, label, mistakes)
        clips = labels.tidy(recordings, mistakes)
        self.check_files(clips, mistakes)
        lines = {id(clip): line for clip, line in zip(clips, recordings, strict=True)}
        names: list[str] = []
        with mistakes.of_clips(lines):
            check_split_names(clips)
        with mistakes.of_clips(lines):
            clips, names = labels.name(clips)
        mistakes.refuse()
        return Contents(clips, names, labels.kind)

    def label_reader(self) -> LabelReader:
        """Return what reads the labels of this table."""
        numbers = find_numbers(self.path, self.columns, self.targets, self.ranges)
        return numbers or ClassLabels(self.columns["label"], self.classes, self.multilabel)

    def check_files(self, recordings: list[Recording], mistakes: Mistakes) -> None:
        """Refuse files that are missing, or say which clips will be skipped for that."""
        told, clips = told_missing(self.path, recordings)
        if clips and (self.on_error == "raise" or clips == len(recordings)):
            mistakes.add_missing(told, clips)
        elif clips:
            log.warning("%s Clips that are skipped for that: %d.", told, clips)

    def recording(
        self, line: int, row: Mapping[str, str], label: Label, mistakes: Mistakes
    ) -> Recording:
        """Return the recording of one row, without what is wrong there."""
        for ours in REQUIRED:
            if ours in row and not canonical(row[ours]):
                mistakes.add_line(line, f"has an empty {self.columns[ours]}")
        media: dict[str, Path | None] = {}
        for medium in MEDIA:
            if name := row.get(medium, ""):
                media[medium] = None
                with mistakes.of_line(line):
                    media[medium] = find(name, self.beside, self.media_root)
        if not media:
            mistakes.add_line(
                line, "names neither a video_path nor an image_path and an audio_path"
            )
        video, image, audio = map(media.get, MEDIA)
        if "video_path" in media:
            image = audio = None
        box = None
        with mistakes.of_line(line):
            box = read_box([row.get(side, "") for side in BOX])
        clip_id, subject, split, session = (
            row.get(ours, "") for ours in ("clip_id", "subject", "split", "session")
        )
        split = canonical(split) if canonical(split) in SPLITS else split
        return Recording(
            clip_id,
            label.names,
            subject,
            split,
            video,
            image,
            audio,
            box,
            session=session,
            numbers=label.numbers,
        )


def check_split_names(recordings: Sequence[Recording]) -> None:
    """Refuse a column of splits with other names, or with names for some clips only."""
    other = Counter(clip.split for clip in recordings if clip.split not in SPLITS)
    if set(other) - {""} or 0 < other[""] < len(recordings):
        names = join_items([f"{name or 'none'} ({count} clips)" for name, count in other.items()])
        raise WrongClips(
            f"The splits must be {', '.join(SPLITS)}, got {names}: correct the column, or leave it "
            "out and choose data.splits={train: 0.7, val: 0.1, test: 0.2} in training.",
            [clip for clip in recordings if clip.split not in SPLITS],
        )


def read_box(sides: list[str]) -> Box | None:
    """Return the box that a row gives, None where its columns are empty."""
    with suppress(ValueError):
        box = Box(*map(float, sides)) if any(sides) else None
        if box is None or (box.left < box.right and box.top < box.bottom):
            return box
    raise WrongLine(
        f"has the box {', '.join(sides)}",
        "give left, top, right and bottom in pixels, or leave all four empty",
    )
