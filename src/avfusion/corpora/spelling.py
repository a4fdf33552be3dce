"""Unicode normalization: names that look alike have one form."""

import re
from functools import lru_cache
from pathlib import Path
from unicodedata import category, normalize

# Invisible, but no format characters (category Cf): the rest of Unicode's Default_Ignorable.
INVISIBLE_CHARACTERS = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)


@lru_cache(maxsize=2**16)  # a corpus has few names, each of them many times
def normalize_name(name: str) -> str:
    """Normalize a name to the form that it shares with all names that look like it.

    Unicode NFKC (full-width forms, ligatures, composed and combining accents), case folded, without
    invisible characters, and with one blank for any run of white space. The form is for comparison
    only: names are shown as they are written. Normalizing twice changes nothing more.
    """
    before, form = None, name
    while form != before:  # folding may undo a composition, and composing a folding
        before = form
        form = normalize("NFKC", normalize("NFKC", strip_invisible(form)).casefold())
        form = " ".join(form.split())

    return form


def strip_invisible(name: str) -> str:
    """Compose a name (NFC) and remove its invisible characters.

    Tabs and line ends stay: they look like blanks.
    """
    shown = (
        character
        for character in INVISIBLE_CHARACTERS.sub("", name)
        if character.isspace() or category(character) not in ("Cf", "Cc")
    )
    return normalize("NFC", "".join(shown))


def escape_surrogates(text: Path | str) -> str:
    r"""Write a path or text as valid UTF-8: bytes that are not become ``\udc..``."""
    return str(text).encode("utf-8", "backslashreplace").decode()
