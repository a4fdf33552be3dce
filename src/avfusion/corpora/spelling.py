"""Unicode spelling: the form under which names that look alike are one."""

import re
from functools import lru_cache
from pathlib import Path
from unicodedata import category, normalize

# Invisible, but no format characters (category Cf): the rest of Unicode's Default_Ignorable.
INVISIBLE = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2065\u3164\ufe00-\ufe0f\uffa0\ufff0-\ufff8"
    "\U000e0000-\U000e0fff]"
)


@lru_cache(maxsize=2**16)  # a corpus has few names, each of them many times
def canonical(name: str) -> str:
    """Return the form that all names have in common that look alike.

    Unicode NFKC (full-width forms, ligatures, composed and combining accents), case folded, without
    characters that nobody sees, and with one blank where there are some of any kind. It is for
    comparison alone: names are shown as they are written. The form of a form is itself.
    """
    before, form = None, name
    while form != before:  # folding may undo a composition, and composing a folding
        before = form
        form = normalize("NFKC", normalize("NFKC", visible(form)).casefold())
        form = " ".join(form.split())
    return form


def legible(path: Path | str) -> str:
    r"""Return a path as text that any file can hold; bytes that are not UTF-8 become ``\udc..``."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def visible(name: str) -> str:
    """Return a name, composed (NFC), without the characters that nobody sees.

    Tabs and line ends stay: they look like blanks.
    """
    shown = (c for c in INVISIBLE.sub("", name) if c.isspace() or category(c) not in ("Cf", "Cc"))
    return normalize("NFC", "".join(shown))
