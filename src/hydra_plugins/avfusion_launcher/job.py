"""One job of a sweep: its folder, its memory of being done, and its command line."""

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hydra.errors import CompactHydraException

# What the sweep decides and a job must not decide again.
CONTROL = "hydra/launcher hydra.launcher hydra/sweeper hydra.sweep hydra.run hydra.mode".split()
FLAGS = ("--config-name", "-cn", "--config-path", "-cp", "--config-dir", "-cd")


@dataclass
class Job:
    """A job; ``job.json`` in its folder keeps its overrides and, in the end, its exit code."""

    number: int
    overrides: list[str]
    folder: Path
    config: Any

    @property
    def memory(self) -> dict[str, Any]:
        """What was kept of this job, nothing where it never began."""
        path = self.folder / "job.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    def check_same(self) -> None:
        """Refuse to go on with what another job left in this folder."""
        before = self.memory.get("overrides", self.overrides)
        if before != self.overrides:
            raise CompactHydraException(
                f"{self.folder} holds the job {' '.join(before)}, not {' '.join(self.overrides)}: "
                "resume a sweep with its own overrides, or give another hydra.sweep.dir."
            )

    def done(self) -> bool:
        """Say whether this job has ended well."""
        return self.memory.get("exit_code") == 0

    def begin(self) -> None:
        """Remember which job this folder belongs to."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.keep({"overrides": self.overrides, "exit_code": None})

    def end(self, code: int) -> None:
        """Remember how the job ended."""
        self.keep({"overrides": self.overrides, "exit_code": code})

    def keep(self, memory: dict[str, Any]) -> None:
        """Write the memory, whole or not at all."""
        partial = self.folder / "job.json.partial"
        partial.write_text(json.dumps(memory), encoding="utf-8")
        os.replace(partial, self.folder / "job.json")

    def score(self) -> Any:
        """Return what a sweep optimises, where the job says so."""
        path = self.folder / "results.json"
        if not path.is_file():
            return None
        return json.loads(path.read_text(encoding="utf-8")).get("score")

    def checkpoint(self) -> Path | None:
        """Return the folder to continue from, where an unfinished job left a checkpoint."""
        return self.folder if (self.folder / "checkpoints" / "last.ckpt").is_file() else None


def command_line(job: Job, hydra_overrides: Sequence[str], resume: bool) -> list[str]:
    """Return the command of a single run that does what the job should."""
    kept = [o for o in hydra_overrides if not o.lstrip("+~").startswith(tuple(CONTROL))]
    command = [sys.executable, sys.argv[0], *config_flags(sys.argv[1:]), *job.overrides, *kept]
    command += ["hydra.mode=RUN", f"hydra.run.dir={quoted(job.folder)}"]
    command += [f"hydra.job.num={job.number}"]
    if resume and (checkpoint := job.checkpoint()):
        command += [f"ckpt_path={quoted(checkpoint)}", "init_from=null"]
    return command


def quoted(path: Path) -> str:
    """Return a path as the override grammar reads it, whatever it holds."""
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def config_flags(arguments: Sequence[str]) -> list[str]:
    """Return the options that choose a configuration, as they were given."""
    kept = []
    for place, argument in enumerate(arguments):
        if argument in FLAGS:
            kept += [argument, arguments[place + 1]]
        elif argument.startswith(tuple(f"{flag}=" for flag in FLAGS)):
            kept.append(argument)
    return kept


def check_surroundings() -> None:
    """Refuse to start a sweep once per process of a run of several processes."""
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
