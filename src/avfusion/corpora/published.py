"""Published corpora: data sets as their publishers ship them, identified by file names.

A corpus of this kind says how its files are named (``pattern``), and what a name says
(``describe``): one ``Take`` for each file. Files of one clip have the same ``clip_id``. Where its
folder lies within ``root``, or above it, does not matter, as long as names hold what is needed.
"""

import os
import random
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import median
from sys import intern
from typing import Any, NamedTuple

from avfusion.corpora.media import AUDIO_SUFFIXES, VIDEO_SUFFIXES, is_companion
from avfusion.corpora.recording import ON_ERROR, Box, Contents, LeftOut, Recording
from avfusion.messages import join_items, pluralize

MODALITIES = ("both", "audio", "face")
ARCHIVE_SUFFIXES = {".7z", ".bz2", ".gz", ".rar", ".tar", ".tgz", ".xz", ".zip"}
POINTER_START = b"version https://git-lfs.github.com/spec/"
POINTER_BYTES = 1024  # that a pointer has at most, by its specification
POINTER, EMPTY = "git-LFS pointer, not the file", "empty file"
MIN_SUBJECT_FRACTION = 0.5  # of the median number of clips of a subject: fewer are reported
NO_SOUND, NO_PICTURE, NO_FILE, NO_LABEL = "no sound", "no picture", "no file", "no label"
ADD_FOLDER = "add the folder that has it, as in corpus.root=[<one>,<other>]"
# What helps against reasons why clips are left out, other than that they are known to be bad.
CURES = {
    POINTER: "run git lfs pull in that folder",
    EMPTY: "download it anew",
    NO_SOUND: f"{ADD_FOLDER}, or set corpus.modalities=face",
    NO_PICTURE: f"{ADD_FOLDER}, or set corpus.modalities=audio",
    NO_FILE: ADD_FOLDER,
    NO_LABEL: ADD_FOLDER,
}


class NamedFile(NamedTuple):
    """A file whose path follows the naming rule: ``name`` has the groups of the pattern.

    ``text`` is the path from the folder above the root on, with slashes.
    """

    path: Path
    text: str
    name: re.Match[str]


class Take(NamedTuple):
    """Meaning of a file of a published corpus, according to its name.

    Attributes:
        clip_id: of the clip that the file belongs to.
        kind: ``video``, which has the sound, too; ``picture``: a video whose own sound is missing
            or not to be used; or ``sound``.
        split: what the publisher assigns the clip to, if anything.
        numbers: those that the label names, where it does not name a class.
        span: the seconds of a ``picture`` that belong to the clip, where it holds several.
        region: the part of a ``picture`` that shows the speaker, in fractions of its sides.
    """

    clip_id: str
    kind: str
    path: Path
    label: str
    subject: str
    session: str = ""
    split: str = ""
    attributes: Mapping[str, str] = {}
    numbers: tuple[float, ...] = ()
    span: tuple[float, float] | None = None
    region: Box | None = None


class KnownDefect(NamedTuple):
    """Reason why a clip cannot be used, and its source."""

    reason: str
    source: str


class Size(NamedTuple):
    """Number of clips of a corpus, and of subjects; or of clips in each of its splits."""

    clips: int = 0
    subjects: Sequence[str] = ()
    splits: Mapping[str, int] = {}


