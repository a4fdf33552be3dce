"""Names of the jobs of a sweep, for their folders and for TensorBoard's list of runs."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

LONGEST_VALUE = 32  # characters
LONGEST_NAME = 80  # file systems take 255 bytes, tables and lists of runs far less
DIGITS = 6  # of a digest
SETTINGS_FIRST = ("model",)
REPEATED_LAST = re.compile(r"^(seed|.*split_seed|data\.seed|.*fold)$")
UNSAFE = re.compile(r"[^A-Za-z0-9._+-]+")


def name_jobs(jobs: Sequence[Sequence[str]]) -> list[str]:
    """Name each job by the overrides that are not the same in all of them: ``lowrank_seed1``.

    The model comes first, seeds and folds come last, the other keys in the order in which they were
    given. Numbers of a key have equally many digits, so that names sort as numbers do. A name holds
    letters, digits, dots, signs and underscores, is at most ``LONGEST_NAME`` characters long, and
    no two are the same, not even where file systems ignore case. It depends on the jobs alone:
    the same sweep has the same names again.
    """
    chosen = [dict(map(read_override, overrides)) for overrides in jobs]
    keys = list(dict.fromkeys(key for values in chosen for key in values))
    if len(jobs) == 1:
        differing = [key for key in keys if key in SETTINGS_FIRST or REPEATED_LAST.match(key)]
    else:
        differing = [key for key in keys if len({values.get(key) for values in chosen}) > 1]
    differing.sort(key=lambda key: (key not in SETTINGS_FIRST, bool(REPEATED_LAST.match(key))))

    words = shorten_keys(differing)
    widths = {key: digits_of([values[key] for values in chosen if key in values]) for key in keys}
    names = []
    for values in chosen:
        parts = [
            part_of(key, words[key], values[key].zfill(widths[key]))
            for key in differing
            if key in values
        ]
        name = "_".join(parts).strip(".-_") or "default"
        names.append(shorten(name, LONGEST_NAME))

    counts = Counter(name.casefold() for name in names)
    names = [
        name if counts[name.casefold()] == 1 else with_digest(name, " ".join(overrides))
        for name, overrides in zip(names, jobs, strict=True)
    ]
    before: Counter[str] = Counter()  # of jobs that are given twice
    for place, name in enumerate(names):
        before[name] += 1
        names[place] = name if before[name] == 1 else f"{name}-{before[name]}"
    return names


def name_trial(number: int) -> str:
    """Name a trial of a search, whose values are too many and too long for a name."""
    return f"trial_{number:04d}"


def read_override(override: str) -> tuple[str, str]:
    """Return key and value of an override; one that takes a key away has the value ``none``."""
    key, given, value = override.lstrip("+~").partition("=")
    return key, value.strip("\"'") if given and not override.startswith("~") else "none"


def shorten_keys(keys: Sequence[str]) -> dict[str, str]:
    """Return for each key as many of its last parts as tell it from the other keys."""
    parts = {key: re.split(r"[./@]", key) for key in keys}
    found = {}
    for key in keys:
        for count in range(1, len(parts[key]) + 1):
            end = parts[key][-count:]
            if sum(other[-count:] == end for other in parts.values()) == 1:
                break
        found[key] = ".".join(end)
    return found


def digits_of(values: Sequence[str]) -> int:
    """Return how many digits the largest of whole numbers has, none of other values."""
    return max(map(len, values)) if values and all(value.isdecimal() for value in values) else 0


def part_of(key: str, word: str, value: str) -> str:
    """Return what a name says of one override: ``lowrank``, ``seed1``, ``attention-mlb``.

    Of a path it is the last part, of another long value its beginning, its end and a digest.
    """
    end = value.rstrip("/").rpartition("/")[2] or value
    safe = UNSAFE.sub("-", end).strip("-" if not value.startswith("-") else "") or "empty"
    if len(safe) > LONGEST_VALUE:
        half = (LONGEST_VALUE - DIGITS - 2) // 2
        safe = with_digest(f"{safe[:half].strip('-')}-{safe[-half:].strip('-')}", value)
    if key in SETTINGS_FIRST:
        return safe
    glued = safe[0].isdecimal()
    return f"{UNSAFE.sub('-', word)}{'' if glued else '-'}{safe}"


def shorten(name: str, longest: int) -> str:
    """Return a name of at most so many characters."""
    return name if len(name) <= longest else with_digest(name[: longest - DIGITS - 1], name)


def with_digest(name: str, whole: str) -> str:
    """Return a name that a digest of something longer makes unique."""
    digest = hashlib.sha256(whole.encode()).hexdigest()[:DIGITS]
    return f"{name[: LONGEST_NAME - DIGITS - 1]}-{digest}"
