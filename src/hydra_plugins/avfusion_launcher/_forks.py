"""Fork server: Python programs that start with torch and Lightning imported.

A fresh interpreter imports for 6 s of CPU time before a job begins, and takes its modules apart for
2 s in the end; a fork of a process that has imported the same takes 0.1 s. That process, the
server, is this file run as a program by a fresh interpreter, in the environment that jobs are
given: what is read from it when Python starts or a library is loaded (OMP_NUM_THREADS,
PYTHONHASHSEED, locale) holds for the forks, too. It only imports, and forks only where that has
started no thread and touched no device.

A program is a child of the process that asks for it, with session, environment, working directory
and files of its own, so that its exit code, a signal that ends it and its process id are what
``subprocess`` says of any other. Unless PYTHONHASHSEED is set, programs of one server share the
seed of ``hash``, in which fresh interpreters differ.
"""

import ast
import atexit
import ctypes
import fcntl
import gc
import importlib
import inspect
import io
import logging
import os
import pickle
import runpy
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from time import sleep
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple, NoReturn

# What jobs import later: the first optimizer, the logger and, where they are installed, pyarrow and
# Lightning.
IMPORTED = ("torch._dynamo", "torch.utils.tensorboard", "pandas", "s3fs")
THREADS_VARIABLE = "OMP_NUM_THREADS"
START_THREADS = {"onnxruntime"}  # which torchmetrics imports wherever it is installed
UNUSED_NUMBER = 1000  # of files: above all that programs ask for
PR_SET_CHILD_SUBREAPER = 36
ALLOCATOR_THREAD = "jemalloc_bg_thd"  # of pyarrow, whose allocator starts it again in forks
HELD_BACK = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
HEADER = struct.Struct("q")
original_execute: Any = subprocess.Popen._execute_child  # type: ignore[attr-defined]


class Program(NamedTuple):
    """A command of Python.

    Attributes:
        arguments: Path of a script, or ``-m`` and the name of a module, and its arguments.
        environment: All variables.
        folder: Working directory.
        new_session: Whether it leads a session of its own.
        forks: Whether it gets a server of its own, for its ranks.
        files: The numbers that the files sent with it shall have.
    """

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    new_session: bool
    forks: bool
    files: list[int]


class ForkServerError(RuntimeError):
    """The server has ended, or could not fork."""


class ForkServer:
    """The process that forks programs, seen from the one that starts them."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.asking = Lock()
        adopt_orphans(True)  # the fork in between ends at once

    def start(self, program: Program, files: Sequence[int]) -> int:
        """Start a program and return its process id."""
        try:
            with self.asking:
                send(self.connection, tuple(program), files)
                number = HEADER.unpack(receive_bytes(self.connection, HEADER.size))[0]
        except (OSError, EOFError) as error:
            raise ForkServerError(str(error)) from error

        try:  # to wait for what is no child would look as if it had ended well
            os.waitid(os.P_PID, number, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError as error:
            os.kill(number, signal.SIGKILL)
            raise ForkServerError("this system lets no process adopt orphans") from error
        return number

    def end(self) -> None:
        """Let the process end, once it has forked what it was asked for."""
        with self.asking:
            self.connection.close()


def adopt_orphans(adopts: bool) -> None:
    """Let this process be the next parent of what its descendants leave behind, or not."""
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, int(adopts), 0, 0, 0) != 0:
        raise ForkServerError("this system lets no process adopt orphans (prctl)")


class ForkedPopen(subprocess.Popen[Any]):
    """A ``subprocess.Popen`` that forks programs of Python; other commands run as usual.

    Args:
        server: Forks them; None starts them as usual.
        forks: Whether each gets a server of its own.

    Raises:
        ForkServerError: The server has ended.
    """

    def __init__(
        self, *args: Any, server: ForkServer | None, forks: bool = False, **options: Any
    ) -> None:
        self.server = server
        self.forks = forks
        super().__init__(*args, **options)

    def _execute_child(self, *values: Any) -> None:  # private: what every other method builds on
        given = inspect.signature(original_execute).bind(self, *values).arguments
        arguments = program_arguments(given["args"])
        options = [given[name] for name in ("preexec_fn", "shell", "executable")]
        if self.server is None or arguments is None or any(options):
            original_execute(self, *values)
            return

        targets = [0, 1, 2, *given["pass_fds"]]
        ends = [given["p2cread"], given["c2pwrite"], given["errwrite"]]
        files = [number if end == -1 else end for number, end in enumerate(ends)]
        environment = os.environ if given["env"] is None else given["env"]
        program = Program(
            arguments,
            {os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()},
            os.path.abspath(os.fsdecode(given["cwd"] or ".")),
            bool(given["start_new_session"]),
            self.forks,
            targets,
        )
        self.pid = self.server.start(program, files + targets[3:])
        self._child_created = True
        self._close_pipe_fds(*(given[name] for name in PIPES))  # type: ignore[attr-defined]


def program_arguments(command: Any) -> list[str] | None:
    """Arguments of this Python where they name a script or a module, nothing where they do not."""
    if isinstance(command, str | bytes | os.PathLike):
        return None

    python, *arguments = [os.fsdecode(part) for part in command]
    if python != sys.executable or not arguments:
        return None
    return arguments if arguments[0] == "-m" or not arguments[0].startswith("-") else None


def start_server(
    command: Sequence[str], environment: dict[str, str], popen: Any = None
) -> tuple["subprocess.Popen[bytes]", socket.socket]:
    """Start a program that calls :func:`set_up_server`, with the number of its connection last."""
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


def set_up_server() -> socket.socket:
    """Make this process a server that no signal reaches; return the connection to its owner."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HELD_BACK)
    adopt_orphans(False)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in range(3):
        os.dup2(nothing, standard)
    os.close(nothing)
    return socket.socket(fileno=int(sys.argv[-1]))