class PublishedCorpus:
    """A corpus in the folders of its publisher.

    Args:
        root: its folder, the one above, or several that hold parts of it.
        modalities: ``both``, or ``audio`` (voices) or ``face`` (pictures) alone.
        include_known_bad: offer clips that are known to be bad, too.
        on_error: ``skip`` or ``raise``, for a clip that cannot be decoded.

    Attributes:
        title: its name as people write it.
        layout: paths of a file or two, as they are published.
        pattern: what is searched for in the path of a file, which begins above the root.
        suffixes: of files that should follow the pattern.
        class_names: the classes in their order; without them, the labels that occur.
        known_bad: clips that are left out, by id.
    """

    name: str
    title: str
    layout: str
    pattern: re.Pattern[str]
    suffixes: Collection[str] = AUDIO_SUFFIXES | VIDEO_SUFFIXES
    class_names: Sequence[str] = ()
    known_bad: Mapping[str, KnownDefect] = {}
    labels = "single_label"
    allowed_leaks: Collection[str] = ()

    def __init__(
        self,
        root: str | Sequence[str],
        modalities: str = "both",
        include_known_bad: bool = False,
        on_error: str = "skip",
    ) -> None:
        check_choice("modalities", modalities, MODALITIES)
        check_choice("on_error", on_error, ON_ERROR)
        roots = [root] if isinstance(root, str) else root
        self.roots = [Path(one).resolve() for one in roots]
        self.modalities = modalities
        self.include_known_bad = include_known_bad
        self.on_error = on_error

    @property
    def size(self) -> Size | None:
        """The size of what is asked for, where that is known."""
        return None

    def describe(self, file: NamedFile) -> Take | LeftOut | None:
        """Describe a file as a clip; None where it is none of those that are asked for.

        Raises:
            ValueError: where its name breaks the rule, such as ``emotion 09``.
        """
        raise NotImplementedError

    def read_takes(self, files: Sequence[NamedFile], faults: "Faults") -> Iterator[Take | LeftOut]:
        """Describe all files, and list the clips that cannot be offered.

        Corpora with tables or long recordings override it.
        """
        for file in files:
            try:
                take = self.describe(file)
            except ValueError as error:
                faults.misnamed.append(f"{file.text} ({error})")
                continue
            if take is not None:
                yield take

    def read(self) -> Contents:
        """Read what the names of the files say.

        Raises:
            FileNotFoundError: where there is nothing to read, saying what there is instead.
        """
        faults = Faults(self)
        files = self._find_files(faults)
        described = [*self.read_takes(files, faults)]
        groups = self._group((one for one in described if isinstance(one, Take)), faults)
        # Each once, whichever of its files said so.
        unfit = {one.clip_id: one for one in reversed(described) if isinstance(one, LeftOut)}
        recordings, left_out = [], [*reversed(unfit.values())]
        if not described:
            raise FileNotFoundError(faults.describe_found_files())

        for takes in groups.values():
            clip = self._choose(takes)
            if isinstance(clip, Recording):
                recordings.append(clip)
            else:
                left_out.append(clip)
        if not recordings:
            raise FileNotFoundError(faults.describe_unusable(left_out, len(left_out)))
        broken = [clip for clip in left_out if clip.reason in (POINTER, EMPTY)]
        if broken and self.on_error == "raise":
            raise ValueError(faults.describe_unusable(broken, len(groups)))

        sentences = faults.describe(recordings, left_out)
        return Contents(
            recordings,
            self.list_outputs(recordings),
            self.labels,
            modalities=self.modalities,
            left_out=left_out,
            faults=sentences,
        )

    def list_outputs(self, recordings: Sequence[Recording]) -> list[str]:
        """List the classes that occur, in their order."""
        found = {clip.label for clip in recordings}
        if self.class_names:
            return [name for name in self.class_names if name in found]
        return sorted(found, key=natural_key)

    def _find_files(self, faults: "Faults") -> list[NamedFile]:
        named = []
        for root in self.roots:
            if not root.is_dir():
                raise FileNotFoundError(
                    f"corpus.root={root} is no folder: name the one that holds {self.title}, as in "
                    f"<root>/{self.layout}."
                )
            for folder, names in walk_folders(root):
                parent = folder.relative_to(root.parent).as_posix()
                for name in names:
                    suffix, text = os.path.splitext(name)[1].lower(), f"{parent}/{name}"
                    faults.suffixes[suffix] += 1
                    if suffix not in self.suffixes:
                        continue
                    if match := self.pattern.search(text):
                        named.append(NamedFile(folder / name, text, match))
                    else:
                        faults.misnamed.append(text)

        return named

    def find_problem(self, path: Path) -> str:
        """Find by its size why a file cannot be what its name says; empty if it may."""
        size = path.stat().st_size
        if size == 0:
            return EMPTY
        if size <= POINTER_BYTES:
            with path.open("rb") as file:
                if file.read(len(POINTER_START)) == POINTER_START:
                    return POINTER
        return ""

    def _group(self, takes: Iterable[Take], faults: "Faults") -> dict[str, dict[str, Take]]:
        """Takes by clip and kind, the first one where there are several, by subject."""
        groups: dict[str, dict[str, Take]] = defaultdict(dict)
        for take in takes:
            first = groups[take.clip_id].setdefault(take.kind, take)
            if first is not take and first.path.name == take.path.name:
                faults.repeated.append(f"{first.path} = {take.path}")

        def order(clip_id: str) -> list[Any]:  # so that every n-th clip is not of one subject
            subject = next(iter(groups[clip_id].values())).subject
            return [natural_key(subject), natural_key(clip_id)]

        return {clip_id: groups[clip_id] for clip_id in sorted(groups, key=order)}

    def _choose(self, takes: Mapping[str, Take]) -> Recording | LeftOut:
        """Choose the files of a clip by the modalities that are asked for."""
        video, picture, sound = (takes.get(kind) for kind in ("video", "picture", "sound"))
        media: dict[str, Take | None] = {"image": picture or video, "audio": sound or video}
        if self.modalities == "both" and video:
            media = {"video": video}
        elif self.modalities != "both":
            kept = {"audio": "audio", "face": "image"}[self.modalities]
            media = {kept: media[kept]}

        first = next(iter(takes.values()))
        for name, take in media.items():
            if take is None:
                reason = NO_PICTURE if name == "image" else NO_SOUND
                return LeftOut(first.clip_id, reason, source=first.path)
        chosen = {name: take for name, take in media.items() if take}
        for take in chosen.values():
            if problem := self.find_problem(take.path):
                return LeftOut(first.clip_id, problem, source=take.path)
        if first.clip_id in self.known_bad and not self.include_known_bad:
            bad = self.known_bad[first.clip_id]
            return LeftOut(first.clip_id, bad.reason, bad.source, first.path)

        shown = chosen.get("image")
        paths: dict[str, Any] = {name: take.path for name, take in chosen.items()}
        return Recording(
            first.clip_id,
            intern(first.label),
            intern(first.subject),
            first.split,
            **paths,
            session=first.session,
            numbers=first.numbers,
            attributes=tuple(sorted((k, intern(v)) for k, v in first.attributes.items() if v)),
            span=shown.span if shown else None,
            region=shown.region if shown else None,
        )


