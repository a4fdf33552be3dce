"""Fork server: Python programs that start with torch and Lightning imported.

A fresh interpreter imports for 6 s of CPU time before a job begins, and takes its modules apart for
2 s in the end; a fork of a process that has imported the same takes 0.1 s. That process, the
server, is a fresh interpreter that runs ``_fork_server_main.py``, in the environment that jobs are
given: what is read from it when Python starts or a library is loaded (OMP_NUM_THREADS,
PYTHONHASHSEED, locale) holds for the forks, too. It only imports, and forks only where that has
started no thread and touched no device.

A program is a child of the process that asks for it, with session, environment, working directory
and files of its own, so that its exit code, a signal that ends it and its process id are what
``subprocess`` reports for any other. Unless PYTHONHASHSEED is set, programs of one server share the
seed of ``hash``, in which fresh interpreters differ.
"""

import os
import signal
import socket
import sys
from pathlib import Path
from time import sleep
from typing import NoReturn

from hydra_plugins.avfusion_launcher._fork_client import ForkServer, adopt_orphans
from hydra_plugins.avfusion_launcher._fork_imports import (
    find_obstacle,
    import_modules,
    list_imports,
    list_modules,
    read_modification_times,
)
from hydra_plugins.avfusion_launcher._fork_protocol import HEADER, Program, receive, send
from hydra_plugins.avfusion_launcher._forked_program import (
    BLOCKED_SIGNALS,
    run_program,
    set_up_program,
)

# What jobs import later: the first optimizer, the logger and, where they are installed, pyarrow and
# Lightning.
LATER_IMPORTS = ("torch._dynamo", "torch.utils.tensorboard", "pandas", "s3fs")


def set_up_server() -> socket.socket:
    """Make this process a server that no signal reaches; return the connection to its owner."""
    signal.pthread_sigmask(signal.SIG_BLOCK, BLOCKED_SIGNALS)
    adopt_orphans(False)
    devnull = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(devnull, standard)
    os.close(devnull)
    return socket.socket(fileno=int(sys.argv[-1]))


def fork_programs(connection: socket.socket) -> tuple[Program, list[int]]:
    """Fork a program for each request until its owner ends; return in the forks alone."""
    while True:
        try:
            message, files = receive(connection)
        except (OSError, EOFError):
            os._exit(0)

        program = Program(*message)
        pid_reader, pid_writer = os.pipe()
        child_id = os.fork()
        if child_id == 0:
            intermediate_id, forked_id = os.getpid(), -1
            try:
                forked_id = os.fork()
            finally:
                if forked_id:
                    os._exit(0)
            if program.new_session:  # before its process group can be asked for, or killed
                os.setsid()
            os.write(pid_writer, HEADER.pack(os.getpid()))
            for descriptor in (connection.fileno(), pid_reader, pid_writer):
                os.close(descriptor)
            connection.detach()
            while os.getppid() == intermediate_id:  # until it is adopted
                sleep(0.001)
            return program, files

        for descriptor in (*files, pid_writer):
            os.close(descriptor)
        answer = os.read(pid_reader, HEADER.size)
        os.close(pid_reader)
        os.waitpid(child_id, 0)  # before the client waits for its child
        if not answer:
            os._exit(1)  # no memory for another process
        connection.sendall(answer)


def fork_rank_server(
    program: Program, files: list[int]
) -> tuple[Program, list[int], ForkServer | None]:
    """Fork a server for a program that needs one, which returns in its own forks."""
    while True:
        if not program.needs_server:
            return program, files, None
        ours, theirs = socket.socketpair()
        if os.fork():
            theirs.close()
            return program, files, ForkServer(ours)
        ours.close()
        for descriptor in files:
            os.close(descriptor)
        program, files = fork_programs(theirs)


def main(script: Path) -> NoReturn:
    """Import what a script and its jobs import, and serve; run programs in the forks."""
    import avfusion
    from avfusion.threads import set_up_threads

    connection = set_up_server()
    set_up_threads()
    environment = dict(os.environ)
    own_modules = list_modules(Path(str(avfusion.__file__)).parent)
    import_modules([*list_imports(script), *own_modules, *LATER_IMPORTS])
    del sys.path[0]

    send(connection, (find_obstacle(), read_modification_times()))
    program, files, server = fork_rank_server(*fork_programs(connection))
    set_up_program(program, files, server, environment)
    run_program(program)
