"""Unlabeled recordings: files, folders and patterns that a trained network predicts."""

import glob
import logging
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from avfusion.corpora.media import detect_kind, is_companion
from avfusion.corpora.recording import Contents, Recording
from avfusion.corpora.spelling import escape_surrogates
from avfusion.files import write_csv
from avfusion.messages import join_items, pluralize

log = logging.getLogger(__name__)

LeftOut = dict[Path, str]  # reason by file
NO_FILE = "no file, or a link to none"


@dataclass
class UnlabeledRecordings:
    """A corpus of recordings without labels, all of them in the test split.

    ``output_names`` and ``labels`` are those of the network that predicts them.
    """

    recordings: Sequence[Recording]
    output_names: Sequence[str]
    labels: str = "single_label"
    name: str = "recordings"
    on_error: str = "skip"
    allowed_leaks: Collection[str] = (
        "same_sound_in_two_splits",
        "same_picture_in_two_splits",
        "same_take_in_two_splits",
        "two_labels_for_one_recording",
        "untrained_classes",
    )

    def read(self) -> Contents:
        """Hand over the recordings; there is nothing to check."""
        return Contents(list(self.recordings), list(self.output_names), self.labels)


def find_recordings(given: str, folder: Path | None = None) -> list[Recording]:
    """Find the recordings that a command line names.

    Hidden files and other companions are ignored; what else is no recording is logged.

    Args:
        given: a video, a picture or a sound; ``picture + sound`` (or ``folder of frames + sound``);
            a folder, searched to its depths, where a picture or a folder of frames belongs to the
            sound of the same name; a pattern such as ``clips/*.mp4``; or a ``.txt`` with one of
            these in each line.
        folder: gets a ``left_out.csv``, which lists what is no recording.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if a ``.txt`` is no such list.
    """
    left_out: LeftOut = {}
    found = _find_entry(given, Path(), left_out)
    if not found:
        beside = f" ({_describe_left_out(left_out)})" if left_out else ""
        raise FileNotFoundError(
            f"No recording in {given}{beside}: give a video, or a picture + a sound."
        )

    if left_out:
        where = f", listed in {_write_left_out(folder, left_out)}" if folder is not None else ""
        count = pluralize(len(found), "recording")
        log.warning("%s, beside %s%s.", _describe_left_out(left_out), count, where)
    return _make_ids_unique(sorted(found, key=lambda recording: str(recording.sources[0])))


def _describe_left_out(left_out: LeftOut) -> str:
    named = [f"{escape_surrogates(path.name)} ({why})" for path, why in sorted(left_out.items())]
    count = "1 file is" if len(left_out) == 1 else f"{len(left_out)} files are"
    return f"{count} left out: {join_items(named)}"


def _write_left_out(folder: Path, left_out: LeftOut) -> Path:
    rows = ((escape_surrogates(path), reason) for path, reason in sorted(left_out.items()))
    return write_csv(folder / "left_out.csv", ["source", "reason"], rows)


def _find_entry(given: str, relative_to: Path, left_out: LeftOut) -> list[Recording]:
    """Find the recordings of one argument, or of one line of a list."""
    path = relative_to / given
    if path.is_dir():
        return _search_folder(path, left_out)
    if path.is_file():
        if path.suffix.lower() != ".txt":
            return [_make_single(path)]
        return [
            found
            for entry in _read_list(path)
            for found in _find_entry(entry, path.parent, left_out)
        ]
    if "+" in given:
        return [_make_pair(*(relative_to / part.strip() for part in given.split("+", 1)))]
    return _find_matches(path, left_out)


def _find_matches(pattern: Path, left_out: LeftOut) -> list[Recording]:
    """Find the recordings that a pattern names, none of them twice."""
    matches = _expand_pattern(pattern)
    if not matches:
        raise FileNotFoundError(f"No recording at {pattern}: give a file, a folder or a pattern.")

    files = [match for match in matches if match.is_file()]
    folders = [match for match in matches if match.is_dir()]
    left_out.update({match: NO_FILE for match in matches if match not in {*files, *folders}})

    within = [clip for folder in folders for clip in _search_folder(folder, left_out)]
    twice = {source for clip in within for source in clip.sources}.intersection(files)
    return [_make_single(path) for path in files] + [
        clip for clip in within if not twice.intersection(clip.sources)
    ]


