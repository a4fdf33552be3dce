"""Published protocols: named split plans, each a file of ``conf/data/protocol``.

``data.protocol=<name>`` takes one in place of ``data.splits``. A protocol has a ``name``, a
``source`` where it is published and, where it puts subjects of the test into training, a ``leak``:
a sentence that is warned of and that stands beside every result. ``published`` are figures of the
literature to stand beside, each a sentence that says whether it chose its epoch on the test, where
that is known. ``make_plan`` makes its plan for one fold.

Subjects are compared however they are spelled, and numbers as numbers: 01 is 1.
"""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import pyarrow.compute as pc
from jaxtyping import Int64

from avfusion.corpora.recording import SPLITS
from avfusion.corpora.spelling import normalize_name
from avfusion.data.index import Codes
from avfusion.data.splits import (
    LEFT_OUT,
    TEST,
    TRAIN,
    Column,
    FoldPlan,
    Numbers,
    Plan,
    deal_groups,
    group_clips,
    leave_one_out,
    merge_spellings,
)
from avfusion.data.store import Store
from avfusion.files import hash_file
from avfusion.messages import join_items, pluralize

Fold = int | str | None


@runtime_checkable
class SplitProtocol(Protocol):
    """The contract of a protocol; see the docstring of this module."""

    name: str
    source: str
    leak: str

    def make_plan(self, fold: Fold, seed: int) -> Plan:
        """Make the plan of one fold, or of the only splits that there are."""
        ...


@dataclass(frozen=True)
class SubjectFolds:
    """Folds of listed subjects; those of one subject each have its name.

    A store that lacks subjects is refused, unless ``allow_missing``; each result then says which.
    """

    name: str
    source: str
    folds: Sequence[Sequence[int | str]]
    leak: str = ""
    allow_missing: bool = False
    published: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_listed_once(self.name, self.folds)

    def make_plan(self, fold: Fold, seed: int) -> Plan:
        """Plan of the fold to test on."""
        return ProtocolFolds(self, require_fold(self.name, fold, len(self.folds)), seed)

    def deal(self, store: Store, seed: int) -> Codes:
        """Fold of each clip by its subject."""
        numbers = number_subjects(self, self.folds, store)
        single = all(len(fold) == 1 for fold in self.folds)
        names = [str(fold[0]) if single else str(n) for n, fold in enumerate(self.folds)]
        return Codes(numbers, names)

    def describe_missing(self, store: Store) -> str:
        """Sentence about the listed subjects that a store lacks."""
        return describe_missing_subjects(self.name, self.folds, store)

    def record(self) -> dict[str, Any]:
        """The lists."""
        return {"folds": [list(fold) for fold in self.folds]}


@dataclass(frozen=True)
class GroupFolds:
    """Folds by subject, by session, of single clips, or of ranges of each subject's clips.

    ``folds`` is their number; None: one for each subject, or each session, of which there must be
    ``expected``, where that is given. A range follows the order of names (``by: range``), so that
    each fold has a part of every subject's clips: for tasks that know subjects again.
    """

    name: str
    source: str
    by: str = "subject"
    folds: int | None = None
    expected: int | None = None
    leak: str = ""
    published: Sequence[str] = ()

    def __post_init__(self) -> None:
        numbered = self.folds is not None
        fits = {"subject": True, "session": not numbered, "clip": numbered, "range": numbered}
        if not fits.get(self.by):
            raise ValueError(
                f"data.protocol={self.name} cannot make {self.folds} folds by {self.by}: folds are "
                "of subjects, one of each session (folds=null), or a number of clips or of ranges."
            )
        if self.folds is not None and self.folds < 3:
            raise ValueError(
                f"data.protocol.folds={self.folds} are too few to train, to validate and to test: "
                "set at least 3."
            )

    def make_plan(self, fold: Fold, seed: int) -> Plan:
        """Plan of the fold to test on."""
        return ProtocolFolds(self, require_fold(self.name, fold, self.folds or self.expected), seed)

    def deal(self, store: Store, seed: int) -> Codes:
        """Deal groups out to folds, or each to its own."""
        if self.folds is not None:
            names = [str(number) for number in range(self.folds)]
            if self.by == "range":
                return Codes(number_ranges(store, self.folds), names)
            groups = group_clips(store, by_subject=self.by == "subject")
            shares, every = dict.fromkeys(names, 1 / self.folds), np.ones(len(store), bool)
            plan = ProtocolFolds(self, None, seed)
            return Codes(deal_groups(groups, every, shares, seed, plan, store), names)

        folds = leave_one_out(store, self.by)
        if self.expected not in (None, len(folds.names)):
            raise ValueError(
                f"data.protocol={self.name} is of {self.expected} {self.by}s, and {store.address} "
                f"has {len(folds.names)} ({join_items(folds.names)}): prepare the whole corpus, or "
                "set data.protocol.expected=null."
            )
        return folds

    def describe_missing(self, store: Store) -> str:
        """Nothing is listed that could be missing."""
        return ""

    def record(self) -> dict[str, Any]:
        """Number of folds, and of what."""
        return {"by": self.by, "folds": self.folds}


