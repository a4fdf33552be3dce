"""Any recordings, described by a CSV."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from avfusion.corpora.columns import BOX, COLUMNS, MEDIA, REQUIRED, check_names
from avfusion.corpora.labels import ClassLabels, LabelReader, check_classes
from avfusion.corpora.mistakes import Mistakes, WrongLine
from avfusion.corpora.numbers import Ranges, Targets, check_targets, find_numbers
from avfusion.corpora.paths import find, told_missing
from avfusion.corpora.recording import ON_ERROR, SPLITS, Box, Contents, Recording
from avfusion.corpora.spelling import canonical
from avfusion.corpora.splits import Plan, assign, check_plan, check_split_names, check_subjects
from avfusion.corpora.table import read_rows

log = logging.getLogger(__name__)


class Manifest:
    """A folder with a ``manifest.csv``, or the path of a CSV; its paths are relative to it.

    No path may lead out of ``media_root``: by default that folder, or for a CSV, which may lie in a
    folder of lists, the folder that holds its own.
    Columns: clip_id, video_path or image_path and audio_path, label, subject, split; box_left,
    box_top, box_right, box_bottom (the speaker's face, in pixels) where known. ``columns`` gives
    other names for them. A folder of frames counts as an image_path. ``splits`` replaces the
    column by fractions (subjects stay together) or by ranges of rows. ``multilabel`` says whether
    a label may name several classes, with ``|`` between them; None: whether any label does.
    ``targets`` names numbers in the columns ``target.<name>``, or maps names to columns; the labels
    of clips are then these numbers. None: all such columns, where there is no column of labels.
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
        splits: Plan | None = None,
        split_seed: int = 0,
        multilabel: bool | None = None,
        targets: Targets | None = None,
        ranges: Ranges | None = None,
        allow_subject_overlap: bool = False,
        allow_same_sound_in_two_splits: bool = False,
        allow_same_picture_in_two_splits: bool = False,
        allow_two_labels_for_one_recording: bool = False,
        allow_untrained_classes: bool = False,
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
        if splits is not None:
            check_plan(splits)
        check_names(columns or {}, media_root)
        check_classes([str(name) for name in classes or ()])
        check_targets(targets, ranges or {})
        self.name = path.name.removesuffix(".csv")
        outermost = path if path.is_dir() else path.parents[1]
        self.media_root = Path(media_root or outermost).resolve()
        self.beside = Path(media_root).resolve() if media_root else self.path.parent
        self.columns = {ours: (columns or {}).get(ours, ours) for ours in COLUMNS}
        self.classes = [str(name) for name in classes] if classes else None
        self.splits = splits
        self.split_seed = split_seed
        self.multilabel = multilabel
        self.targets = targets
        self.ranges = ranges or {}
        self.allow_subject_overlap = allow_subject_overlap
        self.on_error = on_error
        self.allowed_leaks = [
            name
            for name, allowed in {
                "same_sound_in_two_splits": allow_same_sound_in_two_splits,
                # Who wants the same people in two splits may show the same photograph of them.
                "same_picture_in_two_splits": allow_same_picture_in_two_splits
                or allow_subject_overlap,
                "two_labels_for_one_recording": allow_two_labels_for_one_recording,
                "untrained_classes": allow_untrained_classes,
            }.items()
            if allowed
        ]

    def read(self) -> Contents:
        """Read the CSV and check every row of it; one error names all mistakes."""
        mistakes, labels = Mistakes(self.path), self.label_reader()
        columns = {ours: theirs for ours, theirs in self.columns.items() if ours != "label"}
        columns |= labels.columns
        if self.splits is not None:  # they replace the column
            columns = {ours: theirs for ours, theirs in columns.items() if ours != "split"}
        needed = [ours for ours in (*REQUIRED, *labels.columns, "split") if ours in columns]
        recordings, has_splits = {}, False
        for line, row in read_rows(self.path, columns, needed, mistakes):
            label = labels.read(line, row, mistakes)
            recordings[line] = self.recording(line, row, label, mistakes)
            has_splits = "split" in row
        clips = labels.tidy(recordings, mistakes)
        self.check_files(clips, mistakes)
        lines = {id(clip): line for clip, line in zip(clips, recordings, strict=True)}
        shared: list[str] = []
        names: list[str] = []
        if has_splits:
            with mistakes.of_clips(lines):
                check_split_names(clips)
        elif self.splits is not None and not mistakes:
            with mistakes.of_clips(lines):
                by_subject = not self.allow_subject_overlap
                named = {clip.clip_id: line for clip, line in zip(clips, recordings, strict=True)}
                clips = assign(clips, self.splits, self.split_seed, by_subject)
                lines = {id(clip): named[clip.clip_id] for clip in clips}
        with mistakes.of_clips(lines):
            people = [clip for clip in clips if clip.subject and clip.split in SPLITS]
            shared = check_subjects(people, self.allow_subject_overlap)
        with mistakes.of_clips(lines):
            clips, names = labels.name(clips)
        mistakes.refuse()
        return Contents(clips, names, shared, labels.kind)

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
        self, line: int, row: Mapping[str, str], label: str, mistakes: Mistakes
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
        clip_id, subject, split = (row.get(ours, "") for ours in ("clip_id", "subject", "split"))
        split = canonical(split) if canonical(split) in SPLITS else split
        return Recording(clip_id, label, subject, split, video, image, audio, box)


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
