"""A forked program: what makes a fork like a fresh interpreter, and runs a script in it."""

import atexit
import fcntl
import gc
import importlib
import io
import os
import runpy
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, NoReturn

from hydra_plugins.avfusion_launcher._fork_client import ForkedPopen, ForkServer
from hydra_plugins.avfusion_launcher._fork_protocol import ForkServerError, Program

THREADS_VARIABLE = "OMP_NUM_THREADS"
MIN_UNUSED_DESCRIPTOR = 1000  # above all that programs ask for
# Signals that a server does not react to; its forks do, once they are set up.
BLOCKED_SIGNALS = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}


def set_up_program(
    program: Program, files: list[int], server: ForkServer | None, environment: dict[str, str]
) -> None:
    """Give a fork the files, folder, environment and arguments of its program.

    ``environment`` is that before the imports: what they have changed in it, they would change
    in a fresh interpreter, too.
    """
    files = [_move_descriptor(file) for file in files]
    if server is not None:
        inherited = server.connection.detach()
        server.connection = socket.socket(fileno=_move_descriptor(inherited, fcntl.F_DUPFD_CLOEXEC))
    for file, descriptor in zip(files, program.descriptors, strict=True):
        os.dup2(file, descriptor)
        os.close(file)
    # The same objects, which libraries have kept, with what depends on the file.
    interactive = sys.stdout.line_buffering or os.isatty(1)
    sys.stdout.reconfigure(line_buffering=interactive)  # type: ignore[union-attr]

    changed = {k: v for k, v in os.environ.items() if environment.get(k) != v}
    server_threads = os.environ.get(THREADS_VARIABLE)
    os.chdir(program.folder)
    os.environ.clear()
    os.environ.update(program.environment | changed)
    threads = program.environment.get(THREADS_VARIABLE, "")
    if threads.isdigit() and threads != server_threads and "torch" in sys.modules:
        # OpenMP has read the variable before; a rank is given its share of the cores.
        sys.modules["torch"].set_num_threads(int(threads))
    # By chance, as when these are loaded; other generators notice a fork.
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.seed()

    if server is not None:
        fork_ranks(server)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, BLOCKED_SIGNALS)


def _move_descriptor(descriptor: int, command: int = fcntl.F_DUPFD) -> int:
    """Give an open file a descriptor that no program asks for."""
    limit = os.sysconf("SC_OPEN_MAX")  # which may be lower
    lowest = min(MIN_UNUSED_DESCRIPTOR, limit // 2) if limit > 0 else MIN_UNUSED_DESCRIPTOR
    moved = fcntl.fcntl(descriptor, command, lowest)
    os.close(descriptor)
    return moved


def fork_ranks(server: ForkServer) -> None:
    """Let Lightning fork the other ranks of a job, from a process as clean as the job began.

    Those of a run outside of a sweep are fresh interpreters: there is no such process, and to make
    one, the run would import everything before it knows whether its command is right.
    """

    def start(command: Any, **options: Any) -> "subprocess.Popen[Any]":
        try:
            return ForkedPopen(command, server=server, **options)
        except ForkServerError:
            return subprocess.Popen(command, **options)

    # Private: Lightning has no other way to say how a rank is started.
    module: Any = importlib.import_module(
        "lightning.pytorch.strategies.launchers.subprocess_script"
    )
    module.subprocess = SimpleNamespace(Popen=start)


def run_program(program: Program) -> NoReturn:
    """Run a script or a module, and end as Python does, but at once.

    To take thousands of modules apart takes Python 2 s, and makes no difference; forks
    by ``multiprocessing`` end in the same way.
    """
    status, interrupted = 0, False
    try:
        _run_main(program)
    except SystemExit as error:
        if isinstance(error.code, int):
            status = error.code
        elif error.code is not None:
            status = 1
            print(error.code, file=sys.stderr)
    except BaseException as error:
        status, interrupted = 1, isinstance(error, KeyboardInterrupt)
        frames = error.__traceback__
        while frames is not None and frames.tb_frame.f_code.co_filename == __file__:
            frames = frames.tb_next
        sys.excepthook(type(error), error.with_traceback(frames), frames)

    # Private: what Python calls before it ends.
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for kind in (io.TextIOWrapper, io.BufferedWriter):  # files that were left open
        for file in [*gc.get_objects(), sys.stdout, sys.stderr]:
            if issubclass(type(file), kind):
                with suppress(Exception):
                    file.flush()
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(status & 0xFF)


def _run_main(program: Program) -> None:
    """Set paths, arguments and ``__main__`` as Python does for a program, and run it."""
    first, *others = program.arguments
    if first == "-m":
        sys.path.insert(0, os.getcwd())
        sys.argv = others
        runpy.run_module(others[0], run_name="__main__", alter_sys=True)
        return

    script = Path(first).absolute()
    sys.argv = program.arguments
    if not sys.flags.safe_path:
        sys.path.insert(0, str(script.resolve().parent))
    main = ModuleType("__main__")
    main.__file__ = str(script)
    sys.modules["__main__"] = main
    exec(compile(script.read_bytes(), main.__file__, "exec"), vars(main))
