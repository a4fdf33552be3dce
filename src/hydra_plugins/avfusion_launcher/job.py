"""One job of a sweep: its folder, the record of its end, and its command line."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.errors import CompactHydraException

from avfusion.files import atomic_write

# Overrides that the sweep decides, and a job must not decide again.
SWEEP_KEYS = (
    "hydra/launcher",
    "hydra.launcher",
    "hydra/sweeper",
    "hydra.sweep",
    "hydra.run",
    "hydra.mode",
)
CONFIG_FLAGS = ("--config-name", "-cn", "--config-path", "-cp", "--config-dir", "-cd")


@dataclass
class Job:
    """A job; ``job.json`` in its folder records its overrides and, in the end, its exit code."""

    number: int
    overrides: list[str]
    folder: Path
    config: Any

    @property
    def record(self) -> dict[str, Any]:
        """Content of ``job.json``, empty where the job has never begun."""
        path = self.folder / "job.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def check_same_overrides(self) -> None:
        """Refuse to go on in the folder of another job."""
        before = self.record.get("overrides", self.overrides)
        if before != self.overrides:
            raise CompactHydraException(
                f"{self.folder} holds the job {' '.join(before)}, not {' '.join(self.overrides)}: "
                "resume a sweep with its own overrides, or give another hydra.sweep.dir."
            )

    def is_finished(self) -> bool:
        """Whether this job has ended without an error."""
        return self.record.get("exit_code") == 0

    def record_start(self) -> None:
        """Create the folder and record which job it belongs to."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_record(exit_code=None)

    def record_end(self, exit_code: int) -> None:
        """Record how the job ended."""
        self._write_record(exit_code)

    def _write_record(self, exit_code: int | None) -> None:
        record = {"overrides": self.overrides, "exit_code": exit_code}
        with atomic_write(self.folder / "job.json") as partial:
            partial.write_text(json.dumps(record), encoding="utf-8")

    def read_score(self) -> Any:
        """Read the score that a sweep optimizes, None where the job has written none."""
        path = self.folder / "results.json"
        if not path.is_file():
            return None

        return json.loads(path.read_text(encoding="utf-8")).get("score")

    def find_checkpoint(self) -> Path | None:
        """Find the run folder to resume from, where an unfinished job has left a checkpoint."""
        return self.folder if (self.folder / "checkpoints" / "last.ckpt").is_file() else None


def build_command(job: Job, hydra_overrides: Sequence[str], resume: bool) -> list[str]:
    """Build the command of a single run that does what the job should."""
    kept = [o for o in hydra_overrides if not o.lstrip("+~").startswith(SWEEP_KEYS)]
    command = [sys.executable, sys.argv[0], *_config_flags(sys.argv[1:]), *job.overrides, *kept]
    command += ["hydra.mode=RUN", f"hydra.run.dir={quote_path(job.folder)}"]
    command += [f"hydra.job.num={job.number}"]

    if resume and (checkpoint := job.find_checkpoint()):
        command += [f"ckpt_path={quote_path(checkpoint)}", "init_from=null"]

    return command


def quote_path(path: Path) -> str:
    """Quote a path for Hydra's override grammar."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _config_flags(arguments: Sequence[str]) -> list[str]:
    """Keep the flags that choose a configuration, as they were given."""
    kept = []
    for index, argument in enumerate(arguments):
        if argument in CONFIG_FLAGS:
            kept += [argument, arguments[index + 1]]
        elif argument.startswith(tuple(f"{flag}=" for flag in CONFIG_FLAGS)):
            kept.append(argument)

    return kept


def check_single_process() -> None:
    """Refuse to start a sweep once per process of torchrun or srun."""
    tasks = int(os.environ.get("SLURM_STEP_NUM_TASKS", "1"))
    if "TORCHELASTIC_RUN_ID" in os.environ:
        raise CompactHydraException(
            "A sweep under torchrun would run once per process: start it with python, with "
            "trainer=ddp trainer.devices=<n> for several processes per job."
        )
    if tasks > 1:
        raise CompactHydraException(
            f"A sweep inside an srun of {tasks} tasks would run {tasks} times: start it with one "
            "task (srun --ntasks=1), or submit each job with hydra/launcher=submitit_slurm."
        )