@dataclass(frozen=True)
class SubjectSplits:
    """Listed subjects to train, to validate and to test on."""

    name: str
    source: str
    train: Sequence[int | str]
    val: Sequence[int | str]
    test: Sequence[int | str]
    leak: str = ""
    allow_missing: bool = False
    published: Sequence[str] = ()

    def __post_init__(self) -> None:
        check_listed_once(self.name, self._lists)

    @property
    def _lists(self) -> list[Sequence[int | str]]:
        return [self.train, self.val, self.test]  # in the order of SPLITS

    def make_plan(self, fold: Fold, seed: int) -> Plan:
        """Plan of the lists."""
        refuse_fold(self.name, fold)
        return ProtocolSplits(self, seed)

    def assign(self, store: Store, seed: int) -> Numbers:
        """Split of each clip by its subject."""
        return number_subjects(self, self._lists, store).astype(np.int8)

    def describe_missing(self, store: Store) -> str:
        """Sentence about the listed subjects that a store lacks."""
        return describe_missing_subjects(self.name, self._lists, store)

    def record(self) -> dict[str, Any]:
        """The lists."""
        return dict(zip(SPLITS, map(list, self._lists), strict=True))


@dataclass(frozen=True)
class OfficialSplits:
    """The column that the corpus itself has."""

    name: str
    source: str
    leak: str = ""
    published: Sequence[str] = ()

    def make_plan(self, fold: Fold, seed: int) -> Plan:
        """Plan of the column."""
        refuse_fold(self.name, fold)
        return ProtocolSplits(self, seed)

    def assign(self, store: Store, seed: int) -> Numbers:
        """Read the column."""
        return Column().assign(store)

    def describe_missing(self, store: Store) -> str:
        """Nothing is listed that could be missing."""
        return ""

    def record(self) -> dict[str, Any]:
        """The corpus says the rest."""
        return {}


