"""The command line of a program that Hydra composes.

Imports nothing heavy: ``--help``, a wrong flag, an unknown key or choice and a value that is
missing are answered before torch is loaded, which takes seconds.
"""

import re
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from hydra._internal import utils as hydra_utils  # private: what its main() reports errors with

from avfusion.environment import write_utf8
from avfusion.run.composition import check_choices
from avfusion.run.errors import as_sentence, full_errors, one_sentence, wrong_input
from avfusion.run.suggestions import did_you_mean, nearest
from avfusion.threads import set_up_threads


def run(main: Callable[[], Any]) -> None:
    """Run what ``hydra.main`` has made of a function; wrong input ends it with one sentence.

    An error that the function itself lets out is a crash, and keeps its traceback.
    """
    set_up_threads()
    write_utf8()
    with one_sentence():
        check_flags(sys.argv[1:])
    reports = hydra_utils.run_and_report
    hydra_utils.run_and_report = lambda function: _call(function, main)  # type: ignore[assignment]
    try:
        _call(main, main)
    finally:
        hydra_utils.run_and_report = reports


def check_flags(arguments: Sequence[str]) -> None:
    """Refuse flags that there are not, and what Hydra would refuse without saying where."""
    parser = hydra_utils.get_args_parser()

    def refuse(message: str) -> NoReturn:
        raise ValueError(f"{message}; --hydra-help lists the flags.")

    parser.error = refuse  # type: ignore[method-assign]
    known, unknown = parser.parse_known_args(list(arguments))
    check_choices(known.overrides)
    if not unknown:
        return
    flags = re.findall(r"--[\w-]+", parser.format_usage())
    given = unknown[0]
    if not given.startswith("-"):
        raise ValueError(f"{given} stands behind a flag: write flags first, as in -m {given}.")
    name, _, value = given.partition("=")
    meant = nearest(name, flags, 0.7)
    key = name.lstrip("-")
    values = f"values are given without dashes, as in {key}={value or '...'}"
    raise ValueError(f"There is no flag {name}: {did_you_mean(meant, f'{values}.')}")


def _call(function: Callable[[], Any], main: Callable[[], Any]) -> Any:
    with _sentences(getattr(main, "__wrapped__", main)):
        return function()


@contextmanager
def _sentences(task: Callable[..., Any]) -> Iterator[None]:
    """Turn errors of wrong input into sentences, but for those that come out of ``task``."""
    try:
        yield
    except wrong_input() as error:
        frames = traceback.walk_tb(error.__traceback__)
        crashed = any(frame.f_code is task.__code__ for frame, _ in frames)
        if crashed or full_errors():
            raise
        sys.exit(as_sentence(error, Path(task.__code__.co_filename).stem))
