"""Names of files about recordings."""

import re
from collections.abc import Sequence

LONGEST = 150  # bytes of a stem; file systems take 255, of which endings need some
SUFFIX = re.compile(r"\.(?=\w*[A-Za-z])\w{2,5}$")  # .mp4 and .3gp, but not the .2 of a clip's id
WINDOW = re.compile(r" @ (\d+\.\d+) s$")  # of a recording that was cut
# A folder ends here; a backslash may also stand for a byte that is not UTF-8
# (see ``escape_surrogates``).
SEPARATOR = re.compile(r"/|\\(?!udc[89a-f][0-9a-f])")
AGAIN = re.compile(r" \((\d+)\)$")  # of a recording that was named twice


def name_files(clip_ids: Sequence[str]) -> list[str]:
    """Name a file for each clip by the stem of its recording, without a suffix.

    ``talks/Anna 1.mp4`` becomes ``Anna_1``, a window of it ``Anna_1_at_2.25s``. Names hold letters
    of any language, digits, dots, dashes and underscores. No two are the same, not even where file
    systems ignore case: further ones end in ``_2``, ``_3``, ...
    """
    taken: set[str] = set()
    last: dict[str, int] = {}  # number of each stem
    names = []
    for clip_id in clip_ids:
        stem = name = stem_of(clip_id)
        number = last.get(stem.casefold(), 1)
        while name.casefold() in taken:
            number += 1
            name = f"{stem}_{number}"
        last[stem.casefold()] = number
        taken.add(name.casefold())
        names.append(name)
    return names


def stem_of(clip_id: str) -> str:
    """Return a safe name for what a clip's id calls its recording, and for where it was cut."""
    window = WINDOW.search(clip_id)
    whole = AGAIN.sub("", clip_id[: window.start()] if window else clip_id)
    file = SEPARATOR.split(whole.rstrip("/\\"))[-1]
    named = SUFFIX.sub("", file) or file
    safe = re.sub(r"[^\w.-]+", "_", named).strip("._-").encode()
    stem = safe[:LONGEST].decode(errors="ignore") or "clip"  # no part of a character
    return f"{stem}_at_{window[1]}s" if window else stem
