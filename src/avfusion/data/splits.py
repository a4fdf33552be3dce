"""Split plans: which clips of a store are for training, validation and test.

A plan belongs to reading, not to the store, so that one store serves all of them. ``data.splits``
spells it:

    null, or column                      the corpus' own column
    {train: 0.7, val: 0.1, test: 0.2}    fractions of the clips, the clips of a subject together
    {train: [0, 900], val: [900, 1000]}  rows [first, end) of the store's index
    {folds: 5}                           folds of about equal size, the clips of a subject together
    {folds: subject}, or subjects        leave one subject out
    {folds: session}, or sessions        leave one session out
    {folds: my.csv}, or my.csv           a table with the columns clip_id and fold

``data.fold`` chooses among folds: it is the test. The next fold (after the last, the first) is the
validation, since the best epoch must not be chosen on test clips, and the others are for training.
``val: 0.1`` beside ``folds`` draws the validation from the subjects of all other folds instead.

``data.protocol`` names a published plan in place of ``data.splits`` (see
``avfusion.data.protocols``). ``data.validation`` names another fold to validate on, whereupon the
next one is for training, too; ``data.validation=test`` chooses the best epoch on the test clips all
the same, as much of the literature does, and every result says so.
"""

import csv
import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Bool, Float64, Int, Int8, Int64

from avfusion.corpora.recording import SPLITS
from avfusion.corpora.spelling import normalize_name
from avfusion.corpora.table import read_filled_rows
from avfusion.data.index import Codes
from avfusion.data.store import Store
from avfusion.files import hash_file
from avfusion.messages import join_items, pluralize

Spelling = str | Mapping[str, Any] | None
Numbers = Int8[np.ndarray, "clips"]  # of each clip's split in SPLITS, LEFT_OUT where it has none
LEFT_OUT = -1
TRAIN, VAL, TEST = range(len(SPLITS))
FRACTIONS = "{train: 0.7, val: 0.1, test: 0.2}"
PLAN_FOLDS = {
    "subjects": "subject",
    "sessions": "session",
}  # the names of folds as plans of their own


@dataclass(frozen=True)
class Splits:
    """The splits of a store's clips.

    Attributes:
        plan: The plan that made them, as the command line spells it after ``data.splits=``; a named
            protocol with its key, ``data.protocol=...``.
        record: All that makes them again, in plain containers.
        root: The store: its folder or address.
        protocol: The name of a protocol, empty for other plans.
        leak: Of a protocol that shares subjects between training and test, a sentence about it.
        remark: A sentence about what the store lacks of a protocol.
        fold: Name of the fold that is the test, empty where there are no folds.
        folds: How many clips each of the folds has, by name.
        validates_on_test: Whether the validation is the test, for ``data.validation=test``.
    """

    numbers: Numbers
    plan: str
    record: dict[str, Any]
    root: str | Path
    protocol: str = ""
    leak: str = ""
    remark: str = ""
    fold: str = ""
    folds: Mapping[str, int] = field(default_factory=dict)
    validates_on_test: bool = False

    @property
    def spelled(self) -> str:
        """The plan as the command line spells it, with its key."""
        return self.plan if self.protocol else f"data.splits={self.plan}"

    def where(self, *names: str) -> Bool[np.ndarray, "clips"]:
        """Mask the clips of some splits."""
        numbers = [SPLITS.index(name) for name in names]
        if self.validates_on_test:
            numbers = [TEST if number == VAL else number for number in numbers]
        return np.isin(self.numbers, numbers)

    def rows(self, name: str) -> Int64[np.ndarray, "rows"]:
        """Rows of a split in the store's index, in its order."""
        return np.flatnonzero(self.where(name))

    def counts(self) -> dict[str, int]:
        """Count the clips of each split."""
        return {name: int(self.where(name).sum()) for name in SPLITS}

    def tabulate(self, clips: pa.Table) -> pa.Table:
        """Rows of all splits, with the column ``split``."""
        names = pa.DictionaryArray.from_arrays(
            pa.array(np.maximum(self.numbers, 0)), pa.array(SPLITS)
        )
        return clips.append_column("split", names).filter(pa.array(self.numbers != LEFT_OUT))


