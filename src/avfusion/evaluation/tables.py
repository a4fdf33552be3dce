"""Tables of compared runs, for papers, programs and terminals."""

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
from avfusion.evaluation.aggregate import Row, Score, best_row
from avfusion.evaluation.leak_marks import mark_leaks

ASSUMPTIONS = (
    "± is the 95 % interval of the mean over runs (Student's t), from three runs on; sd is their "
    "standard deviation. p is that of a paired t-test against the best over common seeds: it takes "
    "differences to be independent and normal, and is not corrected for the number of settings."
)

COSTS = ("parameters", "parameters_of_fusion", "megaflops", "step_milliseconds")
BEST = "\0"  # before a cell that LaTeX shall print in bold
TEX = str.maketrans(
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


def cell(score: Score, mark: str = "") -> str:
    """Return mean, interval and p-value as a person reads them, with the mark of leakage."""
    if not score.values:
        return "-"
    text = f"{score.mean:.3f}{mark}"
    if isfinite(score.interval):
        text += f" ± {score.interval:.3f}"
    if len(score.values) > 1:
        text += f" (sd {score.std:.3f})"
    if score.p is None:
        return text
    return f"{text} p<0.001" if score.p < 0.001 else f"{text} p={score.p:.3f}"


def cells(rows: Sequence[Row], bold: Callable[[str], str]) -> list[list[str]]:
    """Return the cells of a table: the best of each metric in bold, leakage marked."""
    metrics = list(rows[0].scores)
    best = {metric: best_row(rows, metric) for metric in metrics}
    marks, _ = mark_leaks([row.leaks for row in rows])
    table = []
    for row, mark in zip(rows, marks, strict=True):
        texts = [cell(row.scores[metric], mark) for metric in metrics]
        marked = [
            bold(text) if best[metric] is row else text
            for metric, text in zip(metrics, texts, strict=True)
        ]
        costs = [written(cost(row, name)) for name in known_costs(rows)]
        table.append([row.name, str(len(row.runs)), *marked, *costs])
    return table


def footnotes(rows: Sequence[Row]) -> list[str]:
    """Return what the marks of cells mean, and why a metric has no best."""
    return [*mark_leaks([row.leaks for row in rows])[1], *undirected(rows)]


def undirected(rows: Sequence[Row]) -> list[str]:
    """Return a sentence about each metric of which nobody knows which way is better."""
    scores = rows[0].scores if rows else {}
    return [
        f"Whether a higher or a lower {name} is better is not known, so no setting is its best: "
        f"say it with --maximize {name} or --minimize {name}."
        for name, score in scores.items()
        if score.higher_is_better is None
    ]


def header(rows: Sequence[Row]) -> list[str]:
    """Return the names of the columns."""
    return ["setting", "runs", *rows[0].scores, *known_costs(rows)]


def known_costs(rows: Sequence[Row]) -> list[str]:
    """Return what is known of the costs of any setting."""
    return [name for name in COSTS if any(cost(row, name) is not None for row in rows)]


def cost(row: Row, name: str) -> float | None:
    """Return what a run of a setting costs: all of them the same, or else the median."""
    known = [number for run in row.runs if (number := run.results.get(name)) is not None]
    return median(known) if len(set(known)) > 1 else next(iter(known), None)


def written(number: float | None) -> str:
    """Return a cost as a person reads it."""
    if number is None:
        return "-"
    return f"{number:,.{0 if number >= 100 or number == int(number) else 1}f}"


def markdown(rows: Sequence[Row]) -> str:
    """Return a table in Markdown."""
    table = [header(rows), ["---"] * len(header(rows)), *cells(rows, lambda text: f"**{text}**")]
    lines = ["| " + " | ".join(c.replace("|", r"\|") for c in line) + " |" for line in table]
    notes = [line for note in footnotes(rows) for line in (note, "")]
    return "\n".join([*lines, "", *notes, ASSUMPTIONS, ""])


def latex(rows: Sequence[Row]) -> str:
    """Return a table for LaTeX's booktabs."""
    table = [header(rows), *cells(rows, lambda text: BEST + text)]
    escaped = [" & ".join(map(tex, line)) for line in table]
    body = " \\\\\n".join(escaped[1:])
    wide = len(header(rows))
    notes = "".join(
        f"\\multicolumn{{{wide}}}{{l}}{{\\footnotesize {tex(note)}}} \\\\\n"
        for note in footnotes(rows)
    )
    columns = "lr" + "l" * len(rows[0].scores) + "r" * len(known_costs(rows))
    return (
        f"\\begin{{tabular}}{{{columns}}}\n\\toprule\n{escaped[0]} \\\\\n\\midrule\n{body} \\\\\n"
        f"\\bottomrule\n{notes}\\end{{tabular}}\n"
    )


def tex(text: str) -> str:
    """Return a cell as LaTeX prints it."""
    escaped = text.removeprefix(BEST).translate(TEX)
    return rf"\textbf{{{escaped}}}" if text.startswith(BEST) else escaped


def comma_separated(rows: Sequence[Row]) -> str:
    """Return the numbers of a table for programs.

    Beside the numbers of a metric stands the mark that they would carry, ``leakage`` says why.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    parts = ("mean", "std", "interval", "p", "values", "mark")
    scored = [f"{metric}/{part}" for metric in rows[0].scores for part in parts]
    writer.writerow(["setting", "runs", *scored, "leakage", *known_costs(rows)])
    marks, _ = mark_leaks([row.leaks for row in rows])
    for row, mark in zip(rows, marks, strict=True):
        numbers: list[object] = []
        for score in row.scores.values():
            values = " ".join(map(str, score.values))
            p = "" if score.p is None else score.p
            found = (score.mean, score.std, score.interval)
            numbers += [number if isfinite(number) else "" for number in found]
            numbers += [p, values, mark * bool(score.values)]
        numbers.append(" ".join(f"{kind}={count}" for kind, count in row.leaks.items()))
        costs = ["" if (c := cost(row, name)) is None else c for name in known_costs(rows)]
        writer.writerow([row.name, len(row.runs), *numbers, *costs])
    return text.getvalue()


def write_all(folder: Path, rows: Sequence[Row]) -> None:
    """Write the table beside the runs, in every form."""
    for name, text in (
        ("summary.md", markdown(rows)),
        ("summary.tex", latex(rows)),
        ("summary.csv", comma_separated(rows)),
    ):
        (folder / name).write_text(text, encoding="utf-8")


PARAGRAPH = 100  # characters of a line where no terminal says how many it has
WIDEST = 10_000  # of a table in a file, which has no width


def show(rows: Sequence[Row]) -> None:
    """Print scores, then costs: names are never cut, a narrow terminal breaks them into lines."""
    lines = [
        header(rows),
        *cells(
            [row._replace(name=escape(row.name)) for row in rows], lambda text: f"[b]{text}[/b]"
        ),
    ]
    endless = not sys.stdout.isatty() and "COLUMNS" not in os.environ
    console, scored = Console(width=WIDEST if endless else None), 2 + len(rows[0].scores)
    console.print(terminal_table([line[:scored] for line in lines]))
    if len(lines[0]) > scored:
        console.print(terminal_table([[line[0], *line[scored:]] for line in lines]))
    for text in (*footnotes(rows), ASSUMPTIONS):
        shown = textwrap.fill(replace_unprintable(text), min(console.width, PARAGRAPH))
        console.print(escape(shown), style="dim", highlight=False)


def terminal_table(lines: Sequence[Sequence[str]]) -> Table:
    """Return a table whose cells go on in the next line where they are too long."""
    table = Table(box=SIMPLE_HEAD)
    for name in lines[0]:
        table.add_column(escape(name), overflow="fold")
    for line in lines[1:]:
        table.add_row(*map(replace_unprintable, line))
    return table
