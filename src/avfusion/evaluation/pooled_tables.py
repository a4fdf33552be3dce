"""Tables of out-of-fold predictions as text: Markdown, LaTeX, CSV, and for the terminal."""

import csv
import io
import os
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from math import isfinite
from pathlib import Path
from typing import NamedTuple

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from avfusion.console import replace_unprintable
from avfusion.evaluation.leak_marks import list_leaks, mark_leaks
from avfusion.evaluation.pooled_scores import (
    RANKING_SCORE,
    ClassScore,
    GroupScore,
    PooledRow,
    PooledScore,
    score_attributes,
    score_classes,
    score_subjects,
)
from avfusion.evaluation.subject_bootstrap import SAMPLES, SCORES
from avfusion.evaluation.tables import FILE_WIDTH, LATEX_ESCAPES, TEXT_WIDTH

LOSES_MARK = "↓"  # beside a network that is behind the probe of its own streams
BEST, SECOND = "\0", "\1"  # before the cells of the best and of the second setting
SHOWN_SUBJECTS = 3  # on the terminal


class TextTable(NamedTuple):
    """A title, a header, cells, and notes beneath."""

    title: str
    head: list[str]
    rows: list[list[str]]
    notes: list[str]


class Details(NamedTuple):
    """Scores of one setting by class, subject and attribute."""

    classes: list[ClassScore]
    subjects: list[GroupScore]
    attributes: list[GroupScore]


def collect_details(
    row: PooledRow, attributes: Mapping[str, Sequence[str | None]] | None = None
) -> Details:
    """Score a setting by class, by subject and by the attributes that its store knows."""
    pooled = row.pooled
    return Details(
        score_classes(pooled), score_subjects(pooled), score_attributes(pooled, attributes or {})
    )


def make_tables(rows: Sequence[PooledRow]) -> list[TextTable]:
    """Make the tables of settings: over all clips, mean over folds, against the best."""
    marks, footnotes = mark_leaks([row.pooled.leaks for row in rows])
    if any(row.loses for row in rows):
        footnotes = [
            *footnotes,
            f"{LOSES_MARK} Behind a trivial baseline on the streams that it reads itself, in "
            f"{RANKING_SCORE}.",
        ]
    names = [f"{row.name}{f' {LOSES_MARK}' if row.loses else ''}" for row in rows]
    folds = max(len(row.pooled.fold_names) for row in rows)

    whole = [
        [name, str(len(row.pooled.outputs)), *cells, describe_worst(row.worst)]
        for name, row, cells in zip(
            names, rows, _format_scores(rows, marks, format_score, _value), strict=True
        )
    ]
    tables = [
        TextTable(
            "Over all clips",
            ["setting", "seeds", *SCORES, "worst subject (WAR)"],
            whole,
            [*footnotes, describe_pooling(rows), *list_published(rows)],
        )
    ]
    if folds > 1:
        cells = _format_scores(rows, marks, _format_fold_mean, _fold_mean)
        body = [[name, *line] for name, line in zip(names, cells, strict=True)]
        note = "Mean of the scores of the folds (sd: their deviation)."
        tables.append(TextTable("Mean over folds", ["setting", *SCORES], body, [note]))

    if compared := [(name, row) for name, row in zip(names, rows, strict=True) if row.gap]:
        best = rows[0].name
        body = [
            [
                name,
                f"{row.gap.value:.3f} [{row.gap.low:.3f}, {row.gap.high:.3f}]",
                _format_p(row.gap.p),
                _format_p(row.gap.mcnemar_p),
            ]
            for name, row in compared
            if row.gap
        ]
        note = (
            "p: paired bootstrap over subjects; McNemar: exact, over clips, which it takes to be "
            "independent. Both are corrected for the number of rows (Holm)"
            f"{_describe_repetitions(rows)}."
        )
        head = ["setting", f"{RANKING_SCORE} behind the best", "p", "McNemar p"]
        tables.append(TextTable(f"Against {best}", head, body, [note]))
    return tables


def _describe_repetitions(rows: Sequence[PooledRow]) -> str:
    if max(len(row.pooled.outputs) for row in rows) == 1:
        return ""
    return "; of several seeds McNemar's is twice the median"


def describe_pooling(rows: Sequence[PooledRow]) -> str:
    """Describe what was pooled, and the intervals."""
    pooled = rows[0].pooled
    subjects = len({str(subject) for subject in pooled.subjects})
    folds = len(pooled.fold_names)
    protocols = {
        str(run.results.get("data/protocol", "")) for row in rows for run in row.pooled.runs
    }
    plans = {
        str(run.results.get("data/splits", "")).partition(" data.fold=")[0]
        for row in rows
        for run in row.pooled.runs
    }
    named = sorted(f"data.protocol={name}" for name in protocols - {""}) or sorted(plans - {""})
    plan = f" by {', '.join(named)}" if named else ""
    how = f"{folds} folds" if folds > 1 else "one split"
    return (
        f"{len(pooled):,} clips of {subjects} subjects in {how}{plan}; 95 % intervals by bootstrap "
        f"over subjects ({SAMPLES:,} draws); the mean over seeds where there are several."
    )


