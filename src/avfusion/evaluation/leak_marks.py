"""Data leakage that results record: what makes a score mean less than it seems, and its marks."""

from collections.abc import Mapping, Sequence
from typing import Any

MARKS = ("†", "‡", "§", "¶")
LABEL_FAULTS = {"two_labels_for_one_recording", "untrained_classes"}
HARMLESS = {"same_sound_twice"}  # within a split, as in RAVDESS: recorded, but no leakage


def leaks_of(results: Mapping[str, Any]) -> dict[str, int]:
    """Return how often each kind of leakage occurs in the data that a run was tested on.

    ``results`` are those of results.json: whole numbers under ``data/`` count leaks, such as
    ``data/shared_subjects`` the subjects that are in more than one split.
    """
    found = {}
    for name, value in results.items():
        kind = name.removeprefix("data/")
        counted = isinstance(value, int) and not isinstance(value, bool) and value > 0
        if name.startswith("data/") and counted and kind not in HARMLESS:
            found[kind] = value
    return found


def worst_leaks(runs: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Return the largest count of each kind over the results of several runs."""
    worst: dict[str, int] = {}
    for results in runs:
        for kind, count in leaks_of(results).items():
            worst[kind] = max(count, worst.get(kind, 0))
    return worst


def mark_leaks(found: Sequence[Mapping[str, int]]) -> tuple[list[str], list[str]]:
    """Return a mark for each of several findings, and the footnotes that say what marks mean.

    Findings of the same kinds share a mark; without leakage it is empty.
    """
    worst: dict[tuple[str, ...], dict[str, int]] = {}
    for leaks in found:
        if leaks:
            known = worst.setdefault(tuple(sorted(leaks)), {})
            known |= {kind: max(count, known.get(kind, 0)) for kind, count in leaks.items()}
    marks = {
        kinds: MARKS[number % len(MARKS)] * (1 + number // len(MARKS))
        for number, kinds in enumerate(worst)
    }
    footnotes = [f"{marks[kinds]} {describe_leaks(leaks)}" for kinds, leaks in worst.items()]
    return [marks.get(tuple(sorted(leaks)), "") for leaks in found], footnotes


def describe_leaks(leaks: Mapping[str, int]) -> str:
    """Return a sentence about the kinds of leakage and how often they occur at most."""
    groups = {
        "Data leakage, so that scores may show memory": leaks.keys() - LABEL_FAULTS,
        "Faulty labels": leaks.keys() & LABEL_FAULTS,
    }
    return " ".join(
        f"{title}: "
        + ", ".join(
            f"{kind.replace('_', ' ')} ({count:,})" for kind, count in leaks.items() if kind in some
        )
        + "."
        for title, some in groups.items()
        if some
    )


def is_score(name: str) -> bool:
    """Say whether leakage concerns a number of results.json: metrics, not costs or times."""
    return name.startswith(("test/", "val/")) or name == "score"