class Plan:
    """Assignment of clips to splits; its text is the value of ``data.splits``.

    A plan of a named protocol has the name, and a ``leak`` where that shares subjects.
    """

    protocol = ""
    leak = ""

    def assign(self, store: Store) -> Numbers:
        """Assign each clip of a store to a split."""
        raise NotImplementedError

    def record(self) -> dict[str, Any]:
        """All that makes the same splits again, in plain containers."""
        raise NotImplementedError

    def describe_missing(self, store: Store) -> str:
        """Sentence about what a store lacks of the plan, empty where it lacks nothing."""
        return ""

    @property
    def spelled(self) -> str:
        """The plan as the command line spells it, with its key."""
        return f"data.splits={self}"


class FoldPlan(Plan):
    """A plan of folds, of which ``fold`` is the test, and the next one the validation."""

    fold: int | str | None

    def assign(self, store: Store) -> Numbers:
        """Choose among the folds; an unknown fold, and too few folds, are refused."""
        return self.choose(self.deal(store), store)

    def deal(self, store: Store) -> Codes:
        """Fold of each clip, and the names of all in their order."""
        raise NotImplementedError

    def choose(self, folds: Codes, store: Store) -> Numbers:
        """Choose test and validation among folds that were dealt out."""
        test = self.find(folds.names)
        numbers = np.full(len(store), TRAIN, np.int8)
        numbers[folds.numbers == LEFT_OUT] = LEFT_OUT
        numbers[folds.numbers == test] = TEST
        numbers[folds.numbers == (test + 1) % len(folds.names)] = VAL
        return numbers

    def find(self, names: Sequence[str]) -> int:
        """Find the number of the fold to test on among those of these names."""
        return find_fold("data.fold", self.fold, names, self.spelled)


def find_fold(key: str, fold: int | str | None, names: Sequence[str], plan: str) -> int:
    """Find the number of the fold that a key of the configuration chooses.

    Where all names are numbers, it is one of them; else a name, or its index.
    """
    keys = [int(name) if name.isdecimal() else normalize_name(name) for name in names]
    asked = str(fold)
    wanted = int(asked) if asked.isdecimal() else normalize_name(asked)
    if wanted in keys:
        return keys.index(wanted)
    if isinstance(wanted, int) and wanted < len(names) and not all(map(str.isdecimal, names)):
        return wanted
    raise ValueError(f"{key}={fold} is no fold of {plan}: choose one of {join_items([*names])}.")


@dataclass(frozen=True)
class Column(Plan):
    """The corpus' own column."""

    def assign(self, store: Store) -> Numbers:
        """Read the column; a store without any split is refused."""
        numbers = number_splits(Codes.of(store.columns("split")["split"]))
        if not (numbers != LEFT_OUT).any():
            raise ValueError(
                f"The corpus of {store.address} assigns no clip to a split: choose a plan, such as "
                f"data.splits='{FRACTIONS}', data.splits='{{folds: 5}}' with data.fold=0, or "
                "data.splits='{test: 1}' to test on all of it."
            )

        return numbers

    def record(self) -> dict[str, Any]:
        """The corpus says the rest."""
        return {"plan": "column"}

    def __str__(self) -> str:
        return "column"


