"""Recordings of which nothing is known: those that a network is to answer for."""

import glob
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from avfusion.corpora.recording import Contents, Recording

PICTURES = {".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
SOUNDS = {".aac", ".aif", ".aiff", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".wav", ".wma"}
VIDEOS = {".avi", ".flv", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"}


@dataclass
class Unlabelled:
    """Recordings as a corpus of their own, all in the split to test on, without labels."""

    recordings: Sequence[Recording]
    class_names: Sequence[str]
    multilabel: bool = False
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
        return Contents(list(self.recordings), list(self.class_names), [], self.multilabel)


def find_recordings(given: str) -> list[Recording]:
    """Return the recordings that a person means.

    A video, a picture or a sound; ``picture + sound`` (or ``folder of frames + sound``); a folder,
    searched to its depths, where a picture or a folder of frames belongs to the sound of the same
    name; a pattern such as ``clips/*.mp4``; or a ``.txt`` with one of these in each line.
    """
    found = sorted(collect(given, Path()), key=lambda recording: str(recording.sources[0]))
    if not found:
        raise FileNotFoundError(f"No recording in {given}: give a video, or a picture + a sound.")
    return numbered(found)


def collect(given: str, beside: Path) -> list[Recording]:
    """Return the recordings of one entry; paths are relative to a folder."""
    path = beside / given
    if path.is_dir():
        return paired(path)
    if path.is_file():
        if path.suffix.lower() != ".txt":
            return [single(path)]
        return [found for entry in entries(path) for found in collect(entry, path.parent)]
    if "+" in given:
        return [joined(*(beside / part.strip() for part in given.split("+", 1)))]
    matches = sorted(glob.glob(str(path), recursive=True))
    if not matches:
        raise FileNotFoundError(f"No recording at {path}: give a file, a folder or a pattern.")
    return [single(Path(match)) for match in matches if Path(match).is_file()]


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
    image, audio = (other, one) if one.suffix.lower() in SOUNDS else (one, other)
    return Recording(str(audio), "", "", "test", image=image, audio=audio)


def single(path: Path) -> Recording:
    """Return the recording of one file; what is neither picture nor sound is a video."""
    suffix = path.suffix.lower()
    kind = "image" if suffix in PICTURES else "audio" if suffix in SOUNDS else "video"
    return Recording(str(path), "", "", "test", **{kind: path})  # type: ignore[arg-type]


def paired(folder: Path) -> list[Recording]:
    """Return the recordings of a folder, pictures and sounds of the same name together."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    videos = [path for path in files if path.suffix.lower() in VIDEOS]
    sounds = {p.with_suffix(""): p for p in files if p.suffix.lower() in SOUNDS}
    pictures = {p.with_suffix(""): p for p in files if p.suffix.lower() in PICTURES}
    paired = {*sounds.values(), *pictures.values()}
    doubles = [p for p in files if p.suffix.lower() in SOUNDS | PICTURES and p not in paired]
    frames = {name for name in sounds if name.is_dir()}
    recordings = [single(path) for path in videos]
    recordings += [joined(name, sounds.pop(name)) for name in frames]
    recordings += [joined(pictures.pop(n), sounds.pop(n)) for n in sounds.keys() & pictures.keys()]
    loose = [path for path in (*pictures.values(), *doubles) if path.parent not in frames]
    return recordings + [single(path) for path in (*loose, *sounds.values())]


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
