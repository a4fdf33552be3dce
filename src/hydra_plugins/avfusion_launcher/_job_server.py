"""The fork server of a sweep: started before its jobs are composed, anew where code has changed."""

import logging
import subprocess
import sys
import weakref
from collections.abc import Sequence
from pathlib import Path
from socket import socket
from threading import Lock
from typing import Any

from omegaconf import DictConfig, OmegaConf

from hydra_plugins.avfusion_launcher import _fork_server_main
from hydra_plugins.avfusion_launcher._fork_client import ForkedPopen, ForkServer, start_server
from hydra_plugins.avfusion_launcher._fork_imports import have_files_changed
from hydra_plugins.avfusion_launcher._fork_protocol import ForkServerError, receive

log = logging.getLogger(__name__)


class JobServer:
    """Start jobs by forks of a process that has imported what they need.

    Where the server cannot fork, jobs are fresh interpreters, as one line of the log says; so are
    single jobs to which a fork would be different (:func:`is_forkable`).

    Args:
        script: The program that all jobs run.
    """

    def __init__(self, script: str) -> None:
        self.script = Path(script)
        self.process: subprocess.Popen[bytes] | None = None
        self.connection: socket | None = None
        self.server: ForkServer | None = None
        self.end_process: weakref.finalize[..., JobServer] | None = None  # at exit, too
        self.modification_times: dict[str, int] = {}
        self.is_stopped = sys.platform != "linux" or not self.script.is_file()
        self.lock = Lock()

    def start(
        self, command: Sequence[str], config: DictConfig, **options: Any
    ) -> "subprocess.Popen[bytes]":
        """Start a job; options are those of ``Popen``, after :meth:`prepare`."""
        if self.server is not None and not self.is_stopped and is_forkable(config):
            devices = str(OmegaConf.select(config, "trainer.devices", default=1))
            try:
                return ForkedPopen(
                    command, server=self.server, needs_server=devices != "1", **options
                )
            except ForkServerError as error:
                self._give_up(str(error))

        return subprocess.Popen(command, **options)

    def start_imports(self, environment: dict[str, str]) -> None:
        """Start the imports that :meth:`prepare` waits for; a sweep that is refused ends them."""
        if self.process is not None or self.is_stopped:
            return
        command = [sys.executable, _fork_server_main.__file__, str(self.script)]
        try:
            self.process, self.connection = start_server(command, environment)
        except OSError as error:
            self._give_up(str(error))
        else:
            self.end_process = weakref.finalize(self, _end_process, self.process, self.connection)
            if self.is_stopped:
                self.process.kill()

    def prepare(self, environment: dict[str, str]) -> None:
        """Wait until jobs can be forked; where code has changed since the imports, import anew."""
        with self.lock:
            self._wait_for_imports()
            if self.server is not None and have_files_changed(self.modification_times):
                log.info("Code has changed: the next jobs import it anew.")
                self._end_server()
            self.start_imports(environment)
            self._wait_for_imports()

    def stop(self) -> None:
        """Fork no more; who waits for imports waits no longer."""
        self.is_stopped = True
        if self.server is None and self.process is not None:
            self.process.kill()

    def _wait_for_imports(self) -> None:
        if self.connection is None or self.server is not None:
            return
        try:
            (obstacle, self.modification_times), _ = receive(self.connection)
            self.server = ForkServer(self.connection)
        except (OSError, EOFError, ForkServerError) as error:
            obstacle = str(error)
        if obstacle:
            self._give_up(obstacle)

    def _give_up(self, reason: str) -> None:
        if not self.is_stopped:
            log.warning("Jobs are fresh interpreters, which start slowly: %s.", reason)
        self.is_stopped = True
        self._end_server()

    def _end_server(self) -> None:
        if self.server is not None:
            self.server.close()
        if self.end_process is not None:
            self.end_process()
        self.server = self.process = self.connection = self.end_process = None


def _end_process(process: "subprocess.Popen[bytes]", connection: socket) -> None:
    connection.close()
    process.kill()
    process.communicate()


def is_forkable(config: DictConfig) -> bool:
    """Whether a fork is like a fresh interpreter to a job with this configuration.

    It is not where Hydra sets variables that libraries read as they are loaded, and Lightning
    prints in another way where it is imported without a log.
    """
    hydra = OmegaConf.to_container(config.hydra, resolve=False)
    assert isinstance(hydra, dict)
    job, logging_config = hydra.get("job") or {}, hydra.get("job_logging") or {}
    return not job.get("env_set") and bool((logging_config.get("root") or {}).get("handlers"))
