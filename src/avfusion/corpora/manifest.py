"""Any recordings, described by a CSV."""

import csv
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from avfusion.corpora.columns import BOX, COLUMNS, MEDIA, REQUIRED, check_names
from avfusion.corpora.labels import BETWEEN, class_names, tidied
from avfusion.corpora.paths import check_files, find
from avfusion.corpora.recording import ON_ERROR, Box, Contents, Recording
from avfusion.corpora.splits import Plan, assign, check_plan, check_split_names, check_subjects
from avfusion.corpora.table import read_rows


class Manifest:
    """A folder with a ``manifest.csv``, or the path of a CSV; its paths are relative to it.

    No path may lead out of ``media_root``: by default that folder, or for a CSV, which may lie in a
    folder of lists, the folder that holds its own.
    Columns: clip_id, video_path or image_path and audio_path, label, subject, split; box_left,
    box_top, box_right, box_bottom (the speaker's face, in pixels) where known. ``columns`` gives
    other names for them. A folder of frames counts as an image_path. ``splits`` replaces the
    column by fractions (subjects stay together) or by ranges of rows. ``multilabel`` says whether
    a label may name several classes, with ``|`` between them; None: whether any label does.
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
        self.name = path.name.removesuffix(".csv")
        outermost = path if path.is_dir() else path.parents[1]
        self.media_root = Path(media_root or outermost).resolve()
        self.beside = Path(media_root).resolve() if media_root else self.path.parent
        self.columns = {ours: (columns or {}).get(ours, ours) for ours in COLUMNS}
        self.classes = [str(name) for name in classes] if classes else None
        self.splits = splits
        self.split_seed = split_seed
        self.multilabel = multilabel
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
        """Read the CSV and check every row of it."""
        try:
            needed = REQUIRED if self.splits else (*REQUIRED, "split")
            rows = read_rows(self.path, self.columns, needed)
            recordings, multilabel = self.labelled(
                {line: self.recording(line, row) for line, row in rows}
            )
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{self.path} is no CSV in UTF-8 ({error}): save it so.") from error
        check_files(self.path, recordings)
        if self.splits is not None:
            by_subject = not self.allow_subject_overlap
            recordings = assign(recordings, self.splits, self.split_seed, by_subject)
        check_split_names(recordings)
        shared = check_subjects(recordings, self.allow_subject_overlap)
        names = class_names(recordings, self.classes, multilabel)
        return Contents(recordings, names, shared, multilabel)

    def labelled(self, recordings: Mapping[int, Recording]) -> tuple[list[Recording], bool]:
        """Return recordings, by their lines, and whether their labels name several classes."""
        if self.multilabel is not None:
            multilabel = self.multilabel
        else:
            multilabel = any(BETWEEN in clip.label for clip in recordings.values())
        if not multilabel:
            return list(recordings.values()), False
        where = f"of {self.path}"
        return [
            replace(clip, label=tidied(clip.label, f"Line {line} {where}"))
            for line, clip in recordings.items()
        ], True

    def recording(self, line: int, row: Mapping[str, str]) -> Recording:
        """Return the recording of one row."""
        for ours in REQUIRED:
            if not row[ours]:
                raise ValueError(f"Line {line} of {self.path} has an empty {self.columns[ours]}.")
        where = f"Line {line} of {self.path}"
        video, image, audio = (
            find(row[medium], self.beside, self.media_root, where) if row[medium] else None
            for medium in MEDIA
        )
        if video is image is audio is None:
            raise ValueError(
                f"Line {line} of {self.path} names neither a video_path nor an image_path and an "
                "audio_path."
            )
        if video is not None:
            image = audio = None
        box = self.box(line, [row[side] for side in BOX])
        names = (row["clip_id"], row["label"], row["subject"], row["split"])
        return Recording(*names, video, image, audio, box)

    def box(self, line: int, sides: list[str]) -> Box | None:
        """Return the box of one row, None where its columns are empty."""
        with suppress(ValueError):
            box = Box(*map(float, sides)) if any(sides) else None
            if box is None or (box.left < box.right and box.top < box.bottom):
                return box
        raise ValueError(
            f"Line {line} of {self.path} has the box {', '.join(sides)}: give left, top, right and "
            "bottom in pixels, or leave all four empty."
        )
