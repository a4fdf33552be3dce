"""Names of the jobs of a sweep, for their folders and for TensorBoard's list of runs."""

import hashlib
import re
from collections import Counter
from collections.abc import Sequence

MAX_VALUE_LENGTH = 32  # characters
MAX_NAME_LENGTH = 80  # file systems take 255 bytes, tables and lists of runs far less
DIGEST_DIGITS = 6
KEYS_IN_FRONT = ("model",)
REPEATED_KEY = re.compile(r"^(seed|.*split_seed|data\.seed|.*fold)$")
UNSAFE_CHARACTERS = re.compile(r"[^A-Za-z0-9._+-]+")


def name_jobs(jobs: Sequence[Sequence[str]]) -> list[str]:
    """Name each job by the overrides that are not the same in all of them: ``lowrank_seed1``.

    The model comes first, seeds and folds come last, the other keys in the order in which they were
    given. Numbers of a key have equally many digits, so that names sort as numbers do. A name holds
    letters, digits, dots, signs and underscores, is at most ``MAX_NAME_LENGTH`` characters long,
    and no two are the same, not even where file systems ignore case. It depends on the jobs alone:
    the same sweep has the same names again.
    """
    chosen = [dict(map(_parse_override, overrides)) for overrides in jobs]
    keys = list(dict.fromkeys(key for values in chosen for key in values))
    if len(jobs) == 1:
        differing = [key for key in keys if key in KEYS_IN_FRONT or REPEATED_KEY.match(key)]
    else:
        differing = [key for key in keys if len({values.get(key) for values in chosen}) > 1]
    differing.sort(key=lambda key: (key not in KEYS_IN_FRONT, bool(REPEATED_KEY.match(key))))

    words = _shorten_keys(differing)
    widths = {key: _count_digits([vs[key] for vs in chosen if key in vs]) for key in keys}
    names = []
    for values in chosen:
        parts = [
            _name_value(key, words[key], values[key].zfill(widths[key]))
            for key in differing
            if key in values
        ]
        name = "_".join(parts).strip(".-_") or "default"
        if len(name) > MAX_NAME_LENGTH:
            name = _append_digest(name, name)
        names.append(name)

    counts = Counter(name.casefold() for name in names)
    names = [
        name if counts[name.casefold()] == 1 else _append_digest(name, " ".join(overrides))
        for name, overrides in zip(names, jobs, strict=True)
    ]
    repetitions: Counter[str] = Counter()  # of jobs that are given twice
    for index, name in enumerate(names):
        repetitions[name] += 1
        names[index] = name if repetitions[name] == 1 else f"{name}-{repetitions[name]}"

    return names


def name_trial(number: int) -> str:
    """Name a trial of a search, whose values are too many and too long for a name."""
    return f"trial_{number:04d}"


def _parse_override(override: str) -> tuple[str, str]:
    """Split an override into key and value; one that deletes a key has the value ``none``."""
    key, given, value = override.lstrip("+~").partition("=")
    return key, value.strip("\"'") if given and not override.startswith("~") else "none"


def _shorten_keys(keys: Sequence[str]) -> dict[str, str]:
    """Keep as many of the last parts of each key as distinguish it from the other keys."""
    parts = {key: re.split(r"[./@]", key) for key in keys}
    shortened = {}
    for key in keys:
        for count in range(1, len(parts[key]) + 1):
            end = parts[key][-count:]
            if sum(other[-count:] == end for other in parts.values()) == 1:
                break
        shortened[key] = ".".join(end)

    return shortened


def _count_digits(values: Sequence[str]) -> int:
    """Count the digits of the largest of whole numbers; zero for other values."""
    return max(map(len, values)) if values and all(value.isdecimal() for value in values) else 0


def _name_value(key: str, word: str, value: str) -> str:
    """Name one override: ``lowrank``, ``seed1``, ``attention-mlb``.

    Of a path it is the last part, of another long value its beginning, its end and a digest.
    """
    end = value.rstrip("/").rpartition("/")[2] or value
    safe = UNSAFE_CHARACTERS.sub("-", end).strip("-" if not value.startswith("-") else "")
    safe = safe or "empty"
    if len(safe) > MAX_VALUE_LENGTH:
        half = (MAX_VALUE_LENGTH - DIGEST_DIGITS - 2) // 2
        safe = _append_digest(f"{safe[:half].strip('-')}-{safe[-half:].strip('-')}", value)

    if key in KEYS_IN_FRONT:
        return safe
    separator = "" if safe[0].isdecimal() else "-"
    return f"{UNSAFE_CHARACTERS.sub('-', word)}{separator}{safe}"


def _append_digest(name: str, content: str) -> str:
    """Make a name unique by a digest of what it stands for."""
    digest = hashlib.sha256(content.encode()).hexdigest()[:DIGEST_DIGITS]
    return f"{name[: MAX_NAME_LENGTH - DIGEST_DIGITS - 1]}-{digest}"
