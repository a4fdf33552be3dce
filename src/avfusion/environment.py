"""What programs take from the environment: where data lies, and which letters they can write."""

import locale
import os
import sys
from contextlib import suppress


def data_folder() -> str:
    """Return the folder of data and stores: ``AVFUSION_DATA``, or ``data`` where it is empty."""
    return os.environ.get("AVFUSION_DATA", "").strip() or "data"


def write_utf8() -> None:
    """Let libraries write text as UTF-8 in any locale, and print as escapes what a terminal lacks.

    Every file that is opened here names its encoding. Libraries do not: in the locale of C,
    Lightning's metrics.csv fails at a class name with an umlaut.
    """
    if locale.getencoding().lower().replace("-", "") != "utf8":
        with suppress(locale.Error):  # where it is not installed
            locale.setlocale(locale.LC_CTYPE, "C.UTF-8")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