def list_published(rows: Sequence[PooledRow]) -> list[str]:
    """List the figures of the literature that the protocols of the runs name, in percent."""
    configs = (run.config for row in rows for run in row.pooled.runs)
    every = (
        f"Published for data.protocol={config.get('data.protocol.name')}, in percent: {sentence}."
        for config in configs
        for sentence in config.get("data.protocol.published") or ()
    )
    return list(dict.fromkeys(every))


def describe_worst(worst: GroupScore) -> str:
    """Name the worst subject with its score."""
    return f"{worst.name} ({worst.war:.3f} of {worst.clips})"


def format_score(score: PooledScore, mark: str = "") -> str:
    """Format a score over all clips with its interval."""
    text = f"{score.value:.3f}{mark}"
    return f"{text} [{score.low:.3f}, {score.high:.3f}]" if isfinite(score.low) else text


def _format_fold_mean(score: PooledScore, mark: str = "") -> str:
    text = f"{score.fold_mean:.3f}{mark}"
    return f"{text} (sd {score.fold_std:.3f})" if isfinite(score.fold_std) else text


def _value(score: PooledScore) -> float:
    return score.value


def _fold_mean(score: PooledScore) -> float:
    return score.fold_mean


def _format_scores(
    rows: Sequence[PooledRow],
    marks: Sequence[str],
    formatter: Callable[[PooledScore, str], str],
    value: Callable[[PooledScore], float],
) -> list[list[str]]:
    """Format the scores of each row, the best and the second of each column marked."""
    lines: list[list[str]] = [[] for _ in rows]
    for name in SCORES:
        values = [value(row.scores[name]) for row in rows]
        ranks = sorted(set(values), reverse=True)
        for line, row, mark, own in zip(lines, rows, marks, values, strict=True):
            rank = ranks.index(own)
            emphasis = BEST if rank == 0 else SECOND if rank == 1 else ""
            line.append(emphasis * (len(ranks) > 1) + formatter(row.scores[name], mark))
    return lines


