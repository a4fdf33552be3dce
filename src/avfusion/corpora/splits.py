"""Which clip belongs to which split, and the promise that no subject is in two of them."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

from avfusion.corpora.mistakes import WrongClips
from avfusion.corpora.recording import SPLITS, Recording, listed
from avfusion.corpora.spelling import canonical

Plan = Mapping[str, float] | Mapping[str, Sequence[int]]


def check_plan(plan: Plan) -> None:
    """Refuse a plan that is neither fractions that sum to one nor ranges of rows."""
    unknown = sorted(set(plan) - set(SPLITS))
    if unknown or not plan:
        raise ValueError(
            f"corpus.splits names {unknown or 'nothing'}: give {', '.join(SPLITS)}, "
            "as in corpus.splits={train: 0.7, val: 0.1, test: 0.2}."
        )
    spans = [tuple(share) for share in plan.values() if isinstance(share, Sequence)]
    if len(spans) == len(plan) and all(len(span) == 2 for span in spans):
        rows = [row for span in sorted(spans) for row in span]
        if not all(isinstance(row, int) for row in rows) or rows != sorted(rows) or rows[0] < 0:
            raise ValueError(
                "The ranges of corpus.splits must be rows [first, end) that do not overlap, "
                f"got {dict(plan)}."
            )
        return
    shares = [share for share in plan.values() if isinstance(share, int | float)]
    if len(shares) < len(plan) or min(shares) < 0:
        raise ValueError(
            "corpus.splits must hold fractions of the clips, or ranges of rows [first, end), "
            f"got {dict(plan)}."
        )
    if abs(sum(shares) - 1) > 1e-6:
        raise ValueError(f"The fractions of corpus.splits must sum to 1, got {dict(plan)}.")


def assign(recordings: list[Recording], plan: Plan, seed: int, by_subject: bool) -> list[Recording]:
    """Return the recordings of the plan with their new splits; rows of no range are left out."""
    check_plan(plan)
    ranges = {split: slice(*rows) for split, rows in plan.items() if isinstance(rows, Sequence)}
    if ranges:
        return [
            replace(clip, split=split)
            for split, rows in ranges.items()
            for clip in recordings[rows]
        ]
    groups = defaultdict(list)
    for recording in recordings:
        groups[canonical(recording.subject) if by_subject else recording.clip_id].append(recording)
    fractions = {
        split: float(part) for split, part in plan.items() if isinstance(part, int | float)
    }
    splits = draw({key: len(group) for key, group in groups.items()}, fractions, seed)
    return [replace(clip, split=splits[key]) for key, group in groups.items() for clip in group]


def draw(sizes: Mapping[str, int], plan: Mapping[str, float], seed: int) -> dict[str, str]:
    """Deal groups out in random order, each to the split that is furthest from its fraction.

    No split with a fraction stays empty.
    """
    wanted = {split: share * sum(sizes.values()) for split, share in plan.items() if share}
    if len(sizes) < len(wanted):
        raise ValueError(f"{len(sizes)} subjects are too few for corpus.splits={dict(plan)}.")
    keys = sorted(sizes)
    random.Random(seed).shuffle(keys)
    keys.sort(key=lambda key: -sizes[key])  # large groups first, else they overfill a small split
    splits: dict[str, str] = {}
    filled: set[str] = set()
    for number, key in enumerate(keys):
        empty = [split for split in wanted if split not in filled]
        choices = empty if len(empty) == len(keys) - number else list(wanted)
        splits[key] = max(choices, key=lambda split: wanted[split])
        filled.add(splits[key])
        wanted[splits[key]] -= sizes[key]
    return splits


def shared_subjects(recordings: list[Recording]) -> list[str]:
    """Return the subjects in more than one split, as written first; see ``canonical``."""
    return [spellings[0] for spellings in spellings_of_shared(recordings)]


def spellings_of_shared(recordings: list[Recording]) -> list[list[str]]:
    """Return how each subject that is in more than one split is spelled, each spelling once."""
    splits = defaultdict(set)
    spellings: dict[str, list[str]] = defaultdict(list)
    for recording in recordings:
        key = canonical(recording.subject)
        splits[key].add(recording.split)
        if recording.subject not in spellings[key]:
            spellings[key].append(recording.subject)
    return sorted(spellings[key] for key, found in splits.items() if len(found) > 1)


def check_subjects(recordings: list[Recording], allow_overlap: bool) -> list[str]:
    """Return the subjects in two splits, or refuse them where they are not allowed."""
    spellings = spellings_of_shared(recordings)
    shared = [names[0] for names in spellings]
    if shared and not allow_overlap:
        keys = {canonical(name) for name in shared}
        several = [" = ".join(map(ascii, names)) for names in spellings if len(names) > 1]
        alike = f" (spellings that look alike are one: {listed(several)})" if several else ""
        raise WrongClips(
            f"{len(shared)} subjects are in more than one split ({listed(shared)}){alike}, so a "
            "test would score memory: change the splits, or set "
            "corpus.allow_subject_overlap=true, which every result then records.",
            [clip for clip in recordings if canonical(clip.subject) in keys],
        )
    return shared


def check_split_names(recordings: list[Recording]) -> None:
    """Refuse splits of other names."""
    wrong = [recording for recording in recordings if recording.split not in SPLITS]
    if wrong:
        other = Counter(recording.split for recording in wrong)
        names = listed([f"{name or 'none'} ({count} clips)" for name, count in other.items()])
        raise WrongClips(
            f"The splits must be {', '.join(SPLITS)}, got {names}: correct the column, or give "
            "corpus.splits={train: 0.7, val: 0.1, test: 0.2} (or corpus.splits={test: 1}).",
            wrong,
        )
