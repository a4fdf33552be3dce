"""What is printed while work goes on: for a person at a terminal, or for a file."""

import logging
import os
import shutil
import sys
import textwrap
from typing import Any, TextIO


def watched() -> bool:
    """Say whether a person looks on; bars and colours are for them, not for files or CI."""
    return sys.stdout.isatty() and not os.environ.get("CI")


def folded(text: str) -> str:
    """Return lines no longer than the terminal, no word of them broken; else as they are."""
    if not watched():
        return text
    width = shutil.get_terminal_size().columns
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


# Of signs that a locale may lack.
IN_ASCII = {"†": "*", "‡": "**", "§": "***", "¶": "****", "±": "+-"}


def printable(text: str) -> str:
    """Return a text as stdout can show it: in ASCII where its encoding lacks some of the signs."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        for sign, plain in IN_ASCII.items():
            text = text.replace(sign, plain)
        return text.encode("ascii", errors="backslashreplace").decode()
    return text


def span(seconds: float) -> str:
    """Return a time as a person says it."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


class FoldedFormatter(logging.Formatter):
    """Fold what is logged."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the lines of a record."""
        return folded(super().format(record))


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Write to what stdout is at the moment: a progress bar takes it to print above itself."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)

    @property
    def stream(self) -> Any:
        """The stream of the moment."""
        return sys.stdout

    @stream.setter
    def stream(self, _: Any) -> None:
        """Keep none."""
