"""Tables of compared runs, for terminals."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from avfusion.comparison.rows import Row
from avfusion.comparison.tables import ASSUMPTIONS, cells, header


def show(rows: Sequence[Row]) -> None:
    """Print scores, then costs, to a terminal however narrow: nothing is cut off."""
    lines = [
        header(rows),
        *cells(
            [row._replace(name=escape(row.name)) for row in rows], lambda text: f"[b]{text}[/b]"
        ),
    ]
    console, scored = Console(), 2 + len(rows[0].scores)
    console.print(terminal_table([line[:scored] for line in lines]))
    if len(lines[0]) > scored:
        console.print(terminal_table([[line[0], *line[scored:]] for line in lines]))
    console.print(ASSUMPTIONS, style="dim")


def terminal_table(lines: Sequence[Sequence[str]]) -> Table:
    """Return a table whose cells go on in the next line where they are too long."""
    table = Table(box=SIMPLE_HEAD)
    for name in lines[0]:
        table.add_column(escape(name), overflow="fold")
    for line in lines[1:]:
        table.add_row(*line)
    return table
