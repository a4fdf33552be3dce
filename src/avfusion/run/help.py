"""What --help says: one screen on the program that runs, from its docstring and its choices."""

import json
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

WIDTH = 80  # columns of a terminal
PARTS = {"base"}  # what other choices are made of


def usage(_root_: DictConfig) -> str:
    """Return what the program does, examples, groups, values and flags, for a string.Template."""
    what, _, examples = (sys.modules["__main__"].__doc__ or "").strip().partition("\n\n")
    program = f"python src/{_root_.hydra.job.name}.py"
    flags = (
        "--cfg job     show every value, with the choices made, and do nothing",
        "-m            run once for each combination of values such as seed=1,2",
        "--hydra-help  say what else Hydra can do",
        f'Tab completes after  eval "$({program} -sc install=bash)"',
    )
    text = [
        what,
        "\nExamples",
        textwrap.indent(examples.strip(), "  "),
        "\nGroups, as in group=choice; [taken] where none is given",
        *(line for group, names in choices(_root_) for line in filled(group, names)),
        "\nValues, as in key=value, beside those of the groups",
        *filled("", [f"{key}={value}" for key, value in own_values(_root_)]),
        "\nFlags",
        *(f"  {flag}" for flag in flags),
    ]
    return "\n".join(text).replace("$", "$$")


def filled(name: str, words: list[str]) -> list[str]:
    """Return the lines of a name and of its words, none of them broken."""
    start = f"  {name:20}" if name else "  "
    text = (", " if name else " ").join(words)
    lines = textwrap.wrap(text, WIDTH - len(start), break_long_words=False, break_on_hyphens=False)
    return [(" " * len(start) if place else start) + line for place, line in enumerate(lines)]


def choices(cfg: DictConfig) -> Iterator[tuple[str, list[str]]]:
    """Yield the groups of the program and their choices, the taken one in brackets."""
    folders = [Path(s.path) for s in cfg.hydra.runtime.config_sources if s.schema == "file"]
    taken_by = dict(cfg.hydra.runtime.choices)  # the last of the defaults comes first
    heads = [group.partition("/")[0] for group in reversed(taken_by)]
    for group in sorted(taken_by, key=lambda group: (heads.index(group.partition("/")[0]), group)):
        taken = taken_by[group]
        if group.startswith("hydra") or "@" in group:
            continue
        names = {path.stem for folder in folders for path in (folder / group).glob("*.yaml")}
        if names:
            yield group, [f"[{n}]" if n == taken else n for n in sorted(names - PARTS)]


def own_values(cfg: DictConfig) -> Iterator[tuple[str, str]]:
    """Yield the values that are no group's, references as they stand."""
    groups = {"hydra", "description", *(g.rpartition("@")[2] for g in cfg.hydra.runtime.choices)}
    values: Any = OmegaConf.to_container(cfg, resolve=False)
    for key, value in values.items():
        if isinstance(value, dict) and key not in groups:
            own = {f"{key}.{name}": leaf for name, leaf in value.items() if name != "_target_"}
        else:
            own = {} if key in groups else {key: value}
        for name, leaf in own.items():
            yield name, leaf if isinstance(leaf, str) else json.dumps(leaf)
