"""Where a result comes from, as sections of a page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from avfusion.evaluation.runs import OTHER, Run, flat, read_names
from avfusion.report.markup import Html, joined, note, section, table, tag

LONG = 8  # values of a list that are written out
MOST = 20_000  # characters of a difference to the commit


def configuration(run: Run) -> Html:
    """Return what was chosen, and the whole configuration, without long lists of numbers."""
    chosen = tag("p", "Chosen: ", tag("code", " ".join(run.overrides) or "nothing, all defaults"))
    content = read_names(run.folder / "config.yaml")
    if not content:
        return section("Configuration", chosen, note("This run has no config.yaml to read."))
    return section("Configuration", chosen, opened("config.yaml", as_yaml(content)))


def as_yaml(content: dict[str, Any]) -> Html:
    """Return a configuration as it is written."""
    text = yaml.safe_dump(
        shortened(content), sort_keys=False, allow_unicode=True, default_flow_style=None
    )
    return tag("div", tag("pre", text), class_="columns")


def shortened(part: Any) -> Any:
    """Return containers with the first values of long lists."""
    if isinstance(part, dict):
        return {name: shortened(child) for name, child in part.items()}
    if isinstance(part, list) and len(part) > LONG:
        return [*part[:3], f"... {len(part)} values"]
    return part


def opened(title: str, inside: Html) -> Html:
    """Return what a reader can fold up; on paper it is there."""
    return Html(f"<details open><summary>{joined([title])}</summary>{inside}</details>")


def provenance(run: Run) -> Html:
    """Return command, code, versions and machine of a run."""
    path = run.folder / "provenance.json"
    record = read_names(path)
    if not record:
        return section("Provenance", note("This run has no provenance.json to read."))
    rows = [(key, words(value)) for key, value in flat(record).items()]
    changes = run.folder / "git.diff"
    parts = [table(("", "value"), [("folder", str(run.folder.resolve())), *rows], "values")]
    if changes.is_file():
        text = changes.read_text(encoding="utf-8", errors="replace")
        care = "The code differed from its commit, by what git.diff in the folder holds."
        difference = tag("details", tag("summary", "git.diff"), tag("pre", text[:MOST]))
        parts += [note(care), difference]
    return section("Provenance", *parts)


def words(value: object) -> object:
    """Return a value as one line."""
    return " ".join(map(str, value)) if isinstance(value, list) else value


def shared_configuration(runs: Sequence[Run]) -> Html:
    """Return the values that all runs have in common."""
    known = [run.config for run in runs if run.config]
    if not known:
        return section("Configuration", note("None of the runs has a configuration to read."))
    common = {
        key: value
        for key, value in known[0].items()
        if not OTHER.match(key) and all(key in one and one[key] == value for one in known)
    }
    explained = tag("p", f"What all {len(known)} runs have in common; the rest is in their names.")
    return section("Configuration", explained, opened("values", as_yaml(common)))


def shared_provenance(runs: Sequence[Run]) -> Html:
    """Return where the runs come from, and say where they differ in it."""
    records = {run.folder: flat(read_names(run.folder / "provenance.json") or {}) for run in runs}
    known = {folder: record for folder, record in records.items() if record}
    if not known:
        return section("Provenance", note("None of the runs has a provenance.json to read."))
    keys = [key for key in next(iter(known.values())) if key not in ("command", "started")]
    rows, care = [], []
    for key in keys:
        values = {str(words(record.get(key))): None for record in known.values()}
        rows.append((key, " | ".join(values)))
        care += [key] if len(values) > 1 else []
    parts = [note(f"The runs differ in {', '.join(care)}.")] if care else []
    started = sorted(str(record.get("started", "")) for record in known.values())
    rows.append(("started", f"{started[0]} to {started[-1]}"))
    return section("Provenance", *parts, table(("", "value"), rows, "values"))


def where(folder: Path) -> Html:
    """Return the folder of a run as code."""
    return tag("code", str(folder))
