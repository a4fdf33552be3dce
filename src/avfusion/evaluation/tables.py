"""Tables of compared runs, as Markdown, LaTeX and CSV, and for the terminal."""

import csv
import io
import os
import sys
import textwrap
from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path
from statistics import median

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from avfusion.console import replace_unprintable
from avfusion.evaluation.aggregate import Row, Score, find_best_row
from avfusion.evaluation.leak_marks import list_leaks, mark_leaks

ASSUMPTIONS = (
    "± is the 95 % interval of the mean over runs (Student's t), from three runs on; sd is their "
    "standard deviation. p is that of a paired t-test against the best over common seeds: it takes "
    "differences to be independent and normal, and is not corrected for the number of settings."
)

COST_METRICS = ("parameters", "parameters_of_fusion", "megaflops", "step_milliseconds")
BOLD_MARK = "\0"  # before a cell that LaTeX shall print in bold
LATEX_ESCAPES = str.maketrans(
    {
        **{sign: f"\\{sign}" for sign in "&%$#_{}"},
        **{sign: f"${sign}$" for sign in "<>|"},
        "±": r"$\pm$",
        "†": r"$^\dagger$",
        "‡": r"$^\ddagger$",
        "§": r"$^\S$",
        "¶": r"$^\P$",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "\\": r"\textbackslash{}",
    }
)


def format_score(score: Score, mark: str = "") -> str:
    """Format mean, mark of leakage, interval, standard deviation and p-value for display."""
    if not score.values:
        return "-"

    text = f"{score.mean:.3f}{mark}"
    if isfinite(score.interval):
        text += f" ± {score.interval:.3f}"
    if len(score.values) > 1:
        text += f" (sd {score.std:.3f})"
    if score.p is not None:
        text += " p<0.001" if score.p < 0.001 else f" p={score.p:.3f}"

    return text


def format_cells(rows: Sequence[Row], bold: Callable[[str], str]) -> list[list[str]]:
    """Format the cells of a table: the best of each metric in bold, leakage marked."""
    metrics = list(rows[0].scores)
    best = {metric: find_best_row(rows, metric) for metric in metrics}
    marks, _ = mark_leaks([row.leaks for row in rows])

    table = []
    for row, mark in zip(rows, marks, strict=True):
        texts = [format_score(row.scores[metric], mark) for metric in metrics]
        marked = [
            bold(text) if best[metric] is row else text
            for metric, text in zip(metrics, texts, strict=True)
        ]
        costs = [_format_cost(_find_cost(row, name)) for name in list_costs(rows)]
        table.append([row.name, str(len(row.runs)), *marked, *costs])

    return table


def write_footnotes(rows: Sequence[Row]) -> list[str]:
    """Explain the marks of cells, and why a metric has no best."""
    return [*mark_leaks([row.leaks for row in rows])[1], *explain_unknown_directions(rows)]


def explain_unknown_directions(rows: Sequence[Row]) -> list[str]:
    """Write a sentence about each metric of which no direction is known."""
    scores = rows[0].scores if rows else {}
    return [
        f"Whether a higher or a lower {name} is better is not known, so no setting is its best: "
        f"say it with --maximize {name} or --minimize {name}."
        for name, score in scores.items()
        if score.higher_is_better is None
    ]


def make_header(rows: Sequence[Row]) -> list[str]:
    """Names of the columns."""
    return ["setting", "runs", *rows[0].scores, *list_costs(rows)]


def list_costs(rows: Sequence[Row]) -> list[str]:
    """Names of the costs that are known of any setting."""
    return [name for name in COST_METRICS if any(_find_cost(row, name) is not None for row in rows)]


def _find_cost(row: Row, name: str) -> float | None:
    """Cost of a setting: of any run where all are the same, or else the median."""
    known = [number for run in row.runs if (number := run.results.get(name)) is not None]
    return median(known) if len(set(known)) > 1 else next(iter(known), None)


def _format_cost(number: float | None) -> str:
    if number is None:
        return "-"
    return f"{number:,.{0 if number >= 100 or number == int(number) else 1}f}"