@dataclass(frozen=True)
class PublishedLists:
    """Clips to train and to test on, in files of a folder into which the user copied them.

    A row of a CSV without header begins with the name of a clip, an object of a JSONL file has it
    under the key ``wav``, as the name of a file. ``val`` is the part of the training clips to
    validate on, drawn by ``data.split_seed``. Clips that the store lacks are refused, unless
    ``allow_missing``; clips that the lists lack always are.
    """

    name: str
    source: str
    lists: str
    train: str
    test: str
    leak: str
    val: float = 0.1
    allow_missing: bool = False
    published: Sequence[str] = ()

    def __post_init__(self) -> None:
        for path in self._paths:
            if not path.is_file():
                raise FileNotFoundError(
                    f"There is no {path}: data.protocol={self.name} reads the published lists "
                    f"({self.source}); copy {self.train} and {self.test} to a folder, and give "
                    "data.protocol.lists=<that folder>."
                )

    @property
    def _paths(self) -> list[Path]:
        return [Path(self.lists) / name for name in (self.train, self.test)]

    def make_plan(self, fold: Fold, seed: int) -> Plan:
        """Plan of the lists."""
        refuse_fold(self.name, fold)
        return ProtocolSplits(self, seed)

    def assign(self, store: Store, seed: int) -> Numbers:
        """Split of each clip by its name; a part of the training clips is to validate on."""
        names, listed = self._name_clips(store), self._read()
        if unlisted := [name for name in names if name not in listed]:
            raise ValueError(
                f"{store.address} has {pluralize(len(unlisted), 'clip')} that the lists of "
                f"data.protocol={self.name} lack ({join_items(unlisted)}): give the store of that "
                "corpus, or the whole lists."
            )
        missing = self.describe_missing(store)
        if missing and not self.allow_missing:
            raise ValueError(f"{missing} {MISSING_CURE}")

        numbers = np.array([listed[name] for name in names], np.int8)
        rest, shares = numbers == TRAIN, {"train": 1 - self.val, "val": self.val}
        groups = group_clips(store, by_subject=False)
        dealt = deal_groups(groups, rest, shares, seed, ProtocolSplits(self, seed), store)
        numbers[rest] = dealt[rest]  # TRAIN or VAL
        return numbers

    def describe_missing(self, store: Store) -> str:
        """Sentence about the listed clips that a store lacks, beside those that it skipped."""
        skipped = {_name_of_file(name) for name in store.skipped()}
        missing = sorted(self._read().keys() - {*self._name_clips(store)} - skipped)
        return _describe_missing(self.name, "clip", missing, store)

    def record(self) -> dict[str, Any]:
        """The SHA-256 of the lists."""
        return {"lists": [hash_file(path) for path in self._paths], "val": self.val}

    def _name_clips(self, store: Store) -> list[str]:
        return [_name_of_file(str(name)) for name in store.texts("clip_id")]

    def _read(self) -> dict[str, int]:
        """Read the number of the split of each listed clip."""
        listed: dict[str, int] = {}
        for path, split in zip(self._paths, (TRAIN, TEST), strict=True):
            for name in read_clip_names(path):
                if name in listed:
                    raise ValueError(f"{path} names {name} again: once is enough, in both lists.")
                listed[name] = split
        return listed


MISSING_CURE = (
    "Prepare the whole corpus, or set data.protocol.allow_missing=true, which every result then "
    "records."
)


class ProtocolPlan(Plan):
    """A plan of a protocol, which it is ``of``."""

    of: Any

    @property
    def protocol(self) -> str:  # type: ignore[override]
        """The name of the protocol."""
        return str(self.of.name)

    @property
    def leak(self) -> str:  # type: ignore[override]
        """Leakage between training and test."""
        return str(self.of.leak)

    @property
    def spelled(self) -> str:
        """The protocol with its key."""
        return str(self)

    def describe_missing(self, store: Store) -> str:
        """Sentence about what a store lacks of the lists."""
        return str(self.of.describe_missing(store))

    def __str__(self) -> str:
        return f"data.protocol={self.of.name}"


@dataclass(frozen=True)
class ProtocolFolds(ProtocolPlan, FoldPlan):
    """The plan of a protocol's fold."""

    of: SubjectFolds | GroupFolds
    fold: Fold
    seed: int = 0

    def deal(self, store: Store) -> Codes:
        """Fold of each clip."""
        return self.of.deal(store, self.seed)

    def record(self) -> dict[str, Any]:
        """The protocol, the fold, and how folds are drawn."""
        plan = {"protocol": self.of.name} | self.of.record()
        return {"plan": plan, "fold": self.fold, "seed": self.seed}


@dataclass(frozen=True)
class ProtocolSplits(ProtocolPlan):
    """The plan of a protocol without folds."""

    of: SubjectSplits | OfficialSplits | PublishedLists
    seed: int = 0

    def assign(self, store: Store) -> Numbers:
        """Split of each clip."""
        return self.of.assign(store, self.seed)

    def record(self) -> dict[str, Any]:
        """The protocol."""
        return {"plan": {"protocol": self.of.name} | self.of.record(), "seed": self.seed}


def require_fold(name: str, fold: Fold, folds: int | None) -> int | str:
    """Refuse a protocol of folds of which none is chosen."""
    if fold is not None:
        return fold
    several = ",".join(map(str, range(folds or 3)))
    raise ValueError(
        f"data.protocol={name} needs data.fold, the one to test on: give one, or several after "
        f"one another with -m data.fold={several}."
    )