@dataclass(frozen=True)
class Fractions(Plan):
    """Fractions of the clips, drawn by a seed; the clips of a subject together, or each alone."""

    shares: Mapping[str, float]
    seed: int = 0
    by_subject: bool = True

    def __post_init__(self) -> None:
        if min(self.shares.values()) < 0 or abs(sum(self.shares.values()) - 1) > 1e-6:
            raise ValueError(
                "The fractions of data.splits must be at least 0 and sum to 1, got "
                f"{self} (sum {sum(self.shares.values()):g})."
            )

    def assign(self, store: Store) -> Numbers:
        """Draw; fewer groups than shares above zero are refused."""
        groups = group_clips(store, self.by_subject)
        dealt = deal_groups(groups, np.ones(len(store), bool), self.shares, self.seed, self, store)
        return np.array([SPLITS.index(name) for name in self.shares], np.int8)[dealt]

    def record(self) -> dict[str, Any]:
        """Shares, and how they are drawn."""
        return {"plan": dict(self.shares), "seed": self.seed, "by_subject": self.by_subject}

    def __str__(self) -> str:
        return format_values(self.shares)


@dataclass(frozen=True)
class Ranges(Plan):
    """Rows [first, end) of the store's index.

    A split without a range keeps the clips of no range that the corpus' own column puts there, so
    that the official test stays where only training and validation are given. Others are left out.
    """

    ranges: Mapping[str, Sequence[Any]]

    def __post_init__(self) -> None:
        spans = [[*span] for span in self.ranges.values()]
        whole = all(len(span) == 2 and all(type(row) is int for row in span) for span in spans)
        rows = [row for span in sorted(spans) for row in span] if whole else []
        if not rows or rows != sorted(rows) or rows[0] < 0:
            raise ValueError(
                "The ranges of data.splits must be rows [first, end) that do not overlap, got "
                f"{self}."
            )

        if any(first == end for first, end in spans):
            raise ValueError(
                f"The ranges of data.splits must hold rows, got {self}: [first, end) are those "
                "from first to end - 1."
            )

    def assign(self, store: Store) -> Numbers:
        """Take the rows; a range beyond the last clip is refused."""
        clips = len(store)
        outside = {name: [*span] for name, span in self.ranges.items() if span[1] > clips}
        if outside:
            raise ValueError(
                f"data.splits={self} goes beyond the {clips} clips of {store.address}: let "
                f"{' and '.join(outside)} end at {clips} at most."
            )

        numbers = number_splits(Codes.of(store.columns("split")["split"]))
        numbers[np.isin(numbers, [SPLITS.index(name) for name in self.ranges])] = LEFT_OUT
        for name, (first, end) in self.ranges.items():
            numbers[first:end] = SPLITS.index(name)

        return numbers

    def record(self) -> dict[str, Any]:
        """The rows."""
        return {"plan": {name: [*span] for name, span in self.ranges.items()}}

    def __str__(self) -> str:
        return format_values({name: [*span] for name, span in self.ranges.items()})


