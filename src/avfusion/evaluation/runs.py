"""What run folders hold."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import yaml

# What a setting is repeated over, and what differs between runs without being a choice.
REPEATED_KEYS = re.compile(r"^(seed|data\.seed|(data\.)?(corpus\.)?split_seed|.*fold)$")
OTHER = re.compile(r"^(description|callbacks|logger|trainer\.default_root_dir|ckpt_path|init_from)")


@dataclass(frozen=True)
class Run:
    """One run folder; ``results`` are empty where it has not ended."""

    folder: Path
    config: dict[str, Any]
    overrides: list[str]
    results: dict[str, Any]
    exit_code: int | None
    broken: tuple[str, ...] = ()  # its files that are half-written, or something else
    failure: str | None = None  # what the run said of its own end

    @property
    def failed(self) -> bool:
        """Whether it ended without results."""
        if self.broken or self.failure:
            return True
        return not self.results and self.exit_code not in (None, 0)

    @property
    def pruned(self) -> bool:
        """Whether a search has given it up, before a test."""
        return bool(self.results.get("pruned"))

    @property
    def setting(self) -> str:
        """Everything that was chosen but what a setting is repeated over."""
        chosen = {
            key: value
            for key, value in self.config.items()
            if value is not None and not REPEATED_KEYS.match(key) and not OTHER.match(key)
        }
        return json.dumps(chosen, sort_keys=True, default=str)

    @property
    def repetition(self) -> str:
        """Which of the repetitions of a setting this is."""
        chosen = {key: value for key, value in self.config.items() if REPEATED_KEYS.match(key)}
        return json.dumps(chosen, sort_keys=True, default=str)


def find_runs(places: Sequence[str]) -> list[Run]:
    """Return the runs in folders, in sweeps, or in folders that match a pattern.

    Raises:
        FileNotFoundError: A place holds no run, even where the others do.
    """
    found: dict[Path, None] = {}
    wrong = []
    for place in places:
        known: dict[Path, None] = {}
        for match in sorted(glob(place, recursive=True)):
            folders = {path.parent for path in Path(match).rglob("config.yaml")}
            folders |= {path.parent for path in Path(match).rglob("job.json")}
            folders = {folder for folder in folders if folder.name != ".hydra"}
            known |= dict.fromkeys(sorted(folders, key=natural))
        found |= known
        if not known:
            wrong.append(place or "''")
    if wrong or not found:
        raise FileNotFoundError(
            f"No run in {', '.join(wrong)}: give the folder of a run or of a sweep, such as "
            "logs/sweeps/2026-01-31_12-00-00-000000."
        )
    return [read_run(folder) for folder in found]


def read_run(folder: Path) -> Run:
    """Read what one run folder holds."""
    names = ("job.json", "results.json", "config.yaml")
    contents = {name: read_names(folder / name) for name in names}
    broken = tuple(name for name, content in contents.items() if content is None)
    job, results, config = (contents[name] or {} for name in names)
    overrides = folder / ".hydra" / "overrides.yaml"
    given = yaml.safe_load(overrides.read_text(encoding="utf-8")) if overrides.is_file() else []
    chosen = job.get("overrides") or given
    failure = str(results.get("failure", "")) if results.get("status") == "failed" else None
    found = {} if broken or failure is not None else results
    return Run(folder, flat(config), chosen, found, job.get("exit_code"), broken, failure)


def read_names(path: Path) -> dict[str, Any] | None:
    """Return the values of a file: nothing where it is not there, None where it is broken."""
    if not path.is_file():
        return {}
    read = json.loads if path.suffix == ".json" else yaml.safe_load
    try:
        content = read(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError):
        return None
    return content if isinstance(content, dict) else None


def flat(part: Any, key: str = "") -> dict[str, Any]:
    """Return the leaves of a configuration under dotted names."""
    if not isinstance(part, dict):
        return {key: part}
    leaves: dict[str, Any] = {}
    for name, child in part.items():
        leaves |= flat(child, f"{key}.{name}" if key else str(name))
    return leaves


def natural(path: Path) -> list[Any]:
    """Sort job 10 behind job 9."""
    parts = re.split(r"(\d+)", str(path))
    return [int(part) if part.isdigit() else part for part in parts]
