"""Marks of data leakage beside scores, and the footnotes that explain them."""

from collections.abc import Mapping, Sequence
from typing import Any

MARKS = ("†", "‡", "§", "¶")
LABEL_KINDS = {"two_labels_for_one_recording", "untrained_classes"}
PROTOCOL_LEAK = "data/protocol_leak"  # a sentence about a protocol, which is a kind of its own
TEST_VALIDATION = "data/best_epoch_chosen_on_test_clips"  # how many those are
HARMLESS_KINDS = {"same_sound_twice"}  # within a split, as in RAVDESS: recorded, but no leakage


def count_leaks(results: Mapping[str, Any]) -> dict[str, int]:
    """Count each kind of leakage in the data that a run was tested on.

    ``results`` are those of results.json: whole numbers under ``data/`` count leaks, such as
    ``data/shared_subjects`` the subjects that are in more than one split. The sentence about a
    leaky protocol is a kind that counts one.
    """
    found = {}
    for name, value in results.items():
        kind = name.removeprefix("data/")
        counted = isinstance(value, int) and not isinstance(value, bool) and value > 0
        if name.startswith("data/") and counted and kind not in HARMLESS_KINDS:
            found[kind] = value
    if sentence := results.get(PROTOCOL_LEAK):
        found[str(sentence)] = 1

    return found


def find_worst_leaks(runs: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Find the largest count of each kind over the results of several runs."""
    worst: dict[str, int] = {}
    for results in runs:
        for kind, count in count_leaks(results).items():
            worst[kind] = max(count, worst.get(kind, 0))

    return worst


def mark_leaks(found: Sequence[Mapping[str, int]]) -> tuple[list[str], list[str]]:
    """Choose a mark for each set of leaks, and write the footnotes that explain the marks.

    Sets of the same kinds share a mark; without leakage it is empty.
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
    footnotes = [f"{marks[kinds]} {describe_leak_counts(leaks)}" for kinds, leaks in worst.items()]
    return [marks.get(tuple(sorted(leaks)), "") for leaks in found], footnotes


def describe_leak_counts(leaks: Mapping[str, int]) -> str:
    """Describe the kinds of leakage and their counts in a sentence."""
    sentences = [kind for kind in leaks if _is_sentence(kind)]
    groups = {
        "Data leakage, so that scores may show memory": leaks.keys() - LABEL_KINDS - {*sentences},
        "Faulty labels": leaks.keys() & LABEL_KINDS,
    }
    counted = (
        f"{title}: "
        + ", ".join(
            f"{kind.replace('_', ' ')} ({count:,})"
            for kind, count in leaks.items()
            if kind in kinds
        )
        + "."
        for title, kinds in groups.items()
        if kinds
    )
    return " ".join([*counted, *sentences])


def list_leaks(leaks: Mapping[str, int]) -> str:
    """List kinds and counts for programs: ``shared_subjects=91``."""
    return " ".join(
        kind if _is_sentence(kind) else f"{kind}={count}" for kind, count in leaks.items()
    )


def _is_sentence(kind: str) -> bool:
    return kind.endswith(".")


def is_score(name: str) -> bool:
    """Whether leakage affects a number of results.json: it does metrics, not costs or times."""
    return name.startswith(("test/", "val/")) or name == "score"