@dataclass(frozen=True)
class Folds(FoldPlan):
    """Folds, of which one is the test, and validation from the others; see the module.

    ``folds`` is how many there are, ``subject``, ``session``, or the path of a CSV. ``val`` is the
    fraction of the clips of the other folds to validate on, by subject; None: the next fold.
    """

    folds: int | str
    fold: int | str
    val: float | None = None
    seed: int = 0
    by_subject: bool = True
    content: str | None = field(init=False, default=None, repr=False)  # SHA-256 of a CSV

    def __post_init__(self) -> None:
        if self.val is not None and not 0 < self.val < 1:
            raise ValueError(f"val of data.splits={self} must lie between 0 and 1.")
        if isinstance(self.folds, int):
            self.find([str(number) for number in range(self.folds)])
        elif self.folds not in PLAN_FOLDS.values():
            path = Path(self.folds)
            if not path.is_file():
                raise FileNotFoundError(
                    f"No table of folds at {path}: give data.splits the path of a CSV with the "
                    "columns clip_id and fold."
                )
            object.__setattr__(self, "content", hash_file(path))

    def choose(self, folds: Codes, store: Store) -> Numbers:
        """Choose the test, and the validation: the next fold, or a part of all others."""
        numbers = super().choose(folds, store)
        if self.val is None:
            return numbers

        numbers[numbers == VAL] = TRAIN
        rest, shares = numbers == TRAIN, {"train": 1 - self.val, "val": self.val}
        groups = group_clips(store, self.by_subject)
        dealt = deal_groups(groups, rest, shares, self.seed, self, store)
        numbers[rest] = dealt[rest]  # TRAIN or VAL
        return numbers

    def deal(self, store: Store) -> Codes:
        """Deal the clips out to folds, or read the table that does."""
        if isinstance(self.folds, int):
            groups, every = group_clips(store, self.by_subject), np.ones(len(store), bool)
            names = [str(number) for number in range(self.folds)]
            shares = dict.fromkeys(names, 1 / self.folds)
            return Codes(deal_groups(groups, every, shares, self.seed, self, store), names)

        if self.content is None:
            return leave_one_out(store, self.folds)

        return read_folds(Path(self.folds), store)

    def find(self, names: Sequence[str]) -> int:
        """Find the number of the fold to test on; too few folds are refused."""
        if len(names) < (2 if self.val else 3):
            raise ValueError(
                f"data.splits={self} makes {len(names)} folds, too few to train, to validate and "
                "to test: give a part of the others to validate on, as in "
                "data.splits='{folds: 2, val: 0.1}', or choose another plan."
            )
        return super().find(names)

    def record(self) -> dict[str, Any]:
        """The folds, the chosen one, and how they are drawn; a CSV by its SHA-256."""
        own = {"folds": self.folds if self.content is None else self.content, "val": self.val}
        drawn = {"seed": self.seed, "by_subject": self.by_subject}
        return {"plan": own, "fold": self.fold, **drawn}

    def __str__(self) -> str:
        return format_values(
            {"folds": self.folds} | ({} if self.val is None else {"val": self.val})
        )


def make_plan(
    splits: Spelling, fold: int | str | None = None, seed: int = 0, by_subject: bool = True
) -> Plan:
    """Plan that ``data.splits`` spells.

    Raises:
        ValueError: where it is none, or where ``fold`` is missing or meaningless.
    """
    if seed < 0:
        raise ValueError(f"data.split_seed must be at least 0, got {seed}.")
    if isinstance(splits, str) and (splits in PLAN_FOLDS or splits.lower().endswith(".csv")):
        splits = {"folds": PLAN_FOLDS.get(splits, splits)}
    if isinstance(splits, Mapping) and "folds" in splits:
        return _make_folds(splits, fold, seed, by_subject)
    if fold is not None:
        given = format_values(splits) if isinstance(splits, Mapping) else splits or "column"
        raise ValueError(
            f"data.fold={fold} chooses among folds, and data.splits={given} has none: "
            "leave it out, or set data.splits='{folds: 5}'."
        )

    if splits is None or splits == "column":
        return Column()

    if isinstance(splits, str) or not splits or not set(splits) <= set(SPLITS):
        given = repr(splits) if isinstance(splits, str) else format_values(splits)
        raise ValueError(
            f"data.splits={given} is no plan: give column, fractions or ranges of "
            f"{', '.join(SPLITS)}, as in {FRACTIONS}, {{folds: 5}}, subjects, sessions, or a CSV "
            "of clip_id and fold."
        )

    if all(isinstance(share, list | tuple) for share in splits.values()):
        return Ranges(splits)

    if not all(type(share) in (int, float) for share in splits.values()):
        raise ValueError(
            "data.splits must hold fractions of the clips, or ranges of rows [first, end), got "
            f"{format_values(splits)}."
        )

    return Fractions({name: float(share) for name, share in splits.items()}, seed, by_subject)


