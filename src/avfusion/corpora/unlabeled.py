"""Recordings of which nothing is known: those that a network is to answer for."""

import csv
import glob
import logging
import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from avfusion.corpora.media import is_companion, kind_of
from avfusion.corpora.recording import Contents, Recording
from avfusion.corpora.spelling import legible
from avfusion.messages import join_items

log = logging.getLogger(__name__)
Left = dict[Path, str]  # why files are left out
NO_FILE = "no file, or a link to none"


@dataclass
class Unlabelled:
    """Recordings as a corpus of their own, all in the split to test on, without labels."""

    recordings: Sequence[Recording]
    output_names: Sequence[str]
    labels: str = "single_label"  # in kind: those of the network that is to answer
    name: str = "recordings"
    on_error: str = "skip"
    allowed_leaks: Collection[str] = (
        "same_sound_in_two_splits",
        "same_picture_in_two_splits",
        "two_labels_for_one_recording",
        "untrained_classes",
    )

    def read(self) -> Contents:
        """Return the contents."""
        return Contents(list(self.recordings), list(self.output_names), self.labels)


def find_recordings(given: str, folder: Path | None = None) -> list[Recording]:
    """Return the recordings that a person means.

    A video, a picture or a sound; ``picture + sound`` (or ``folder of frames + sound``); a folder,
    searched to its depths, where a picture or a folder of frames belongs to the sound of the same
    name; a pattern such as ``clips/*.mp4``; or a ``.txt`` with one of these in each line. Hidden
    files and other companions are ignored; what else is no recording is logged and listed in the
    ``left_out.csv`` of a folder.
    """
    left: Left = {}
    found = sorted(collect(given, Path(), left), key=lambda recording: str(recording.sources[0]))
    if not found:
        beside = f" ({told_left(left)})" if left else ""
        raise FileNotFoundError(
            f"No recording in {given}{beside}: give a video, or a picture + a sound."
        )
    if left:
        where = ""
        if folder is not None:
            where = f", listed in {write_left(folder, left)}"
        log.warning("%s, beside %d recordings%s.", told_left(left), len(found), where)
    return numbered(found)


def told_left(left: Left) -> str:
    """Say how many files are left out, and name some with the reason."""
    named = join_items([f"{legible(path.name)} ({why})" for path, why in sorted(left.items())])
    return f"{len(left)} {'files are' if len(left) > 1 else 'file is'} left out: {named}"


def write_left(folder: Path, left: Left) -> Path:
    """Write which files are left out, and why, as a CSV in a folder."""
    path = folder / "left_out.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["source", "reason"])
        writer.writerows((legible(path), why) for path, why in sorted(left.items()))
    return path


def collect(given: str, beside: Path, left: Left) -> list[Recording]:
    """Return the recordings of one entry, whose paths are relative to a folder."""
    path = beside / given
    if path.is_dir():
        return paired(path, left)
    if path.is_file():
        if path.suffix.lower() != ".txt":
            return [single(path)]
        named = entries(path)
        return [found for entry in named for found in collect(entry, path.parent, left)]
    if "+" in given:
        return [joined(*(beside / part.strip() for part in given.split("+", 1)))]
    matches = matching(path)
    if not matches:
        raise FileNotFoundError(f"No recording at {path}: give a file, a folder or a pattern.")
    files = [match for match in matches if match.is_file()]
    within = [clip for match in matches if match.is_dir() for clip in paired(match, left)]
    twice = {source for clip in within for source in clip.sources}.intersection(files)
    for match in matches:
        if not (match.is_file() or match.is_dir()):
            left[match] = NO_FILE
    return [single(path) for path in files] + [
        clip for clip in within if not twice.intersection(clip.sources)
    ]


def matching(pattern: Path) -> list[Path]:
    """Return what a pattern names, companions only where it spells them out."""
    spelled = {part for part in pattern.parts if not glob.has_magic(part)}
    return [
        Path(match)
        for match in sorted(glob.glob(str(pattern), recursive=True))
        if not any(is_companion(part) for part in {*Path(match).parts} - spelled)
    ]


