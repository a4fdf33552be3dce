"""Imports of the fork server: modules that its forks need, and whether it can be forked then."""

import ast
import gc
import importlib
import logging
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

THREADED_MODULES = {"onnxruntime"}  # which torchmetrics imports wherever it is installed
ALLOCATOR_THREAD = "jemalloc_bg_thd"  # of pyarrow, whose allocator starts it again in forks


class _Placeholder(ModuleType):
    """Stands for a module that starts threads, until a program uses it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:  # other modules are imported, for annotations
            return type(name, (), {})
        return getattr(importlib.import_module(self.__name__), name)


def import_modules(names: Sequence[str]) -> None:
    """Import modules; a program that needs one that cannot be imported says so itself."""
    # Lightning prints by itself where logging is not set up when it is imported; Hydra has.
    log = logging.NullHandler()
    logging.root.addHandler(log)
    for name in THREADED_MODULES - set(sys.modules):
        if spec := find_spec(name):
            sys.modules[name] = _Placeholder(name)
            sys.modules[name].__spec__ = spec

    for name in names:
        with suppress(Exception):
            importlib.import_module(name)

    for name in THREADED_MODULES:
        if isinstance(sys.modules.get(name), _Placeholder):
            del sys.modules[name]
    logging.root.removeHandler(log)
    freeze_objects()


def freeze_objects() -> None:
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


def list_modules(package: Path) -> Iterator[str]:
    """Yield the modules in the folder of a package, itself included."""
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


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


def read_modification_times() -> dict[str, int]:
    """Read when the files of all imported modules were changed last."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    return {file: os.stat(file).st_mtime_ns for file in files if file and os.path.isfile(file)}


def have_files_changed(times: dict[str, int]) -> bool:
    """Whether files have changed since: jobs must run the code that their provenance names."""
    try:
        return any(os.stat(file).st_mtime_ns != time for file, time in times.items())
    except OSError:
        return True