def send(connection: socket.socket, message: Any, files: Sequence[int] = ()) -> None:
    """Send a message that can be pickled, and open files."""
    content = pickle.dumps(message)
    socket.send_fds(connection, [HEADER.pack(len(content))], files)
    connection.sendall(content)


def receive(connection: socket.socket) -> tuple[Any, list[int]]:
    """Receive a message and open files, or raise an EOFError."""
    header, files, *_ = socket.recv_fds(connection, HEADER.size, 64)
    header += receive_bytes(connection, HEADER.size - len(header))
    return pickle.loads(receive_bytes(connection, HEADER.unpack(header)[0])), list(files)


def receive_bytes(connection: socket.socket, size: int) -> bytes:
    """So many bytes, or an EOFError."""
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise EOFError("the other process has ended")
        parts += part
    return parts


def serve(connection: socket.socket) -> tuple[Program, list[int]]:
    """Fork a program for each request until its owner ends; return in the forks alone."""
    while True:
        try:
            message, files = receive(connection)
        except (OSError, EOFError):
            os._exit(0)

        program = Program(*message)
        told, tells = os.pipe()
        between = os.fork()
        if between == 0:
            own, forked = os.getpid(), -1
            try:
                forked = os.fork()
            finally:
                if forked:
                    os._exit(0)
            if program.new_session:  # before anybody can ask for, or kill, its process group
                os.setsid()
            os.write(tells, HEADER.pack(os.getpid()))
            for number in (connection.fileno(), told, tells):
                os.close(number)
            connection.detach()
            while os.getppid() == own:  # until it is adopted
                sleep(0.001)
            return program, files

        for number in (*files, tells):
            os.close(number)
        forked_id = os.read(told, HEADER.size)
        os.close(told)
        os.waitpid(between, 0)  # before its child is waited for by who asked
        if not forked_id:
            os._exit(1)  # no memory for another process
        connection.sendall(forked_id)


def begin(program: Program, files: list[int]) -> tuple[Program, list[int], ForkServer | None]:
    """Give a fork a server where it asks for one, which returns in its own forks."""
    while True:
        if not program.forks:
            return program, files, None
        ours, theirs = socket.socketpair()
        if os.fork():
            theirs.close()
            return program, files, ForkServer(ours)
        ours.close()
        for number in files:
            os.close(number)
        program, files = serve(theirs)


def become(
    program: Program, files: list[int], server: ForkServer | None, given: dict[str, str]
) -> None:
    """Give a fork the files, folder, environment and arguments of its program.

    ``given`` is the environment before the imports: what they have changed in it, they would change
    in a fresh interpreter, too.
    """
    files = [_move(number) for number in files]
    if server is not None:
        inherited = server.connection.detach()
        server.connection = socket.socket(fileno=_move(inherited, fcntl.F_DUPFD_CLOEXEC))
    for number, target in zip(files, program.files, strict=True):
        os.dup2(number, target)
        os.close(number)
    # The same objects, which libraries have kept, with what depends on the file.
    interactive = sys.stdout.line_buffering or os.isatty(1)
    sys.stdout.reconfigure(line_buffering=interactive)  # type: ignore[union-attr]

    changed = {k: v for k, v in os.environ.items() if given.get(k) != v}
    number_of_threads = os.environ.get(THREADS_VARIABLE)
    os.chdir(program.folder)
    os.environ.clear()
    os.environ.update(program.environment | changed)
    asked = program.environment.get(THREADS_VARIABLE, "")
    if asked.isdigit() and asked != number_of_threads and "torch" in sys.modules:
        # OpenMP has read the variable before; a rank is given its share of the cores.
        sys.modules["torch"].set_num_threads(int(asked))
    # By chance, as when these are loaded; other generators notice a fork.
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()
    if "torch" in sys.modules:
        sys.modules["torch"].default_generator.seed()

    if server is not None:
        start_ranks_by(server)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD_BACK)


