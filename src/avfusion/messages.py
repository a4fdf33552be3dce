"""Text of messages: lists, plurals, durations, wrapped lines and commands to copy."""

import re
import shlex
import textwrap
from collections.abc import Sequence

MAX_ITEM_LENGTH = 200  # characters of an item that is shown whole
UNQUOTED = re.compile(r"[A-Za-z_./][\w./-]*", re.ASCII)  # means itself, to a shell and to Hydra
HYDRA_LITERALS = {"null", "true", "false", "nan", "inf"}  # that Hydra reads as something else


def join_items(items: Sequence[str], limit: int = 10) -> str:
    """Join the first ``limit`` items with commas, shorten long ones, and count the rest."""
    shown = [
        item if len(item) <= MAX_ITEM_LENGTH else f"{item[: MAX_ITEM_LENGTH - 4]} ..."
        for item in items[:limit]
    ]
    rest = f" and {len(items) - limit} more" if len(items) > limit else ""

    return ", ".join(shown) + rest


def pluralize(count: int, noun: str) -> str:
    """Write a count with its noun: ``1 clip``, ``2 clips``."""
    return f"{count} {noun}{'' if count == 1 else 's'}"


def format_duration(seconds: float) -> str:
    """Write a duration in its natural unit: ``7 s``, ``12 min``, ``1 h 40 min``."""
    if seconds < 100:
        return f"{seconds:.0f} s"

    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def wrap_lines(text: str, width: int | None) -> str:
    """Wrap lines at ``width`` columns without breaking a word; None leaves them as they are."""
    if width is None:
        return text

    return "\n".join(
        textwrap.fill(
            line,
            width,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in text.splitlines()
    )


def quote_override(key: str, value: object) -> str:
    """Write ``key=value`` so that, copied to a shell, Hydra reads the value as this very text.

    Blanks, quotes, commas, equals signs, brackets, dollars and letters beyond ASCII keep their
    meaning: https://hydra.cc/docs/advanced/override_grammar/basic/#quoted-values.
    """
    text = str(value)
    if UNQUOTED.fullmatch(text) and text.lower() not in HYDRA_LITERALS:
        return f"{key}={text}"

    # Backslashes count only in front of a quote, and there each of them twice.
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text.replace("${", r"\${"))
    ending = escaped[len(escaped.rstrip("\\")) :]
    return shlex.quote(f"{key}='{escaped}{ending}'")