def refuse_fold(name: str, fold: Fold) -> None:
    """Refuse to choose a fold of a protocol without any."""
    if fold is not None:
        raise ValueError(
            f"data.fold={fold} chooses among folds, and data.protocol={name} has none: leave it "
            "out."
        )


def number_ranges(store: Store, ranges: int) -> Int64[np.ndarray, "clips"]:
    """Number the range of each clip among those of its subject, in the order of their names."""
    clips = store.columns("subject", "clip_id")
    subjects = merge_spellings(Codes.of(clips["subject"])).numbers
    ranks = pc.rank(clips["clip_id"].combine_chunks()).to_numpy()
    order = np.lexsort((ranks, subjects))
    sizes = np.bincount(subjects)
    before = np.empty(len(order), np.int64)  # clips of the same subject
    before[order] = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return before * ranges // sizes[subjects]


def check_listed_once(name: str, lists: Sequence[Sequence[int | str]]) -> None:
    """Refuse lists of which one is empty, or that name a subject twice."""
    keys = [_key_of_subject(subject) for subjects in lists for subject in subjects]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice or not all(lists):
        wrong = f"names {join_items(twice)} twice" if twice else "has an empty list of subjects"
        raise ValueError(f"data.protocol={name} {wrong}: list each subject once.")


def number_subjects(
    protocol: SubjectFolds | SubjectSplits, lists: Sequence[Sequence[int | str]], store: Store
) -> np.ndarray:
    """Number the list that has the subject of each clip.

    Raises:
        ValueError: No list has it, or the store lacks listed ones.
    """
    list_numbers = {
        _key_of_subject(subject): number
        for number, subjects in enumerate(lists)
        for subject in subjects
    }
    codes = Codes.of(store.columns("subject")["subject"])
    numbers = np.array(
        [list_numbers.get(_key_of_subject(name), LEFT_OUT) for name in codes.names], np.int64
    )[codes.numbers]

    if (numbers == LEFT_OUT).any():
        unlisted = sorted(codes.in_order(numbers == LEFT_OUT))
        raise ValueError(
            f"{store.address} has {pluralize(len(unlisted), 'subject')} that data.protocol="
            f"{protocol.name} does not name ({join_items([name or 'none' for name in unlisted])}): "
            "choose a protocol of this corpus, or data.splits."
        )
    missing = describe_missing_subjects(protocol.name, lists, store)
    if missing and not protocol.allow_missing:
        raise ValueError(f"{missing} {MISSING_CURE}")
    return numbers


def describe_missing_subjects(name: str, lists: Sequence[Sequence[int | str]], store: Store) -> str:
    """Sentence about the listed subjects that a store lacks, empty where it has all."""
    known = set(map(_key_of_subject, Codes.of(store.columns("subject")["subject"]).names))
    listed = (str(subject) for subjects in lists for subject in subjects)
    missing = [subject for subject in listed if _key_of_subject(subject) not in known]
    return _describe_missing(name, "subject", missing, store)


def read_clip_names(path: Path) -> list[str]:
    """Read the names of the clips that a published list has."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            if path.suffix == ".jsonl":
                return [_name_of_file(json.loads(line)["wav"]) for line in file if line.strip()]
            return [_name_of_file(row[0]) for row in csv.reader(file) if row]
    except (UnicodeDecodeError, csv.Error, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read ({error}): copy the published list again.") from (
            error
        )


def _describe_missing(name: str, what: str, missing: Sequence[str], store: Store) -> str:
    if not missing:
        return ""
    return (
        f"data.protocol={name} names {pluralize(len(missing), what)} that {store.address} lacks "
        f"({join_items(missing)})."
    )


def _key_of_subject(subject: int | str) -> str:
    name = normalize_name(str(subject))
    return str(int(name)) if name.isdecimal() else name


def _name_of_file(path: str) -> str:
    """Name of a clip's file without folder and ending, as a clip is called in all lists."""
    return path.replace("\\", "/").rpartition("/")[2].partition(".")[0]
