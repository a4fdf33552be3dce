"""HTML, put together so that no name can be anything but text."""

import base64
import hashlib
import io
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from matplotlib.figure import Figure

from avfusion.figures.style import INK, METADATA
from avfusion.report.looks import CSS

# Of matplotlib's SVG: what only a file of its own needs, and names that nothing refers to.
NEEDLESS = re.compile(
    r'<metadata>.*?</metadata>|<!--.*?-->| xmlns(:xlink)?="[^"]*"| id="([\w.]+_\d+|image\w+)"',
    re.DOTALL,
)
FIRST = 40  # rows of a long table that are not folded up
REFERENCE = re.compile(r'(\sid="|href="#|url\(#)')


class Html(str):
    """What is HTML already; any other text is escaped where it is put into a page."""


def joined(parts: Iterable[object]) -> Html:
    """Put parts one behind the other, all but HTML escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(str(part)) for part in parts))


def tag(name: str, *inside: object, **attributes: object) -> Html:
    """Return an element; ``class_`` is its class."""
    given = [f' {key.rstrip("_")}="{escape(str(value))}"' for key, value in attributes.items()]
    return Html(f"<{name}{''.join(given)}>{joined(inside)}</{name}>")


def shown(value: Any) -> Html:
    """Return a value as people read it; a number keeps all of its digits for programs."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return joined(["-" if value is None else value])
    text = f"{value:,}" if isinstance(value, int) else f"{value:.4g}"
    if isinstance(value, float) and 0.001 <= abs(value) < 10_000:
        text = f"{value:,.4f}" if abs(value) < 100 else f"{value:,.1f}"
    return tag("data", text, value=repr(value))


def table(head: Sequence[object], rows: Iterable[Sequence[object]], class_: str = "") -> Html:
    """Return a table whose first column names its rows."""
    titles = tag("tr", *(tag("th", title, scope="col") for title in head))
    lines = [
        tag("tr", tag("th", shown(row[0]), scope="row"), *(tag("td", cell(c)) for c in row[1:]))
        for row in rows
    ]
    whole = tag("table", tag("thead", titles), tag("tbody", *lines), class_=class_)
    return tag("div", whole, class_="wide")


def folded_table(head: Sequence[object], rows: Sequence[Sequence[object]]) -> Html:
    """Return a table of which all but the first rows are folded up."""
    first = table(head, rows[:FIRST])
    if len(rows) <= FIRST:
        return first
    title = tag("summary", f"{len(rows) - FIRST} more")
    return joined([first, tag("details", title, table(head, rows[FIRST:]))])


def cell(value: object) -> Html:
    """Return what stands in a cell."""
    return value if isinstance(value, Html) else shown(value)


def marked(value: object, mark: str) -> Html:
    """Return what stands in a cell with the mark of a footnote, where there is a value."""
    return joined([cell(value), tag("sup", mark)]) if mark and value is not None else cell(value)


def bar(part: float) -> Html:
    """Return a part of one as a number on a bar of that length."""
    return tag("span", shown(part), class_="bar", style=f"--part:{100 * part:.1f}%")


def section(title: str, *inside: object) -> Html:
    """Return a section that the list of contents can point to."""
    return tag("section", tag("h2", title), *inside, id=anchor(title))


def anchor(title: str) -> str:
    """Return the address of a section in its page."""
    return re.sub(r"\W+", "-", title.lower())


def note(*inside: object) -> Html:
    """Return a sentence about what is missing, or needs care."""
    return tag("p", *inside, class_="note")


def drawing(figure: Figure, caption: str) -> Html:
    """Return a figure as vectors in the colours of the page."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata=METADATA["svg"])
    text = file.getvalue()
    text = NEEDLESS.sub("", text[text.index("<svg") :]).replace(INK, "currentColor")
    own = hashlib.sha256(text.encode()).hexdigest()[:8]  # figures of one page share no names
    text = REFERENCE.sub(rf"\g<1>{own}-", text)
    label = escape(caption)
    svg = Html(text.replace("<svg", f'<svg role="img" aria-label="{label}"', 1))
    return tag("figure", tag("div", svg, class_="wide"), tag("figcaption", caption))


def photograph(figure: Figure, caption: str) -> Html:
    """Return a figure as a picture of dots, as photographs are."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    source = f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
    picture = Html(f'<img alt="{escape(caption)}" src="{source}">')
    return tag("figure", tag("div", picture, class_="wide"), tag("figcaption", caption))


def page(title: str, lead: Html, sections: Sequence[Html]) -> str:
    """Return a whole page, with a list of its sections."""
    names = [re.search(r'id="([^"]*)"><h2>(.*?)</h2>', one) for one in sections]
    links = [tag("a", Html(name[2]), href=f"#{name[1]}") for name in names if name]
    body = [tag("header", tag("h1", title), lead, tag("nav", *links)), tag("main", *sections)]
    head = Html(
        '<meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{CSS}</style>"
    )
    whole = tag("html", tag("head", head), tag("body", *body), lang="en")
    return f"<!doctype html>\n{whole}\n"
