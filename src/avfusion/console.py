"""Console output: encoding, terminal or file, and the logging handler that writes there.

A terminal gets wrapped lines, progress bars and colors; a file and continuous integration do not.
"""

import locale
import logging
import os
import shutil
import sys
from contextlib import suppress
from typing import Any, TextIO

from avfusion.messages import wrap_lines

# For encodings without these characters.
ASCII_SUBSTITUTES = {"†": "*", "‡": "**", "§": "***", "¶": "****", "±": "+-"}


def use_utf8() -> None:
    """Let libraries write text as UTF-8 in any locale, and escape what a terminal cannot show.

    Every file that is opened here names its encoding. Libraries do not: in the C locale,
    Lightning's metrics.csv fails at a class name with an umlaut.
    """
    if locale.getencoding().lower().replace("-", "") != "utf8":
        with suppress(locale.Error):  # where it is not installed
            locale.setlocale(locale.LC_CTYPE, "C.UTF-8")

    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def is_interactive() -> bool:
    """Say whether stdout is a terminal that a person reads."""
    return sys.stdout.isatty() and not os.environ.get("CI")


def terminal_width() -> int | None:
    """Columns of the terminal; None where lines should not be wrapped."""
    return shutil.get_terminal_size().columns if is_interactive() else None


def replace_unprintable(text: str) -> str:
    """Write a text in ASCII where the encoding of stdout lacks some of its characters."""
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        for character, substitute in ASCII_SUBSTITUTES.items():
            text = text.replace(character, substitute)
        return text.encode("ascii", errors="backslashreplace").decode()

    return text


class WrappingFormatter(logging.Formatter):
    """Format log records in lines that fit the terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Format one record."""
        return wrap_lines(super().format(record), terminal_width())


class ConsoleHandler(logging.StreamHandler[TextIO]):
    """Write to the current ``sys.stdout``, which a progress bar replaces to print above itself."""

    def __init__(self) -> None:
        super().__init__(sys.stdout)

    @property
    def stream(self) -> Any:
        """The current stdout."""
        return sys.stdout

    @stream.setter
    def stream(self, _: Any) -> None:
        """Ignore the stream that the base class sets once."""
