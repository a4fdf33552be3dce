"""Configuration and provenance of one run, or what several have in common."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import yaml

from avfusion.evaluation.runs import IGNORED_KEYS, Run, flatten_config, read_mapping

MAX_LIST_LENGTH = 8  # values that are written out
MAX_DIFF_LENGTH = 20_000  # characters


class Provenance(NamedTuple):
    """Code, versions and machine: names and values, and the names in which runs differ.

    ``diff`` is how the code of a single run differed from its commit.
    """

    values: dict[str, str]
    differing: list[str]
    diff: str = ""


def describe_configuration(runs: Sequence[Run]) -> str:
    """Write the configuration of a run as YAML, or the values that several have in common.

    Long lists are shortened. It is empty where no run has any.
    """
    known = [run.config for run in runs if run.config]
    content: dict[str, Any] = {}
    if len(runs) == 1:
        content = read_mapping(runs[0].folder / "config.yaml") or {}
    elif known:
        content = {
            key: value
            for key, value in known[0].items()
            if not IGNORED_KEYS.match(key)
            and all(key in one and one[key] == value for one in known)
        }

    if not content:
        return ""

    return yaml.safe_dump(
        _shorten(content), sort_keys=False, allow_unicode=True, default_flow_style=None
    )


def read_provenance(runs: Sequence[Run]) -> Provenance:
    """Read where the results of runs come from; without values where none has recorded it."""
    records = [flatten_config(read_mapping(run.folder / "provenance.json") or {}) for run in runs]
    known = [record for record in records if record]
    values, differing = {}, []
    for key in known[0] if known else ():
        each = sorted({_line(record.get(key, "")) for record in known})
        if len(runs) > 1 and key == "command":
            continue
        if len(each) > 1 and key == "started":
            each = [f"{each[0]} to {each[-1]}"]
        values[key] = " | ".join(each)
        if len(each) > 1:
            differing.append(key)

    changes = runs[0].folder / "git.diff"
    diff = ""
    if len(runs) == 1 and changes.is_file():
        diff = changes.read_text(encoding="utf-8", errors="replace")[:MAX_DIFF_LENGTH]

    return Provenance(values, differing, diff)


def _shorten(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _shorten(child) for name, child in part.items()}
    if isinstance(part, list) and len(part) > MAX_LIST_LENGTH:
        return [*part[:3], f"... {len(part)} values"]
    return part


def _line(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
