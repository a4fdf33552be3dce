"""Tables of compared runs, for terminals."""

import os
import sys
import textwrap
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from avfusion.comparison.rows import Row
from avfusion.comparison.tables import ASSUMPTIONS, cells, footnotes, header
from avfusion.console import printable

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
        shown = textwrap.fill(printable(text), min(console.width, PARAGRAPH))
        console.print(escape(shown), style="dim", highlight=False)


def terminal_table(lines: Sequence[Sequence[str]]) -> Table:
    """Return a table whose cells go on in the next line where they are too long."""
    table = Table(box=SIMPLE_HEAD)
    for name in lines[0]:
        table.add_column(escape(name), overflow="fold")
    for line in lines[1:]:
        table.add_row(*map(printable, line))
    return table
