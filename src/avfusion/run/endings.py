"""How programs end where input is wrong: with one sentence."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import CompactHydraException, InstantiationException
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from avfusion.console import folded


def wrong_input() -> tuple[type[Exception], ...]:
    """Return the errors that wrong input leads to; Lightning's where a program has loaded it."""
    lightning = sys.modules.get("lightning.fabric.utilities.exceptions")
    own = [lightning.MisconfigurationException] if lightning else []
    return (ValueError, OSError, OmegaConfBaseException, InstantiationException, *own)


@contextmanager
def one_sentence() -> Iterator[None]:
    """End the program with one sentence where input is wrong; HYDRA_FULL_ERROR=1 shows the rest."""
    try:
        yield
    except wrong_input() as error:
        if os.environ.get("HYDRA_FULL_ERROR") == "1":
            raise
        sentence = sentence_of(error)
        if isinstance(error, MissingMandatoryValue):
            key = getattr(error, "full_key", None) or sentence.rsplit(" ", 1)[-1]
            sentence = f"{key} has no value: give it on the command line, as in {key}=..."
        raise CompactHydraException(folded(f"Error: {' '.join(sentence.split())}")) from None


def sentence_of(error: BaseException) -> str:
    """Return what was wrong; with the key where a part was built of values it did not expect."""
    cause = error.__cause__
    if not isinstance(error, InstantiationException) or cause is None:
        return str(error)
    if isinstance(cause, wrong_input()) and not isinstance(cause, InstantiationException):
        return str(cause)
    key = str(error).rpartition("full_key: ")[2]
    return f"{key} cannot be built of its values, correct them: {cause}"
