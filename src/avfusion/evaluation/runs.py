"""Run folders: configuration, overrides and results of each run."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any

import yaml

# Keys that a setting is repeated over, and keys that differ between runs without being a choice.
REPEATED_KEYS = re.compile(r"^(seed|data\.seed|(data\.)?(corpus\.)?split_seed|.*fold)$")
# Of the training clips, so that they differ between folds; a configuration refers to them.
MEASURED_KEYS = re.compile(r"^description\.(class_counts|streams\..*\.(mean|std))$")
IGNORED_KEYS = re.compile(
    r"^(description|diagnostics|callbacks|logger|data\.cache|(model\.)?optimizer\.fused|"
    r"trainer\.default_root_dir|ckpt_path|init_from)"
)
# Off, they are what runs had from before there were such keys.
PERMISSIONS = re.compile(r"^data\.allow_")


@dataclass(frozen=True)
class Run:
    """A run.

    Attributes:
        folder: Its folder.
        config: Its configuration, by dotted keys.
        overrides: What was given on the command line.
        results: Of results.json, empty where the run has not ended.
        exit_code: Of the job of a sweep.
        broken: Names of files that are half-written, or something else.
        failure: The message with which the run ended.
    """

    folder: Path
    config: dict[str, Any]
    overrides: list[str]
    results: dict[str, Any]
    exit_code: int | None
    broken: tuple[str, ...] = ()
    failure: str | None = None

    @property
    def failed(self) -> bool:
        """Whether it ended without results."""
        if self.broken or self.failure:
            return True
        return not self.results and self.exit_code not in (None, 0)

    @property
    def pruned(self) -> bool:
        """Whether a search has stopped it early, before a test."""
        return bool(self.results.get("pruned"))

    @property
    def setting(self) -> str:
        """All that was configured, without seeds, folds and what is measured, as JSON."""
        measured = {
            json.dumps(v, default=str) for k, v in self.config.items() if MEASURED_KEYS.match(k)
        }
        chosen = {
            key: value
            for key, value in self.config.items()
            if value is not None
            and not (value is False and PERMISSIONS.match(key))
            and not REPEATED_KEYS.match(key)
            and not IGNORED_KEYS.match(key)
            and not (isinstance(value, list) and json.dumps(value, default=str) in measured)
        }
        return json.dumps(chosen, sort_keys=True, default=str)

    @property
    def repetition(self) -> str:
        """Seeds and folds, which distinguish the repetitions of a setting, as JSON."""
        chosen = {key: value for key, value in self.config.items() if REPEATED_KEYS.match(key)}
        return json.dumps(chosen, sort_keys=True, default=str)


def find_runs(paths: Sequence[str]) -> list[Run]:
    """Find the runs in folders of runs or sweeps, or in folders that match patterns.

    Raises:
        FileNotFoundError: One of the paths holds no run, even where the others do.
    """
    found: dict[Path, None] = {}
    empty = []
    for path in paths:
        here: dict[Path, None] = {}
        for match in sorted(glob(path, recursive=True)):
            folders = {file.parent for file in Path(match).rglob("config.yaml")}
            folders |= {file.parent for file in Path(match).rglob("job.json")}
            folders = {folder for folder in folders if folder.name != ".hydra"}
            here |= dict.fromkeys(sorted(folders, key=natural_key))
        found |= here
        if not here:
            empty.append(path or "''")

    if empty or not found:
        raise FileNotFoundError(
            f"No run in {', '.join(empty)}: give the folder of a run or of a sweep, such as "
            "logs/sweeps/2026-01-31_12-00-00-000000."
        )

    return [read_run(folder) for folder in found]


def read_run(folder: Path) -> Run:
    """Read the files of a run folder."""
    names = ("job.json", "results.json", "config.yaml")
    contents = {name: read_mapping(folder / name) for name in names}
    broken = tuple(name for name, content in contents.items() if content is None)
    job, results, config = (contents[name] or {} for name in names)

    overrides = folder / ".hydra" / "overrides.yaml"
    given = yaml.safe_load(overrides.read_text(encoding="utf-8")) if overrides.is_file() else []
    chosen = job.get("overrides") or given

    failure = str(results.get("failure", "")) if results.get("status") == "failed" else None
    found = {} if broken or failure is not None else results
    return Run(folder, flatten_config(config), chosen, found, job.get("exit_code"), broken, failure)


def read_mapping(path: Path) -> dict[str, Any] | None:
    """Read a JSON or YAML mapping: empty where there is no file, None where it is broken."""
    if not path.is_file():
        return {}

    read = json.loads if path.suffix == ".json" else yaml.safe_load
    try:
        content = read(path.read_text(encoding="utf-8"))
    except (ValueError, yaml.YAMLError):
        return None

    return content if isinstance(content, dict) else None


def flatten_config(config: Any, key: str = "") -> dict[str, Any]:
    """Flatten a configuration to its values by dotted keys."""
    if not isinstance(config, dict):
        return {key: config}

    leaves: dict[str, Any] = {}
    for name, child in config.items():
        leaves |= flatten_config(child, f"{key}.{name}" if key else str(name))
    return leaves


def natural_key(path: Path) -> list[Any]:
    """Sort key of a path that puts job 10 behind job 9."""
    parts = re.split(r"(\d+)", str(path))
    return [int(part) if part.isdigit() else part for part in parts]