class Faults:
    """Faults of the files of a published corpus, counted, in sentences."""

    def __init__(self, corpus: PublishedCorpus) -> None:
        self.corpus = corpus
        self.suffixes: Counter[str] = Counter()  # of all files
        self.misnamed: list[str] = []
        self.repeated: list[str] = []
        self.sentences: list[str] = []  # of the corpus' own, such as about its tables

    @property
    def location(self) -> str:
        """The roots, as sentences name them."""
        return join_items([str(root) for root in self.corpus.roots])

    def describe_found_files(self) -> str:
        """Describe the files that were found where none is of the corpus."""
        corpus, files = self.corpus, self.suffixes.total()
        suffixes = sorted(self.suffixes.items(), key=lambda pair: (-pair[1], pair[0]))
        kinds = [f"{suffix or 'no suffix'} {n}" for suffix, n in suffixes]
        found = f"{pluralize(files, 'file')} ({join_items(kinds, 5)})" if files else "nothing"
        misnamed = f", such as {join_items(self.misnamed, 2)}" if self.misnamed else ""
        cure = "name the folder that holds it, or the one above"
        if ARCHIVE_SUFFIXES & set(self.suffixes) and not self.misnamed:
            cure = "unpack the archives"
        return (
            f"corpus.root={self.location} holds no file of {corpus.title}, found {found}"
            f"{misnamed}, expected {corpus.layout}: {cure}."
        )

    def describe_unusable(self, left_out: Sequence[LeftOut], whole: int) -> str:
        """Say why no clip, or none of some among the ``whole``, can be used."""
        corpus = self.corpus
        reason, count = Counter(clip.reason for clip in left_out).most_common(1)[0]
        first = next(clip for clip in left_out if clip.reason == reason)
        cure = CURES.get(reason, "set corpus.include_known_bad=true")
        if corpus.modalities != "both":
            cure = cure.partition(", or set corpus.modalities")[0]
        return (
            f"{count} of {pluralize(whole, 'clip')} of {corpus.title} in {self.location} cannot be "
            f"used ({reason}), such as {first.clip_id} ({first.source}): {cure}."
        )

    def describe(self, recordings: Sequence[Recording], left_out: Sequence[LeftOut]) -> list[str]:
        """Describe faults in sentences; none where all files are there and named by the rule."""
        corpus, sentences = self.corpus, list(self.sentences)
        if self.misnamed:
            verb = "does" if len(self.misnamed) == 1 else "do"
            sentences.append(
                f"{pluralize(len(self.misnamed), 'file')} in {self.location} {verb} not follow the "
                f"naming rule of {corpus.title} ({corpus.layout}) and count for nothing: "
                f"{join_items(self.misnamed, 3)}."
            )
        if self.repeated:
            verb = "lies" if len(self.repeated) == 1 else "lie"
            sentences.append(
                f"{pluralize(len(self.repeated), 'file')} of {corpus.title} {verb} in several "
                f"folders, and the first counts: {join_items(self.repeated, 2)}."
            )
        for reason in (POINTER, EMPTY):
            if some := [clip for clip in left_out if clip.reason == reason]:
                whole = len(recordings) + len(left_out)
                sentences.append(self.describe_unusable(some, whole))
        sentences += self._describe_size(recordings, left_out)
        return sentences

    def _describe_size(
        self, recordings: Sequence[Recording], left_out: Sequence[LeftOut]
    ) -> list[str]:
        """Say whether a part of the corpus is missing."""
        size, found = self.corpus.size, Counter(clip.subject for clip in recordings)
        if size is None:
            return []
        if size.splits:
            return self._describe_splits(size.splits, Counter(clip.split for clip in recordings))
        total = len(recordings) + len(left_out)
        missing = [name for name in size.subjects if name not in found]
        usual = median(found.values())
        few = [
            f"{name} ({n})" for name, n in sorted(found.items()) if n < MIN_SUBJECT_FRACTION * usual
        ]
        if total >= size.clips and not missing:
            return []

        parts = [f"nothing of {join_items(missing)}"] if missing else []
        if few:
            parts.append(f"few of {join_items(few)}, of others {usual:g}")
        return [
            f"{self.corpus.title} has {size.clips} clips of {len(size.subjects)} subjects, and "
            f"{self.location} {total} of {len(found)}{': ' if parts else ''}{'; '.join(parts)}. "
            "If that is not on purpose, download the rest."
        ]

    def _describe_splits(self, whole: Mapping[str, int], found: Mapping[str, int]) -> list[str]:
        """Say whether a part of a split is missing."""
        if all(found.get(split, 0) >= count for split, count in whole.items()):
            return []
        expected = [f"{count} clips of {split}" for split, count in whole.items()]
        there = [f"{found.get(split, 0)} of {split}" for split in whole]
        return [
            f"{self.corpus.title} has {join_items(expected)}, and {self.location} "
            f"{join_items(there)}. If that is not on purpose, download the rest."
        ]