def to_markdown(rows: Sequence[Row]) -> str:
    """Format rows as a Markdown table, with footnotes."""
    header = make_header(rows)
    body = format_cells(rows, lambda text: f"**{text}**")
    table = [header, ["---"] * len(header), *body]
    lines = ["| " + " | ".join(c.replace("|", r"\|") for c in line) + " |" for line in table]
    notes = [line for note in write_footnotes(rows) for line in (note, "")]
    return "\n".join([*lines, "", *notes, ASSUMPTIONS, ""])


def to_latex(rows: Sequence[Row]) -> str:
    """Format rows as a LaTeX table for booktabs, with footnotes."""
    table = [make_header(rows), *format_cells(rows, lambda text: BOLD_MARK + text)]
    escaped = [" & ".join(map(_escape_latex, line)) for line in table]
    body = " \\\\\n".join(escaped[1:])
    width = len(make_header(rows))
    notes = "".join(
        f"\\multicolumn{{{width}}}{{l}}{{\\footnotesize {_escape_latex(note)}}} \\\\\n"
        for note in write_footnotes(rows)
    )
    columns = "lr" + "l" * len(rows[0].scores) + "r" * len(list_costs(rows))
    return (
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{escaped[0]} \\\\\n\\midrule\n{body} \\\\\n"
        f"\\bottomrule\n{notes}\\end{{tabular}}\n"
    )


def _escape_latex(text: str) -> str:
    escaped = text.removeprefix(BOLD_MARK).translate(LATEX_ESCAPES)
    return rf"\textbf{{{escaped}}}" if text.startswith(BOLD_MARK) else escaped


def to_csv(rows: Sequence[Row]) -> str:
    """Format rows as CSV for programs.

    Beside the numbers of a metric stands their mark of leakage; the column ``leakage`` explains it.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    parts = ("mean", "std", "interval", "p", "values", "mark")
    columns = [f"{metric}/{part}" for metric in rows[0].scores for part in parts]
    writer.writerow(["setting", "runs", *columns, "leakage", *list_costs(rows)])
    marks, _ = mark_leaks([row.leaks for row in rows])

    for row, mark in zip(rows, marks, strict=True):
        numbers: list[object] = []
        for score in row.scores.values():
            values = " ".join(map(str, score.values))
            p = "" if score.p is None else score.p
            found = (score.mean, score.std, score.interval)
            numbers += [number if isfinite(number) else "" for number in found]
            numbers += [p, values, mark * bool(score.values)]
        numbers.append(list_leaks(row.leaks))
        costs = ["" if (c := _find_cost(row, name)) is None else c for name in list_costs(rows)]
        writer.writerow([row.name, len(row.runs), *numbers, *costs])

    return text.getvalue()


def write_tables(folder: Path, rows: Sequence[Row]) -> None:
    """Write summary.md, summary.tex and summary.csv."""
    for name, text in (
        ("summary.md", to_markdown(rows)),
        ("summary.tex", to_latex(rows)),
        ("summary.csv", to_csv(rows)),
    ):
        (folder / name).write_text(text, encoding="utf-8")


TEXT_WIDTH = 100  # characters of a line of text
FILE_WIDTH = 10_000  # of a table in a file, which is never wrapped


def print_table(rows: Sequence[Row]) -> None:
    """Print scores, then costs: names are never cut, a narrow terminal wraps them."""
    lines = [
        make_header(rows),
        *format_cells(
            [row._replace(name=escape(row.name)) for row in rows], lambda text: f"[b]{text}[/b]"
        ),
    ]
    to_file = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    console, scored = Console(width=FILE_WIDTH if to_file else None), 2 + len(rows[0].scores)
    console.print(_make_terminal_table([line[:scored] for line in lines]))
    if len(lines[0]) > scored:
        console.print(_make_terminal_table([[line[0], *line[scored:]] for line in lines]))
    for text in (*write_footnotes(rows), ASSUMPTIONS):
        shown = textwrap.fill(replace_unprintable(text), min(console.width, TEXT_WIDTH))
        console.print(escape(shown), style="dim", highlight=False)


def _make_terminal_table(lines: Sequence[Sequence[str]]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for name in lines[0]:
        table.add_column(escape(name), overflow="fold")
    for line in lines[1:]:
        table.add_row(*map(replace_unprintable, line))
    return table