def _move(number: int, way: int = fcntl.F_DUPFD) -> int:
    """Give an open file a number that no program asks for."""
    limit = os.sysconf("SC_OPEN_MAX")  # which may be lower
    moved = fcntl.fcntl(number, way, min(UNUSED_NUMBER, limit // 2) if limit > 0 else UNUSED_NUMBER)
    os.close(number)
    return moved


def start_ranks_by(server: ForkServer) -> None:
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

    To take thousands of modules apart takes Python 2 s, and nobody would see the difference; forks
    by ``multiprocessing`` end in the same way.
    """
    status, interrupted = 0, False
    try:
        _execute(program)
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
    for kind in (io.TextIOWrapper, io.BufferedWriter):  # files that nobody has closed
        for one in [*gc.get_objects(), sys.stdout, sys.stderr]:
            if issubclass(type(one), kind):
                with suppress(Exception):
                    one.flush()
    if interrupted:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(status & 0xFF)


def _execute(program: Program) -> None:
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


class _Placeholder(ModuleType):
    """Stands for a module that starts threads, until a program uses it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:  # other modules are imported, for annotations
            return type(name, (), {})
        return getattr(importlib.import_module(self.__name__), name)


def import_all(names: Sequence[str]) -> None:
    """Import modules; a program that needs one that cannot be imported says so itself."""
    # Lightning prints by itself where nobody has set up logging when it is imported; Hydra has.
    log = logging.NullHandler()
    logging.root.addHandler(log)
    for name in START_THREADS - set(sys.modules):
        if spec := find_spec(name):
            sys.modules[name] = _Placeholder(name)
            sys.modules[name].__spec__ = spec

    for name in names:
        with suppress(Exception):
            importlib.import_module(name)

    for name in START_THREADS:
        if isinstance(sys.modules.get(name), _Placeholder):
            del sys.modules[name]
    logging.root.removeHandler(log)
    freeze()


def freeze() -> None:
    """Let collections of garbage leave out what there is: they would copy memory that is shared."""
    gc.collect()
    gc.freeze()


def list_imports(script: Path) -> Iterator[str]:
    """Yield the modules that a script imports, at its top and in its functions."""
    for node in ast.walk(ast.parse(script.read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def find_obstacle() -> str:
    """Say why this process cannot be forked after its imports; nothing where it can."""
    trial = os.fork()  # the threads of OpenBLAS end before a fork, and start again when needed
    if trial == 0:
        torch = sys.modules.get("torch")
        os._exit(int(torch is not None and torch.cuda._is_in_bad_fork()))
    if os.waitpid(trial, 0)[1]:
        return "an import has initialized CUDA"

    tasks = [task for task in Path("/proc/self/task").iterdir() if task.name != str(os.getpid())]
    names = [(task / "comm").read_text(encoding="utf-8").strip() for task in tasks]
    others = [name for name in names if name != ALLOCATOR_THREAD]
    return f"an import has started threads ({', '.join(others)})" if others else ""


def modification_times() -> dict[str, int]:
    """When the files of all imported modules were changed last."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    return {file: os.stat(file).st_mtime_ns for file in files if file and os.path.isfile(file)}


def have_changed(times: dict[str, int]) -> bool:
    """Whether files have changed since: jobs must run the code that their provenance names."""
    try:
        return any(os.stat(file).st_mtime_ns != time for file, time in times.items())
    except OSError:
        return True


def list_modules(package: Path) -> Iterator[str]:
    """Yield the modules in the folder of a package, itself included."""
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def main(script: Path) -> NoReturn:
    """Import what a script and its jobs import, and serve; run programs in the forks."""
    import avfusion
    from avfusion.threads import set_up_threads

    connection = set_up_server()
    set_up_threads()
    environment = dict(os.environ)
    ours = list_modules(Path(str(avfusion.__file__)).parent)
    import_all([*list_imports(script), *ours, *IMPORTED])
    del sys.path[0]

    send(connection, (find_obstacle(), modification_times()))
    program, files, server = begin(*serve(connection))
    become(program, files, server, environment)
    run_program(program)


if __name__ == "__main__":
    # Where Python would look first, running the script itself; this file is no part of a package.
    sys.path[: 0 if sys.flags.safe_path else 1] = [str(Path(sys.argv[1]).resolve().parent)]
    from hydra_plugins.avfusion_launcher import _forks as forks

    forks.main(Path(sys.argv[1]))