def walk_folders(root: Path) -> Iterator[tuple[Path, list[str]]]:
    """Yield a folder and those below, also behind links, with the names of their files.

    Companions are left out.
    """
    seen: set[tuple[int, int]] = set()
    for folder, names, files in os.walk(root, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:  # a link to a folder above would never end
            names.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        names[:] = sorted(name for name in names if not is_companion(name))
        yield Path(folder), sorted(name for name in files if not is_companion(name))


def natural_key(text: str) -> list[tuple[bool, int, str]]:
    """Key by which ``s2`` comes before ``s10``."""
    parts = re.split(r"(\d+)", text)
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts]


def hold_out_validation(contents: Contents, title: str, fraction: float, seed: int) -> Contents:
    """Test on the official validation where no clip of the test is labeled.

    A fraction of the training clips then validates, so that the best epoch is not chosen on clips
    of the test: of each class some sessions, or some clips where no session is known.
    """
    if any(clip.split == "test" for clip in contents.recordings):
        return contents

    generator, drawn = random.Random(seed), set()
    sessions: dict[str, dict[str, None]] = defaultdict(dict)  # in their order, by class
    for clip in contents.recordings:
        if clip.split == "train":
            sessions[clip.label][clip.session or clip.clip_id] = None
    for names in sessions.values():
        count = min(max(1, round(fraction * len(names))), len(names) - 1)
        drawn |= {*generator.sample([*names], count)}

    recordings = []
    for clip in contents.recordings:
        held_out = clip.split == "train" and (clip.session or clip.clip_id) in drawn
        split = {"val": "test"}.get(clip.split, "val" if held_out else clip.split)
        recordings.append(replace(clip, split=split))
    sentence = (
        f"No clip of the test of {title} is labeled: the test is its official validation, and "
        f"{fraction:g} of its training clips, drawn by corpus.split_seed={seed}, validate."
    )
    return contents._replace(recordings=recordings, faults=[*contents.faults, sentence])


def check_fraction(fraction: float) -> None:
    """Refuse a fraction of the training clips that leaves none, or draws none."""
    if not 0 < fraction < 1:
        raise ValueError(f"corpus.validation must lie between 0 and 1, got {fraction}.")


def find_media_kind(path: Path) -> str:
    """Find the kind of a file by its suffix: ``video`` or ``sound``."""
    return "video" if path.suffix.lower() in VIDEO_SUFFIXES else "sound"


def check_choice(option: str, value: str, choices: Sequence[str]) -> None:
    """Refuse a value that an option of a corpus cannot have."""
    if value not in choices:
        raise ValueError(f"corpus.{option} must be one of {', '.join(choices)}, got {value!r}.")