def entries(path: Path) -> list[str]:
    """Return the lines of a list; none may be a list itself."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no list in UTF-8 ({error}): save it so.") from error
    named = [line.strip() for line in lines if line.strip()]
    lists = [name for name in named if name.lower().endswith(".txt")]
    if lists:
        raise ValueError(f"{path} names the list {lists[0]}: put its lines here instead.")
    return named


def joined(one: Path, other: Path) -> Recording:
    """Return the recording of a picture (or folder of frames) and a sound, in either order."""
    for path in (one, other):
        if not path.exists():
            raise FileNotFoundError(f"There is no {path}: give a picture + a sound that exist.")
    first_is_sound = one.is_file() and kind_of(one) == "audio"
    image, audio = (other, one) if first_is_sound else (one, other)
    return Recording(legible(audio), "", "", "test", image=image, audio=audio)


def single(path: Path, kind: str | None = None) -> Recording:
    """Return the recording of one file; what is neither picture nor sound is a video."""
    source = {kind or kind_of(path) or "video": path}
    return Recording(legible(path), "", "", "test", **source)  # type: ignore[arg-type]


def paired(folder: Path, left: Left) -> list[Recording]:
    """Return the recordings of a folder, pictures and sounds of the same name together."""
    files = sorted(walked(folder, left))
    kinds = {path: kind for path in files if (kind := kind_or_left(path, left)) is not None}
    of_kind = {
        kind: [path for path, its in kinds.items() if its == kind]
        for kind in ("video", "audio", "image")
    }
    sounds = {path.with_suffix(""): path for path in of_kind["audio"]}
    pictures = {path.with_suffix(""): path for path in of_kind["image"]}
    paired = {*sounds.values(), *pictures.values()}
    doubles = [path for path in (*of_kind["audio"], *of_kind["image"]) if path not in paired]
    frames = {name for name in sounds if name.is_dir()}
    recordings = [joined(name, sounds.pop(name)) for name in sorted(frames)]
    both = sorted(sounds.keys() & pictures.keys())
    recordings += [joined(pictures.pop(name), sounds.pop(name)) for name in both]
    loose = [path for path in (*pictures.values(), *doubles) if path.parent not in frames]
    alone = (*of_kind["video"], *loose, *sounds.values())
    return recordings + [single(path, kinds[path]) for path in alone]


def kind_or_left(path: Path, left: Left) -> str | None:
    """Return the kind of a file; one that seems no recording is left out."""
    if not path.is_file():
        left[path] = NO_FILE
        return None
    try:
        kind = kind_of(path)
    except OSError as error:
        left[path] = f"cannot be read: {error.strerror}"
        return None
    if kind is None:
        left[path] = "no recording, by its suffix and its first bytes"
    return kind


def walked(folder: Path, left: Left) -> Iterator[Path]:
    """Yield the files of a folder to its depths, also behind links, without companions."""

    def refused(error: OSError) -> None:
        left[Path(error.filename)] = f"cannot be read: {error.strerror}"

    known = {folder.resolve()}
    for root, folders, files in os.walk(folder, onerror=refused, followlinks=True):
        kept = []
        for name in sorted(folders):
            real = Path(root, name).resolve()
            if not is_companion(name) and real not in known:
                known.add(real)
                kept.append(name)
        folders[:] = kept
        yield from (Path(root, name) for name in files if not is_companion(name))


def numbered(recordings: list[Recording]) -> list[Recording]:
    """Return recordings with ids of their own, where one was named twice."""
    seen: Counter[str] = Counter()
    unique = []
    for recording in recordings:
        seen[recording.clip_id] += 1
        again = seen[recording.clip_id]
        name = recording.clip_id if again == 1 else f"{recording.clip_id} ({again})"
        unique.append(replace(recording, clip_id=name))
    return unique
