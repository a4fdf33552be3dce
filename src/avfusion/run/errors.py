"""How programs end where input is wrong: with one sentence."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import CompactHydraException, HydraException, InstantiationException
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from avfusion.console import terminal_width
from avfusion.messages import wrap_lines
from avfusion.run.composition import explain


def wrong_input() -> tuple[type[Exception], ...]:
    """Return the errors that wrong input leads to; Lightning's where a program has loaded it."""
    lightning = sys.modules.get("lightning.fabric.utilities.exceptions")
    own = [lightning.MisconfigurationException] if lightning else []
    return (ValueError, OSError, OmegaConfBaseException, HydraException, *own)


@contextmanager
def one_sentence() -> Iterator[None]:
    """End the program with one sentence where input is wrong; HYDRA_FULL_ERROR=1 shows the rest."""
    try:
        yield
    except wrong_input() as error:
        if full_errors():
            raise
        sys.exit(as_sentence(error))


def full_errors() -> bool:
    """Say whether tracebacks are asked for, as Hydra lets people do."""
    return os.environ.get("HYDRA_FULL_ERROR") == "1"


def as_sentence(error: BaseException, program: str = "train") -> str:
    """Return the sentence that stands alone on stderr."""
    return wrap_lines(f"Error: {' '.join(sentence_of(error, program).split())}", terminal_width())


def sentence_of(error: BaseException, program: str = "train") -> str:
    """Return what was wrong; with the key where a part was built of values it did not expect."""
    cause = error.__cause__
    if isinstance(error, MissingMandatoryValue):
        return no_value(getattr(error, "full_key", None) or str(error).rsplit(" ", 1)[-1])
    if isinstance(error, InstantiationException):
        if cause is None:
            return str(error)
        if isinstance(cause, wrong_input()) and not isinstance(cause, InstantiationException):
            return str(cause)
        key = str(error).rpartition("full_key: ")[2]
        return f"{key} cannot be built of its values, correct them: {cause}"
    composed = isinstance(error, HydraException) and type(error) is not CompactHydraException
    return explain(error, program) if composed else str(error)  # type: ignore[arg-type]


def no_value(key: str) -> str:
    """Return the sentence that asks for a value."""
    return f"{key} has no value: give it on the command line, as in {key}=..."