def _make_folds(
    splits: Mapping[str, Any], fold: int | str | None, seed: int, by_subject: bool
) -> Folds:
    """Plan of some folds."""
    folds = PLAN_FOLDS.get(splits["folds"], splits["folds"])
    named = isinstance(folds, str) and (
        folds in PLAN_FOLDS.values() or folds.lower().endswith(".csv")
    )
    val = splits.get("val")
    known = set(splits) <= {"folds", "val"} and (val is None or type(val) in (int, float))

    if not known or not (named or (type(folds) is int and folds > 1)):
        raise ValueError(
            f"data.splits={format_values(splits)} is no plan: folds are a number from 2 on, "
            "subject, session, or the path of a CSV, and beside them may only stand val, a "
            "fraction."
        )

    if fold is None:
        several = "0,1,2" if named else ",".join(map(str, range(folds)))
        raise ValueError(
            f"data.splits={format_values(splits)} needs data.fold, the one to test on: give one, "
            f"or several after one another with -m data.fold={several}."
        )

    return Folds(folds, fold, val, seed, by_subject)


def split_clips(plan: Plan, store: Store, validation: int | str | None = None) -> Splits:
    """Split the clips of a store by a plan.

    ``validation`` is another fold than the next one to validate on, which then is for training, or
    ``test``: the test itself; the validation clips of plans without folds are then left out.
    """
    words, fold, folds = str(plan), "", {}
    if isinstance(plan, FoldPlan):
        dealt = plan.deal(store)
        numbers = plan.choose(dealt, store)
        words, fold = f"{plan} data.fold={plan.fold}", dealt.names[plan.find(dealt.names)]
        sizes = np.bincount(dealt.numbers[dealt.numbers != LEFT_OUT], minlength=len(dealt.names))
        folds = dict(zip(dealt.names, sizes.tolist(), strict=True))
    else:
        numbers = plan.assign(store)

    record = plan.record()
    if validation is not None:
        numbers[numbers == VAL] = TRAIN if folds else LEFT_OUT
        words = f"{words} data.validation={validation}"
        record = record | {"validation": str(validation)}
    if validation not in (None, "test"):
        chosen = find_fold("data.validation", validation, [*folds], plan.spelled)
        if [*folds][chosen] == fold:
            raise ValueError(
                f"data.validation={validation} is the fold to test on: choose another one, or "
                "data.validation=test, which every result then says."
            )
        numbers[dealt.numbers == chosen] = VAL

    return Splits(
        numbers,
        words,
        record,
        store.address,
        plan.protocol,
        plan.leak,
        plan.describe_missing(store),
        fold,
        folds,
        validation == "test",
    )


def number_splits(column: Codes) -> Numbers:
    """Splits that a column of their names gives."""
    numbers = [SPLITS.index(name) if name in SPLITS else LEFT_OUT for name in column.names]
    return np.array(numbers, np.int8)[column.numbers]


class Groups(NamedTuple):
    """Clips that stay together; ``names`` are in Arrow's memory, as there may be a million."""

    numbers: Int[np.ndarray, "clips"]
    names: pa.Array


def group_clips(store: Store, by_subject: bool) -> Groups:
    """Group clips by subject, however it is spelled, or leave each alone.

    A clip of an unknown subject is alone, too.
    """
    if not by_subject:
        ids = store.columns("clip_id")["clip_id"].combine_chunks()
        return Groups(np.arange(len(store)), ids)
    subjects = merge_spellings(Codes.of(store.columns("subject")["subject"]))
    names = pa.array(subjects.names, pa.string())
    if "" not in subjects.names:
        return Groups(subjects.numbers, names)

    unknown = subjects.where("")
    numbers = subjects.numbers.astype(np.int64)
    numbers[unknown] = len(names) + np.arange(unknown.sum())
    ids = store.columns("clip_id")["clip_id"].filter(pa.array(unknown)).combine_chunks()
    apart = pc.binary_join_element_wise("\0", ids, "")  # from subjects of these names
    return Groups(numbers, pa.concat_arrays([names, apart]))


def merge_spellings(names: Codes) -> Codes:
    """Normalize names, so that those that look alike are one (see ``normalize_name``)."""
    keys = [normalize_name(name) for name in names.names]
    merged = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    return Codes(np.array([merged[key] for key in keys], np.int64)[names.numbers], [*merged])


