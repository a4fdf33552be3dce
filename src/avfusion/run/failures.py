"""Failed trainings: their results, and the exit code of the program.

Apart from ``errors``, which must not import Lightning.
"""

import logging
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L

from avfusion.callbacks.finite_numbers import NotFiniteError
from avfusion.run.results import write_results

log = logging.getLogger(__name__)


@contextmanager
def record_failure(folder: Path, trainer: L.Trainer) -> Iterator[None]:
    """Write results with ``status: failed`` and exit with code 1 where numbers are not finite."""
    try:
        yield
    except NotFiniteError as error:
        if trainer.is_global_zero:
            failure = {"failure": str(error), "failed_step": error.step, "failed_part": error.part}
            write_results(folder, {"status": "failed", "epochs": error.epoch} | failure)
            log.error("%s", error)
        # An exit code of another process would let Lightning kill the first before it has written.
        sys.exit(1 if trainer.is_global_zero else 0)


def find_test_status(results: dict[str, Any]) -> dict[str, str]:
    """Status of a tested run: failed where the loss of the test is not finite."""
    loss = results.get("test/loss", 0.0)
    if math.isfinite(loss):
        return {"status": "finished"}

    return {"status": "failed", "failure": f"test/loss is {loss}, though training was finite."}
