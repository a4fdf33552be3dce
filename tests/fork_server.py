"""Fork server: Python programs that start with torch and Lightning imported.

A new process takes 6 s to import them, a fork of one that has, 0.1 s, and files of configuration
are read once. ``Popen`` is that of
``subprocess``, for commands of Python: the program is a child of the process that starts it, with
session, environment, working directory and files of its own. Whatever it starts in turn (ranks,
jobs of a sweep, kernels of notebooks) is forked, too, from a second fork that was made before it
began; what ``multiprocessing`` starts is not touched.

For tests of what happens while Python starts (imports, threads of OpenMP, locale) there is
``subprocess``.
"""

import atexit
import ctypes
import fcntl
import gc
import importlib
import inspect
import os
import pickle
import pkgutil
import runpy
import signal
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any, NamedTuple

IMPORTED = """
lightning lightning.pytorch.loggers torch._dynamo torch.distributed.run torch.utils.tensorboard
torchmetrics hydra.core.plugins optuna scipy.stats matplotlib.figure
matplotlib.backends.backend_agg tensorboard.backend.event_processing.event_accumulator
"""
OURS = ("avfusion", "hydra_plugins")
CONF = Path(__file__).resolve().parents[1] / "conf"
ABOVE = 1000  # numbers of files that no program asks for
PR_SET_CHILD_SUBREAPER = 36
ARROWS = "jemalloc_bg_thd"  # a thread of pyarrow's allocator, which begins it anew in forks
HELD_BACK = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
original_execute = subprocess.Popen._execute_child

# Bytecode is kept even where the environment says otherwise: without it, each of the processes
# (workers of pytest, this server, those that tests start) compiles torch and Lightning anew, for
# 7 s, and pytest rewrites all tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


class Program(NamedTuple):
    """A command of Python; ``files`` are the numbers that the files sent with it shall have."""

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    new_session: bool
    files: list[int]


class Server:
    """The process that forks programs, seen from the one that starts them."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.owner = os.getpid()
        self.asking = Lock()
        # The fork in between ends at once, and its child becomes one of this process.
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)

    def start(self, program: Program, files: list[int]) -> int:
        """Start a program and return its process id."""
        request = pickle.dumps(tuple(program))
        with self.asking:
            socket.send_fds(self.connection, [struct.pack("q", len(request))], files)
            self.connection.sendall(request)
            return struct.unpack("q", receive(self.connection, 8))[0]


class Popen(subprocess.Popen):
    """A ``subprocess.Popen`` that forks programs of Python; other commands run as usual."""

    def _execute_child(self, *values: Any) -> None:  # private: what every other method builds on
        given = inspect.signature(original_execute).bind(self, *values).arguments
        arguments = program_arguments(given["args"])
        plain = not (given["preexec_fn"] or given["shell"] or given["executable"])
        if arguments is None or not plain or sys.platform != "linux":
            return original_execute(self, *values)
        targets = [0, 1, 2, *given["pass_fds"]]
        ends = [given["p2cread"], given["c2pwrite"], given["errwrite"]]
        files = [number if end == -1 else end for number, end in enumerate(ends)]
        environment = os.environ if given["env"] is None else given["env"]
        program = Program(
            arguments,
            {os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()},
            os.path.abspath(os.fsdecode(given["cwd"] or ".")),
            bool(given["start_new_session"]),
            targets,
        )
        self.pid = find_server().start(program, files + targets[3:])
        self._child_created = True
        self._close_pipe_fds(*(given[name] for name in PIPES))


PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")


def run(command: list, **options: Any) -> subprocess.CompletedProcess:
    """Run a program to its end, as ``subprocess.run`` does, and read what it writes."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with Popen(command, **pipes | options) as process:
        output, errors = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


def program_arguments(command: Any) -> list[str] | None:
    """Arguments of this Python where they name a script or a module, nothing where they do not."""
    if isinstance(command, str | bytes | os.PathLike):
        return None
    python, *arguments = [os.fsdecode(part) for part in command]
    while arguments[:1] == ["-u"]:
        arguments = arguments[1:]
    if python != sys.executable or not arguments:
        return None
    runs = arguments[0] == "-m" or not arguments[0].startswith("-")
    return arguments if runs else None


_server: Server | None = None