def deal_groups(
    groups: Groups,
    selected: Bool[np.ndarray, "clips"],
    shares: Mapping[str, float],
    seed: int,
    plan: Plan,
    store: Store,
) -> Int[np.ndarray, "clips"]:
    """Deal the groups of some clips out; the number of each clip's share."""
    sizes = np.bincount(groups.numbers[selected], minlength=len(groups.names))
    filled, used = np.count_nonzero(sizes), np.count_nonzero([*shares.values()])
    if filled < used:
        what = "clips" if filled == selected.sum() else "subjects"
        raise ValueError(
            f"{filled} {what} of {store.address} are too few for {plan.spelled}, which keeps "
            f"them apart in {used}: choose another plan."
        )
    return draw_groups(groups.names, sizes, [*shares.values()], seed)[groups.numbers]


def draw_groups(
    names: pa.Array,
    sizes: Int64[np.ndarray, "groups"],
    shares: Sequence[float],
    seed: int,
) -> Int64[np.ndarray, "groups"]:
    """Deal groups out in random order, whatever order they are given in: the share of each.

    Empty groups get none, ``LEFT_OUT``.
    """
    order = pc.array_sort_indices(names).to_numpy()
    shuffled = order[sizes[order] > 0].tolist()
    random.Random(seed).shuffle(shuffled)
    order = np.fromiter(shuffled, np.int64, len(shuffled))
    # Large groups first, else they overfill a small share.
    order = order[np.argsort(-sizes[order], kind="stable")]
    used = np.flatnonzero(shares)
    wanted = np.array(shares)[used] * sizes.sum()
    dealt = np.full(len(names), LEFT_OUT, np.int64)
    dealt[order] = used[fill_shares(wanted, sizes[order])]

    return dealt


def fill_shares(
    wanted: Float64[np.ndarray, "shares"], sizes: Int64[np.ndarray, "groups"]
) -> Int64[np.ndarray, "groups"]:
    """Give each group, in this order, to the share that lacks most clips, the first of several.

    ``wanted`` are the clips of each share, above zero. No share stays empty, where there are as
    many groups.
    """
    chosen = np.zeros(len(sizes), np.int64)
    # The groups that may have to go to empty shares are dealt out one by one, all others a run of
    # equal sizes at a time: a million clips that are groups of their own took a loop 5 seconds.
    single = max(len(sizes) - len(wanted), 0)
    edges = np.flatnonzero(np.diff(sizes[:single])) + 1
    runs = np.split(np.arange(single), edges) if single else []
    for run in runs:
        chosen[run], wanted = fill_evenly(wanted, int(sizes[run[0]]), len(run))

    taken = np.bincount(chosen[:single], minlength=len(wanted))
    empty = set(np.flatnonzero(taken == 0).tolist())

    for number in range(single, len(sizes)):
        must = len(empty) == len(sizes) - number
        choices = sorted(empty) if must else range(len(wanted))
        chosen[number] = max(choices, key=wanted.__getitem__)
        empty.discard(int(chosen[number]))
        wanted[chosen[number]] -= sizes[number]

    return chosen


def fill_evenly(
    wanted: Float64[np.ndarray, "shares"], size: int, groups: int
) -> tuple[Int64[np.ndarray, "groups"], Float64[np.ndarray, "shares"]]:
    """Give groups of one size each to the share that lacks most clips; return what still lacks.

    What a share lacks before each group that it may get falls by the size; the largest of all these
    numbers are those of the groups.
    """
    most = np.clip(np.ceil(wanted / size) + 1, 1, groups).astype(int)  # as nothing lacks then
    lacks = [
        np.subtract.accumulate(np.concatenate([[want], np.full(number, size)]))
        for want, number in zip(wanted, most, strict=True)
    ]
    shares = np.repeat(np.arange(len(wanted)), most)
    before = np.concatenate([falling[:-1] for falling in lacks])
    chosen = shares[np.argsort(-before, kind="stable")[:groups]]
    taken = np.bincount(chosen, minlength=len(wanted))

    return chosen, np.array([falling[n] for falling, n in zip(lacks, taken, strict=True)])