def _format_p(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def make_detail_tables(name: str, details: Details) -> list[TextTable]:
    """Make the tables of one setting."""
    classes = [
        [
            one.name,
            str(one.clips),
            _format_with_interval(one.recall, one.interval),
            _format_number(one.precision),
            _format_number(one.f1),
            one.mistaken_for or "-",
        ]
        for one in details.classes
    ]
    head = ["class", "clips", "recall", "precision", "F1", "most often mistaken for"]
    tables = [TextTable(f"{name}: classes", head, classes, [])]
    subjects = [
        [one.name, str(one.clips), _format_number(one.war), _format_number(one.uar)]
        for one in details.subjects
    ]
    head = ["subject", "clips", "WAR", "UAR"]
    tables.append(TextTable(f"{name}: subjects, the worst first", head, subjects, []))
    if details.attributes:
        body = [
            [
                one.kind,
                one.name,
                str(one.clips),
                _format_with_interval(one.war, one.war_interval),
                _format_with_interval(one.uar, one.uar_interval),
            ]
            for one in details.attributes
        ]
        head = ["attribute", "value", "clips", "WAR", "UAR"]
        tables.append(TextTable(f"{name}: attributes", head, body, []))
    return tables


def _format_number(number: float) -> str:
    return f"{number:.3f}" if isfinite(number) else "-"


def _format_with_interval(number: float, interval: tuple[float, float] | None) -> str:
    if interval is None or not isfinite(interval[0]):
        return _format_number(number)
    return f"{number:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def _emphasize(cell: str, best: str, second: str) -> str:
    """Write a cell with these patterns of the best and the second."""
    if cell.startswith(BEST):
        return best.format(cell[1:])
    return second.format(cell[1:]) if cell.startswith(SECOND) else cell


def to_markdown(tables: Sequence[TextTable]) -> str:
    """Format tables as Markdown: the best in bold, the second underlined."""
    parts = []
    for table in tables:
        body = [[_emphasize(cell, "**{}**", "<u>{}</u>") for cell in row] for row in table.rows]
        lines = [table.head, ["---"] * len(table.head), *body]
        text = ["| " + " | ".join(c.replace("|", r"\|") for c in line) + " |" for line in lines]
        parts.append("\n".join([f"### {table.title}", "", *text, ""]))
        parts += [f"{note}\n" for note in table.notes]
    return "\n".join(parts)


def to_latex(tables: Sequence[TextTable]) -> str:
    """Format tables as LaTeX for booktabs: the best in bold, the second underlined."""
    parts = []
    for table in tables:
        lines = [
            " & ".join(
                _emphasize(cell.translate(ESCAPES), r"\textbf{{{}}}", r"\underline{{{}}}")
                for cell in line
            )
            for line in [table.head, *table.rows]
        ]
        body = " \\\\\n".join(lines[1:])
        width = len(table.head)
        notes = "".join(
            f"\\multicolumn{{{width}}}{{l}}{{\\footnotesize {note.translate(ESCAPES)}}} \\\\\n"
            for note in table.notes
        )
        parts.append(
            f"% {table.title}\n\\begin{{tabular}}{{{'l' * width}}}\n\\toprule\n{lines[0]} \\\\\n"
            f"\\midrule\n{body} \\\\\n\\bottomrule\n{notes}\\end{{tabular}}\n"
        )
    return "\n".join(parts)


ESCAPES = LATEX_ESCAPES | str.maketrans({LOSES_MARK: r"$\downarrow$"})


def to_csv(rows: Sequence[PooledRow], details: Mapping[str, Details]) -> str:
    """Format all numbers as CSV, a line for each: of settings, classes, subjects, attributes."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(
        ["setting", "predictor", "of", "name", "clips", "score", "value", "low", "high", "leakage"]
    )
    for row in rows:
        leaks, pooled = list_leaks(row.pooled.leaks), row.pooled

        def write(of: str, name: str, clips: int, score: str, *values: float) -> None:
            numbers = [value if isfinite(value) else "" for value in values]
            padded = [*numbers, "", ""][:3]
            line = [row.name, pooled.predictor, of, name, clips, score, *padded, leaks]  # noqa: B023
            writer.writerow(line)

        for score, found in row.scores.items():
            write("all clips", "", len(pooled), score, found.value, found.low, found.high)
            write("mean over folds", "", len(pooled), score, found.fold_mean)
            write("deviation over folds", "", len(pooled), score, found.fold_std)
        if row.gap:
            gap = row.gap
            write("behind the best", "", len(pooled), RANKING_SCORE, gap.value, gap.low, gap.high)
            write("behind the best", "", len(pooled), "p", gap.p)
            write("behind the best", "", len(pooled), "McNemar p", gap.mcnemar_p)

        if row.name not in details:
            continue
        known = details[row.name]
        for one in known.classes:
            write("class", one.name, one.clips, "recall", one.recall, *one.interval)
            write("class", one.name, one.clips, "precision", one.precision)
            write("class", one.name, one.clips, "F1", one.f1)
        for group in (*known.subjects, *known.attributes):
            war, uar = group.war_interval or (), group.uar_interval or ()
            write(group.kind, group.name, group.clips, "WAR", group.war, *war)
            write(group.kind, group.name, group.clips, "UAR", group.uar, *uar)

    return text.getvalue()


def write_pooled(folder: Path, rows: Sequence[PooledRow], details: Mapping[str, Details]) -> None:
    """Write pooled.md, pooled.tex and pooled.csv; details of each setting stand in the first."""
    tables = make_tables(rows)
    detailed = [table for name, one in details.items() for table in make_detail_tables(name, one)]
    for name, text in (
        ("pooled.md", to_markdown([*tables, *detailed])),
        ("pooled.tex", to_latex(tables)),
        ("pooled.csv", to_csv(rows, details)),
    ):
        (folder / name).write_text(text, encoding="utf-8")


def print_pooled(rows: Sequence[PooledRow], details: Mapping[str, Details]) -> None:
    """Print the tables of settings, and classes and worst subjects of the best network."""
    to_file = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    console = Console(width=FILE_WIDTH if to_file else None)
    shown = make_tables(rows)
    best = next((row.name for row in rows if row.name in details), None)
    if best is not None:
        tables = make_detail_tables(best, details[best])
        tables[1] = tables[1]._replace(rows=tables[1].rows[:SHOWN_SUBJECTS])
        shown += tables

    for table in shown:
        console.print(f"[b]{escape(replace_unprintable(table.title))}[/b]", highlight=False)
        lines = Table(box=SIMPLE_HEAD)
        for name in table.head:
            lines.add_column(escape(name), overflow="fold")
        for row in table.rows:
            cells = (replace_unprintable(escape_cell(cell)) for cell in row)
            lines.add_row(*cells)
        console.print(lines)
        for note in table.notes:
            text = textwrap.fill(replace_unprintable(note), min(console.width, TEXT_WIDTH))
            console.print(escape(text), style="dim", highlight=False)


def escape_cell(cell: str) -> str:
    """Write a cell in the markup of the terminal."""
    if cell[:1] in (BEST, SECOND):
        return _emphasize(cell[0] + escape(cell[1:]), "[b]{}[/b]", "[u]{}[/u]")
    return escape(cell)