def find_server() -> Server:
    """The server of this process, which starts with the first program."""
    global _server
    if _server is None or _server.owner != os.getpid():
        ours, theirs = socket.socketpair()
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        process = Popen.__base__(
            [sys.executable, __file__, str(theirs.fileno())],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        _server = Server(ours)
        atexit.register(_end, ours, process)
    return _server


def _end(connection: socket.socket, process: subprocess.Popen) -> None:
    connection.close()
    process.wait()


def receive(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or an EOFError."""
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise EOFError("The fork server has ended.")
        parts += part
    return parts


def serve(connection: socket.socket) -> tuple[Program, list[int]]:
    """Fork a program for each request until its owner ends; return in the forks alone."""
    while True:
        header, files, *_ = socket.recv_fds(connection, 8, 64)
        if not header:
            os._exit(0)
        header += receive(connection, 8 - len(header))
        program = Program(*pickle.loads(receive(connection, struct.unpack("q", header)[0])))
        told, tells = os.pipe()
        between = os.fork()
        if between == 0:
            forked = os.fork()
            if forked == 0:
                connection.close()
                return program, files
            os.write(tells, struct.pack("q", forked))
            os._exit(0)
        for number in (*files, tells):
            os.close(number)
        forked = os.read(told, 8)
        os.close(told)
        os.waitpid(between, 0)  # before its child is waited for by who asked
        connection.sendall(forked)


def begin(program: Program, files: list[int]) -> tuple[Program, list[int]]:
    """Give a fork its session and a server of its own; the server returns in its own forks."""
    while True:
        if program.new_session:
            os.setsid()
        ours, theirs = socket.socketpair()
        if os.fork():
            theirs.close()
            global _server
            _server = Server(ours)
            return program, files
        ours.close()
        for number in files:
            os.close(number)
        program, files = serve(theirs)


def become(program: Program, files: list[int]) -> None:
    """Give a fork the files, folder, environment and arguments of its program."""
    files = [fcntl.fcntl(number, fcntl.F_DUPFD, ABOVE) for number in files]
    for number in map(int, os.listdir("/proc/self/fd")):
        if 2 < number < ABOVE and number != _server.connection.fileno():
            with suppress(OSError):  # the listing itself
                os.close(number)
    connection = fcntl.fcntl(_server.connection, fcntl.F_DUPFD_CLOEXEC, ABOVE)
    _server.connection.close()
    _server.connection = socket.socket(fileno=connection)
    for number, target in zip(files, program.files, strict=True):
        os.dup2(number, target)
        os.close(number)
    sys.stdin = sys.__stdin__ = open(0, closefd=False, encoding="utf-8")
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False, encoding="utf-8")
    errors = {"errors": "backslashreplace", "buffering": 1}
    sys.stderr = sys.__stderr__ = open(2, "w", closefd=False, encoding="utf-8", **errors)
    os.chdir(program.folder)
    os.environ.clear()
    os.environ.update(program.environment)
    sys.argv = program.arguments
    for number in HELD_BACK:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)


def run_program(program: Program) -> Any:
    """Run a script or a module as Python does; what it raises ends the process as it would."""
    paths = [path for path in program.environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:0] = [os.path.abspath(path) for path in paths]
    first, *others = program.arguments
    if first == "-m":
        sys.path.insert(0, os.getcwd())
        sys.argv = others
        return runpy.run_module(others[0], run_name="__main__", alter_sys=True)
    script = Path(first).absolute()
    sys.path.insert(0, str(script.resolve().parent))
    main = ModuleType("__main__")
    main.__file__ = str(script)
    sys.modules["__main__"] = main
    exec(compile(script.read_bytes(), main.__file__, "exec"), vars(main))


def keep_configurations() -> None:
    """Let Hydra read a file of configuration once, and merge the same files once.

    To compose takes a quarter of the time. What overrides change comes after, each time anew.
    """
    # Private: what reads files, what merges them, and a map that a third of the rest was for, of
    # lists of defaults with references, of which few have any.
    from hydra._internal import defaults_list as hydra_defaults
    from hydra._internal.config_loader_impl import ConfigLoaderImpl
    from hydra._internal.config_repository import ConfigRepository, IConfigRepository

    read, read_before = ConfigRepository.load_config, {}
    merge, merged_before = ConfigLoaderImpl._compose_config_from_defaults_list, {}
    map_choices = hydra_defaults._create_interpolation_map

    def places(repository: IConfigRepository) -> tuple:
        return tuple((source.provider, source.path) for source in repository.get_sources())

    def load_config(repository: ConfigRepository, config_path: str) -> Any:
        key = (config_path, places(repository))
        if key not in read_before:
            read_before[key] = pickle.dumps(read(repository, config_path))
        return pickle.loads(read_before[key])

    def merge_files(self: ConfigLoaderImpl, defaults: list, repo: IConfigRepository) -> Any:
        key = (str([vars(default) for default in defaults]), places(repo))
        if key not in merged_before:
            merged_before[key] = pickle.dumps(merge(self, defaults, repo))
        return pickle.loads(merged_before[key])

    def map_where_needed(overrides: Any, defaults: list, self_added: bool) -> Any:
        referring = any(default.is_interpolation() for default in defaults)
        return map_choices(overrides, defaults, self_added) if referring else None

    ConfigRepository.load_config = load_config
    ConfigLoaderImpl._compose_config_from_defaults_list = merge_files
    hydra_defaults._create_interpolation_map = map_where_needed


def import_all() -> None:
    """Import what programs import, and check that no thread was started by it."""
    for name in IMPORTED.split():
        importlib.import_module(name)
    for package in map(importlib.import_module, OURS):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            with suppress(ImportError):  # an optional package is not there
                importlib.import_module(module.name)
    importlib.import_module("hydra.core.plugins").Plugins.instance()
    hydra = importlib.import_module("hydra")
    threads = [task.read_text().strip() for task in Path("/proc/self/task").glob("*/comm")]
    others = [name for name in threads[1:] if name != ARROWS]
    assert not others, f"forks would lack the threads {others}"
    keep_configurations()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        hydra.compose("train")
    gc.collect()
    gc.freeze()  # collecting would copy the memory that is shared
    atexit.register(gc.unfreeze)


if __name__ == "__main__":
    sys.modules["fork_server"] = sys.modules["__main__"]
    subprocess.Popen = Popen  # before others import it by name
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    del sys.path[0]  # the folder of this script
    import_all()
    started = begin(*serve(socket.socket(fileno=int(sys.argv[1]))))
    become(*started)
    run_program(started[0])