def leave_one_out(store: Store, column: str) -> Codes:
    """Folds of one subject, or one session, each."""
    codes = Codes.of(store.columns(column)[column])
    keys = merge_spellings(codes)
    unknown = int(keys.where("").sum())
    if unknown:
        raise ValueError(
            f"{unknown} of the {len(store)} clips of {store.address} have no {column}: name its "
            f"column when the corpus is prepared (corpus.columns.{column}=...), or choose another "
            "plan, such as data.splits='{folds: 5}'."
        )

    names: dict[str, str] = {}
    for name in codes.names:
        names.setdefault(normalize_name(name), name)  # as it was written first

    return sort_naturally(keys, names)


def sort_naturally(folds: Codes, names: Mapping[str, str]) -> Codes:
    """Folds as a person orders their names, s2 before s10, and with these names."""
    order = sorted(range(len(folds.names)), key=lambda number: natural_key(folds.names[number]))
    ranks = np.empty(len(order) + 1, np.int64)
    ranks[order] = np.arange(len(order))
    ranks[LEFT_OUT] = LEFT_OUT
    return Codes(ranks[folds.numbers], [names[folds.names[number]] for number in order])


def natural_key(name: str) -> list[tuple[int, str]]:
    """Key that sorts the numbers in names as numbers."""
    parts = re.split(r"(\d+)", name)
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]


def read_folds(path: Path, store: Store) -> Codes:
    """Folds that a table gives the clips of a store; an empty one leaves a clip out."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            rows = read_filled_rows(file)
            header = [normalize_name(name) for name in next(rows, (0, []))[1]]
            if not {"clip_id", "fold"} <= set(header):
                raise ValueError(
                    f"{path} has the columns {join_items(header) or 'none'}: a table of folds "
                    "needs clip_id and fold."
                )
            clip, fold = header.index("clip_id"), header.index("fold")
            cells = [(line, [*row, *[""] * len(header)]) for line, row in rows]
        except (UnicodeDecodeError, csv.Error) as error:
            raise ValueError(f"{path} is no CSV in UTF-8 ({error}): save it so.") from error

    given: dict[str, str] = {}
    for line, row in cells:
        if row[clip] in given:
            raise ValueError(f"Line {line} of {path} names {row[clip]} again: once is enough.")
        given[row[clip]] = row[fold]

    ids = _read_clip_ids(store)
    check_same_clips(path, given, ids, store)
    spellings: dict[str, str] = {}
    for name in given.values():
        if name:
            spellings.setdefault(normalize_name(name), name)

    keys = {key: number for number, key in enumerate(spellings)} | {"": LEFT_OUT}
    numbers = np.array([keys[normalize_name(given[name])] for name in ids], np.int64)

    return sort_naturally(Codes(numbers, [*spellings]), spellings)


def check_same_clips(
    path: Path, given: Mapping[str, str], ids: Sequence[str], store: Store
) -> None:
    """Refuse a table that lacks clips of a store, or has others than were prepared."""
    if missing := [name for name in ids if name not in given]:
        raise ValueError(
            f"{path} lacks {pluralize(len(missing), 'clip')} of {store.address} "
            f"({join_items(missing)}): give each a row, with an empty fold where it is to be left "
            "out."
        )

    others = given.keys() - {*ids}
    if others and (others := others - store.skipped()):
        raise ValueError(
            f"{path} has {pluralize(len(others), 'clip')} that {store.address} lacks "
            f"({join_items(sorted(others))}): correct their clip_id, or give the store of that "
            "corpus."
        )


def format_values(values: Mapping[str, Any]) -> str:
    """Named values as the command line takes them."""
    return "{" + ", ".join(f"{name}: {value}" for name, value in values.items()) + "}"


def _read_clip_ids(store: Store) -> list[str]:
    return store.columns("clip_id")["clip_id"].to_pylist()
