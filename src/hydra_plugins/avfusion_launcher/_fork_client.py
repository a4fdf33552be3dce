"""Client of the fork server: it starts the server, and programs as forks of it."""

import ctypes
import inspect
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from threading import Lock
from typing import Any

from hydra_plugins.avfusion_launcher._fork_protocol import (
    HEADER,
    ForkServerError,
    Program,
    receive_bytes,
    send,
)

PR_SET_CHILD_SUBREAPER = 36
PIPE_ARGUMENTS = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
start_by_exec: Any = subprocess.Popen._execute_child  # type: ignore[attr-defined]


def start_server(
    command: Sequence[str], environment: dict[str, str], popen: Any = None
) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    """Start a program that calls ``set_up_server``; its last argument is the connection."""
    ours, theirs = socket.socketpair()
    with theirs:
        process = (popen or subprocess.Popen)(
            [*command, str(theirs.fileno())],
            env=environment,
            stdin=subprocess.PIPE,  # what Python finds out about a pipe holds for all other files
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
        )
    return process, ours


class ForkServer:
    """Handle of the process that forks programs, in the process that asks for them."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.lock = Lock()
        adopt_orphans(True)  # the fork in between ends at once

    def start(self, program: Program, files: Sequence[int]) -> int:
        """Start a program and return its process id."""
        try:
            with self.lock:
                send(self.connection, tuple(program), files)
                process_id = HEADER.unpack(receive_bytes(self.connection, HEADER.size))[0]
        except (OSError, EOFError) as error:
            raise ForkServerError(str(error)) from error

        try:  # to wait for what is no child would look as if it had ended well
            os.waitid(os.P_PID, process_id, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError as error:
            os.kill(process_id, signal.SIGKILL)
            raise ForkServerError("this system lets no process adopt orphans") from error
        return process_id

    def close(self) -> None:
        """Close the connection: the process ends once it has forked what it was asked for."""
        with self.lock:
            self.connection.close()


def adopt_orphans(enabled: bool) -> None:
    """Let this process be the next parent of what its descendants leave behind, or not."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(enabled), 0, 0, 0) != 0:
        raise ForkServerError("this system lets no process adopt orphans (prctl)")


class ForkedPopen(subprocess.Popen[Any]):
    """A ``subprocess.Popen`` that forks programs of Python; other commands run as usual.

    Args:
        server: Forks them; None starts them as usual.
        needs_server: Whether each gets a server of its own.

    Raises:
        ForkServerError: The server has ended.
    """

    def __init__(
        self, *args: Any, server: ForkServer | None, needs_server: bool = False, **options: Any
    ) -> None:
        self.server = server
        self.needs_server = needs_server
        super().__init__(*args, **options)

    def _execute_child(self, *values: Any) -> None:  # private: what every other method builds on
        parameters = inspect.signature(start_by_exec).bind(self, *values).arguments
        arguments = find_arguments(parameters["args"])
        options = [parameters[name] for name in ("preexec_fn", "shell", "executable")]
        if self.server is None or arguments is None or any(options):
            start_by_exec(self, *values)
            return

        descriptors = [0, 1, 2, *parameters["pass_fds"]]
        ends = [parameters["p2cread"], parameters["c2pwrite"], parameters["errwrite"]]
        files = [standard if end == -1 else end for standard, end in enumerate(ends)]
        environment = os.environ if parameters["env"] is None else parameters["env"]
        program = Program(
            arguments,
            {os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()},
            os.path.abspath(os.fsdecode(parameters["cwd"] or ".")),
            bool(parameters["start_new_session"]),
            self.needs_server,
            descriptors,
        )
        self.pid = self.server.start(program, files + descriptors[3:])
        self._child_created = True
        self._close_pipe_fds(*(parameters[name] for name in PIPE_ARGUMENTS))  # type: ignore[attr-defined]


def find_arguments(command: Any) -> list[str] | None:
    """Find the arguments of a command of this Python that names a script or a module."""
    if isinstance(command, str | bytes | os.PathLike):
        return None

    python, *arguments = [os.fsdecode(part) for part in command]
    if python != sys.executable or not arguments:
        return None
    return arguments if arguments[0] == "-m" or not arguments[0].startswith("-") else None
