"""Errors of input, each printed as one sentence."""

import dis
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hydra.errors import CompactHydraException, HydraException, InstantiationException
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from avfusion.console import terminal_width
from avfusion.messages import wrap_lines
from avfusion.run.composition import explain_error

PACKAGE = Path(__file__).parents[1]


def list_input_errors() -> tuple[type[Exception], ...]:
    """Types of errors that wrong input raises; Lightning's where a program has loaded it."""
    lightning = sys.modules.get("lightning.fabric.utilities.exceptions")
    own = [lightning.MisconfigurationException] if lightning else []
    return (ValueError, OSError, OmegaConfBaseException, HydraException, *own)


@contextmanager
def exit_on_input_error() -> Iterator[None]:
    """Exit with one sentence on wrong input; HYDRA_FULL_ERROR=1 shows the traceback instead."""
    try:
        yield
    except list_input_errors() as error:
        if shows_tracebacks():
            raise
        sys.exit(format_error(error))


@contextmanager
def exit_on_refusal() -> Iterator[None]:
    """Exit with one sentence where this package refuses what a program finds while it works.

    Whatever else is raised is a crash, and keeps its traceback.
    """
    try:
        yield
    except (ValueError, OSError) as error:
        if shows_tracebacks() or not is_refusal(error):
            raise
        sys.exit(format_error(error))


def is_refusal(error: BaseException) -> bool:
    """Whether a line of this package that says ``raise`` has raised an error.

    An error of its that Python raises, such as for a file that has gone, is a bug.
    """
    last = error.__traceback__
    if last is None:
        return False
    while last.tb_next is not None:
        last = last.tb_next
    code = last.tb_frame.f_code
    raises = dis.opname[code.co_code[last.tb_lasti]] == "RAISE_VARARGS"
    return raises and Path(code.co_filename).is_relative_to(PACKAGE)


def shows_tracebacks() -> bool:
    """Whether HYDRA_FULL_ERROR=1 asks for tracebacks."""
    return os.environ.get("HYDRA_FULL_ERROR") == "1"


def format_error(error: BaseException, program: str = "train") -> str:
    """Format an error as the only line on stderr."""
    message = " ".join(describe_error(error, program).split())
    return wrap_lines(f"Error: {message}", terminal_width())


def describe_error(error: BaseException, program: str = "train") -> str:
    """Describe what was wrong, with the key where a part could not be built from its values."""
    cause = error.__cause__
    if isinstance(error, MissingMandatoryValue):
        key = getattr(error, "full_key", None) or str(error).rsplit(" ", 1)[-1]
        return explain_missing_value(key)

    if isinstance(error, InstantiationException):
        if cause is None:
            return str(error)
        if isinstance(cause, list_input_errors()) and not isinstance(cause, InstantiationException):
            return str(cause)
        key = str(error).rpartition("full_key: ")[2]
        return f"{key} cannot be built from its values, correct them: {cause}"

    composed = isinstance(error, HydraException) and type(error) is not CompactHydraException
    return explain_error(error, program) if composed else str(error)  # type: ignore[arg-type]


def explain_missing_value(key: str) -> str:
    """Ask for the value of a key."""
    return f"{key} has no value: give it on the command line, as in {key}=..."
