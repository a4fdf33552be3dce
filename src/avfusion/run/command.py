"""Command line of a program that Hydra composes.

Imports nothing heavy: ``--help``, a wrong flag, an unknown key or choice and a value that is
missing are answered before torch is loaded, which takes seconds.
"""

import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal import utils as hydra_utils  # private: what its main() reports errors with
from hydra._internal.hydra import Hydra  # private: what its main() asks for the mode
from hydra.types import RunMode

from avfusion.addresses import check_arguments
from avfusion.console import use_utf8
from avfusion.run.composition import check_choices
from avfusion.run.errors import (
    exit_on_input_error,
    format_error,
    list_input_errors,
    shows_tracebacks,
)
from avfusion.run.shorthands import expand_shorthands
from avfusion.run.suggestions import find_nearest, suggest_word
from avfusion.threads import set_up_threads


def run(main: Callable[[], Any]) -> None:
    """Run a function that ``hydra.main`` has wrapped; wrong input ends it with one sentence.

    An error that the function itself raises is a crash, and keeps its traceback.
    """
    set_up_threads()
    use_utf8()
    with exit_on_input_error():
        sys.argv[1:] = expand_shorthands(sys.argv[1:])
        check_arguments(sys.argv[1:])
        check_flags(sys.argv[1:], name_program(main))

    run_and_report, find_mode = hydra_utils.run_and_report, Hydra.get_mode
    hydra_utils.run_and_report = lambda function: _call(function, main)  # type: ignore[assignment]
    modes = [argument for argument in sys.argv[1:] if argument.startswith("hydra.mode=")]
    if modes[-1:] == [f"hydra.mode={RunMode.RUN.name}"]:  # which Hydra would compose to find out
        Hydra.get_mode = lambda *_, **__: RunMode.RUN  # type: ignore[method-assign]
    try:
        _call(main, main)
    finally:
        hydra_utils.run_and_report, Hydra.get_mode = run_and_report, find_mode  # type: ignore[method-assign]


def name_program(main: Callable[[], Any]) -> str:
    """Name of the file of a function, or of that which decorators have wrapped."""
    return Path(inspect.unwrap(main).__code__.co_filename).stem


def check_flags(arguments: Sequence[str], program: str = "train") -> None:
    """Refuse unknown flags, and choices that Hydra would refuse without naming their group."""
    parser = hydra_utils.get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise ValueError(f"{message}; --hydra-help lists the flags.")

    parser.error = refuse  # type: ignore[method-assign]
    known, unknown = parser.parse_known_args(list(arguments))
    check_choices(known.overrides, program)
    if not unknown:
        return

    given = unknown[0]
    if not given.startswith("-"):
        raise ValueError(f"{given} stands behind a flag: write flags first, as in -m {given}.")
    flags = re.findall(r"--[\w-]+", parser.format_usage())
    name, _, value = given.partition("=")
    nearest = find_nearest(name, flags, 0.7)
    key = name.lstrip("-")
    hint = f"values are given without dashes, as in {key}={value or '...'}"
    raise ValueError(f"There is no flag {name}: {suggest_word(nearest, f'{hint}.')}")


def _call(function: Callable[[], Any], main: Callable[[], Any]) -> Any:
    with _exit_unless_crashed(inspect.unwrap(main)):
        return function()


@contextmanager
def _exit_unless_crashed(task: Callable[..., Any]) -> Iterator[None]:
    """Exit with one sentence on wrong input, unless the error comes out of ``task``."""
    try:
        yield
    except list_input_errors() as error:
        frames = traceback.walk_tb(error.__traceback__)
        crashed = any(frame.f_code is task.__code__ for frame, _ in frames)
        if crashed or shows_tracebacks():
            raise
        sys.exit(format_error(error, name_program(task)))
