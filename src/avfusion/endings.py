"""How programs end: where input is wrong, with one sentence; by SIGTERM, ready to go on."""

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException, InstantiationException
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.utilities.exceptions import SIGTERMException
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from avfusion.console import folded

log = logging.getLogger(__name__)
WRONG_INPUT = (ValueError, OSError, MisconfigurationException, OmegaConfBaseException)


@contextmanager
def one_sentence() -> Iterator[None]:
    """End the program with one sentence where input is wrong; HYDRA_FULL_ERROR=1 shows the rest."""
    try:
        yield
    except (*WRONG_INPUT, InstantiationException) as error:
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
    if isinstance(cause, WRONG_INPUT):
        return str(cause)
    key = str(error).rpartition("full_key: ")[2]
    return f"{key} cannot be built of its values, correct them: {cause}"


@contextmanager
def terminated() -> Iterator[None]:
    """Leave with code 143 where SIGTERM ended the training: it can be gone on with."""
    try:
        yield
    except SIGTERMException:
        log.warning(
            "Ended by SIGTERM. Go on with ckpt_path=%s", HydraConfig.get().runtime.output_dir
        )
        sys.exit(128 + signal.SIGTERM)
