"""Fork server of the tests: entry points, and all that they start, begin with torch imported.

That of the launcher (``_fork_server.py``) forks the jobs of a sweep. Here every command of Python
is forked, and so is whatever it starts in turn (ranks, servers of sweeps, kernels of notebooks);
what ``multiprocessing`` starts is not touched. Files of configuration are read once.

For tests of what happens while Python starts (imports, threads of OpenMP, locale) there is
``subprocess``.
"""

import atexit
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

from hydra_plugins.avfusion_launcher._fork_client import (
    ForkedPopen,
    ForkServer,
    find_arguments,
    start_server,
)
from hydra_plugins.avfusion_launcher._fork_imports import (
    find_obstacle,
    freeze_objects,
    import_modules,
    list_modules,
)
from hydra_plugins.avfusion_launcher._fork_server import (
    fork_programs,
    fork_rank_server,
    set_up_server,
)
from hydra_plugins.avfusion_launcher._forked_program import run_program, set_up_program

IMPORTED = """
lightning lightning.pytorch.loggers torch._dynamo torch.distributed.run torch.utils.tensorboard
torchmetrics hydra.core.plugins optuna scipy.stats matplotlib.figure
matplotlib.backends.backend_agg tensorboard.backend.event_processing.event_accumulator
"""
OURS = ("avfusion", "hydra_plugins")
ROOT = Path(__file__).resolve().parents[1]

# Bytecode is kept even where the environment says otherwise: without it, each of the processes
# (workers of pytest, this server, those that tests start) compiles torch and Lightning anew, for
# 7 s, and pytest rewrites all tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


class Popen(ForkedPopen):
    """A ``subprocess.Popen`` that forks programs of Python; other commands run as usual."""

    def __init__(self, args: Any, *others: Any, **options: Any) -> None:
        if isinstance(args, list) and args[1:2] == ["-u"]:
            args = [args[0], *args[2:]]
        server = find_server() if find_arguments(args) else None
        super().__init__(args, *others, server=server, needs_server=True, **options)


def run(command: list, **options: Any) -> subprocess.CompletedProcess:
    """Run a program to its end, as ``subprocess.run`` does, and read what it writes."""
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with Popen(command, **pipes | options) as process:
        output, errors = process.communicate()
    return subprocess.CompletedProcess(command, process.returncode, output, errors)


_servers: dict[int, ForkServer] = {}  # by the process that they fork for


def find_server() -> ForkServer:
    """The server of this process, which starts with the first program."""
    if os.getpid() not in _servers:
        # The source of this folder, whichever one is installed.
        environment = os.environ | {"PYTHONPATH": str(ROOT / "src")}
        popen = ForkedPopen.__base__
        process, connection = start_server([sys.executable, __file__], environment, popen)
        _servers[os.getpid()] = ForkServer(connection)
        atexit.register(_end, connection, process)
    return _servers[os.getpid()]


def _end(connection: Any, process: subprocess.Popen) -> None:
    connection.close()
    process.communicate()


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
    """Import what programs import, and compose a configuration."""
    ours = [module for name in OURS for module in list_modules(ROOT / "src" / name)]
    import_modules([*IMPORTED.split(), *ours])
    import hydra
    from hydra.core.plugins import Plugins

    Plugins.instance()
    obstacle = find_obstacle()
    assert not obstacle, obstacle
    keep_configurations()
    with hydra.initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        hydra.compose("train")
    freeze_objects()


def main() -> None:
    """Serve, and run programs in the forks."""
    connection = set_up_server()
    del sys.path[0]  # the folder of this script
    subprocess.Popen = Popen  # before others import it by name
    environment = dict(os.environ)
    import_all()

    program, files, server = fork_rank_server(*fork_programs(connection))
    _servers[os.getpid()] = server
    set_up_program(program, files, server, environment)
    paths = [path for path in program.environment.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:0] = [os.path.abspath(path) for path in paths]
    run_program(program)


if __name__ == "__main__":
    sys.modules["fork_server"] = sys.modules["__main__"]
    main()
