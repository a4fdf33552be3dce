"""Help text of a program (--help): one screen, from its docstring and its configuration."""

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

TERMINAL_WIDTH = 80  # columns
LISTED_ELSEWHERE = {"data/protocol"}  # in the README of its folder
BASE_CHOICES = {"base"}  # defaults of other choices, not to be chosen themselves


def format_help(_root_: DictConfig) -> str:
    """Format description, examples, groups, values and flags, as a string.Template.

    ``_root_`` is what OmegaConf passes to a resolver: the composed configuration.
    """
    description, _, examples = (sys.modules["__main__"].__doc__ or "").strip().partition("\n\n")
    program = f"python src/{_root_.hydra.job.name}.py"
    flags = (
        "--cfg job     show every value, with the choices made, and do nothing",
        "-m            run once for each combination of values such as seed=1,2",
        "--hydra-help  list the flags of Hydra",
        f'Tab completes after  eval "$({program} -sc install=bash)"',
    )
    lines = [
        description,
        "\nExamples",
        textwrap.indent(examples.strip(), "  "),
        "\nGroups, as in group=choice; [taken] where none is given",
        *(line for group, names in _list_choices(_root_) for line in _wrap(group, names)),
        "\nValues, as in key=value, beside those of the groups",
        *_wrap("", [f"{key}={value}" for key, value in _list_values(_root_)]),
        "\nFlags",
        *(f"  {flag}" for flag in flags),
    ]
    return "\n".join(lines).replace("$", "$$")


def _wrap(name: str, words: list[str]) -> list[str]:
    """Wrap words beside a name, none of them broken."""
    start = f"  {name:20}" if name else "  "
    text = (", " if name else " ").join(words)
    width = TERMINAL_WIDTH - len(start)
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [(" " * len(start) if number else start) + line for number, line in enumerate(lines)]


def _list_choices(cfg: DictConfig) -> Iterator[tuple[str, list[str]]]:
    """Yield the groups of the program and their choices, the taken one in brackets."""
    folders = [Path(s.path) for s in cfg.hydra.runtime.config_sources if s.schema == "file"]
    taken_by = dict(cfg.hydra.runtime.choices)  # the last of the defaults comes first
    heads = [group.partition("/")[0] for group in reversed(taken_by)]

    for group in sorted(taken_by, key=lambda group: (heads.index(group.partition("/")[0]), group)):
        taken = taken_by[group]
        if group.startswith("hydra") or "@" in group or group in LISTED_ELSEWHERE:
            continue
        names = {path.stem for folder in folders for path in (folder / group).glob("*.yaml")}
        if names:
            choices = sorted(names - BASE_CHOICES)
            yield group, [f"[{name}]" if name == taken else name for name in choices]


def _list_values(cfg: DictConfig) -> Iterator[tuple[str, str]]:
    """Yield the values that belong to no group, references as they stand."""
    groups = {"hydra", "description", *(g.rpartition("@")[2] for g in cfg.hydra.runtime.choices)}
    values: Any = OmegaConf.to_container(cfg, resolve=False)
    for key, value in values.items():
        if isinstance(value, dict) and key not in groups:
            names = [name for name in value if name[0] != "_" and f"{key}/{name}" not in groups]
            own = {f"{key}.{name}": value[name] for name in names}
        else:
            own = {} if key in groups else {key: value}
        for name, leaf in own.items():
            yield name, leaf if isinstance(leaf, str) else json.dumps(leaf)
