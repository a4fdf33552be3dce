"""File names for what is written about each clip."""

import re
from collections.abc import Sequence

from avfusion.files import safe_name

MEDIA_SUFFIX = re.compile(
    r"\.(?=\w*[A-Za-z])\w{2,5}$"
)  # .mp4 and .3gp, but not the .2 of a clip's id
WINDOW_SUFFIX = re.compile(r" @ (\d+\.\d+) s$")  # of a recording that was cut
# A folder ends here; a backslash may also stand for a byte that is not UTF-8
# (see ``escape_surrogates``).
PATH_SEPARATOR = re.compile(r"/|\\(?!udc[89a-f][0-9a-f])")
REPETITION_SUFFIX = re.compile(r" \((\d+)\)$")  # of a recording that was named twice


def name_files(clip_ids: Sequence[str]) -> list[str]:
    """Name a file for each clip by the stem of its recording, without a suffix.

    ``talks/Anna 1.mp4`` becomes ``Anna_1``, a window of it ``Anna_1_at_2.25s``. Names hold letters
    of any language, digits, dots, dashes and underscores. No two are the same, not even where file
    systems ignore case: further ones end in ``_2``, ``_3``, ...
    """
    taken: set[str] = set()
    last_numbers: dict[str, int] = {}  # by stem

    names = []
    for clip_id in clip_ids:
        stem = name = _make_stem(clip_id)
        number = last_numbers.get(stem.casefold(), 1)
        while name.casefold() in taken:
            number += 1
            name = f"{stem}_{number}"
        last_numbers[stem.casefold()] = number
        taken.add(name.casefold())
        names.append(name)

    return names


def _make_stem(clip_id: str) -> str:
    """Make a safe name of the recording's file name, and of where the window begins."""
    window = WINDOW_SUFFIX.search(clip_id)
    recording = REPETITION_SUFFIX.sub("", clip_id[: window.start()] if window else clip_id)
    file = PATH_SEPARATOR.split(recording.rstrip("/\\"))[-1]
    stem = safe_name(MEDIA_SUFFIX.sub("", file) or file, "clip")

    return f"{stem}_at_{window[1]}s" if window else stem