def _expand_pattern(pattern: Path) -> list[Path]:
    """Expand a pattern to paths, companions only where it spells them out."""
    spelled = {part for part in pattern.parts if not glob.has_magic(part)}
    return [
        Path(match)
        for match in sorted(glob.glob(str(pattern), recursive=True))
        if not any(is_companion(part) for part in {*Path(match).parts} - spelled)
    ]


def _read_list(path: Path) -> list[str]:
    """Read the lines of a list; none may be a list itself."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no list in UTF-8 ({error}): save it so.") from error

    entries = [line.strip() for line in lines if line.strip()]
    if lists := [entry for entry in entries if entry.lower().endswith(".txt")]:
        raise ValueError(f"{path} names the list {lists[0]}: put its lines here instead.")
    return entries


def _make_pair(one: Path, other: Path) -> Recording:
    """Make the recording of a picture (or folder of frames) and a sound, in either order."""
    for path in (one, other):
        if not path.exists():
            raise FileNotFoundError(f"There is no {path}: give a picture + a sound that exist.")

    first_is_sound = one.is_file() and detect_kind(one) == "audio"
    image, audio = (other, one) if first_is_sound else (one, other)
    return Recording(escape_surrogates(audio), "", "", "test", image=image, audio=audio)


def _make_single(path: Path, kind: str | None = None) -> Recording:
    """Make the recording of one file; what is neither picture nor sound is a video."""
    source = {kind or detect_kind(path) or "video": path}
    return Recording(escape_surrogates(path), "", "", "test", **source)  # type: ignore[arg-type]


def _search_folder(folder: Path, left_out: LeftOut) -> list[Recording]:
    """Find the recordings of a folder, pictures and sounds of the same name together."""
    kinds = {
        path: kind
        for path in sorted(_walk_files(folder, left_out))
        if (kind := _detect_or_leave_out(path, left_out)) is not None
    }
    videos, audios, images = (
        [path for path, kind in kinds.items() if kind == wanted]
        for wanted in ("video", "audio", "image")
    )
    sounds = {path.with_suffix(""): path for path in audios}
    pictures = {path.with_suffix(""): path for path in images}
    named = {*sounds.values(), *pictures.values()}
    same_name = [path for path in (*audios, *images) if path not in named]  # another suffix

    frames = {name for name in sounds if name.is_dir()}
    recordings = [_make_pair(name, sounds.pop(name)) for name in sorted(frames)]

    both = sorted(sounds.keys() & pictures.keys())
    recordings += [_make_pair(pictures.pop(name), sounds.pop(name)) for name in both]

    images = [path for path in (*pictures.values(), *same_name) if path.parent not in frames]
    alone = (*videos, *images, *sounds.values())
    return recordings + [_make_single(path, kinds[path]) for path in alone]


def _detect_or_leave_out(path: Path, left_out: LeftOut) -> str | None:
    """Detect the kind of a file; one that seems no recording is left out."""
    if not path.is_file():
        left_out[path] = NO_FILE
        return None

    try:
        kind = detect_kind(path)
    except OSError as error:
        left_out[path] = f"cannot be read: {error.strerror}"
        return None
    if kind is None:
        left_out[path] = "no recording, by its suffix and its first bytes"
    return kind


def _walk_files(folder: Path, left_out: LeftOut) -> Iterator[Path]:
    """Yield the files of a folder to its depths, also behind links, without companions."""

    def leave_out(error: OSError) -> None:
        left_out[Path(error.filename)] = f"cannot be read: {error.strerror}"

    visited = {folder.resolve()}
    for root, folders, files in os.walk(folder, onerror=leave_out, followlinks=True):
        kept = []
        for name in sorted(folders):
            target = Path(root, name).resolve()
            if not is_companion(name) and target not in visited:
                visited.add(target)
                kept.append(name)
        folders[:] = kept

        yield from (Path(root, name) for name in files if not is_companion(name))


def _make_ids_unique(recordings: list[Recording]) -> list[Recording]:
    """Number the ids of recordings that were named more than once."""
    counts: Counter[str] = Counter()
    unique = []
    for recording in recordings:
        counts[recording.clip_id] += 1
        count = counts[recording.clip_id]
        name = recording.clip_id if count == 1 else f"{recording.clip_id} ({count})"
        unique.append(replace(recording, clip_id=name))

    return unique
