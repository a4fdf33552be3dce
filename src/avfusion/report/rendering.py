"""HTML pages from the templates of this package."""

from typing import NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined

from avfusion.report.figures import PageFigure


class Report(NamedTuple):
    """A page of HTML, the figures in it, and why predictions are missing, where they are."""

    html: str
    figures: list[PageFigure]
    missing: str = ""


def render(template: str, **content: object) -> str:
    """Fill a template; a name that it uses and that is not given is an error."""
    environment = Environment(
        loader=PackageLoader("avfusion.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.do"],
    )
    environment.filters["digits"] = _round

    return environment.get_template(template).render(content)


def _round(number: float) -> str:
    if isinstance(number, int):
        return f"{number:,}"
    if number == 0 or 0.001 <= abs(number) < 100:
        return f"{number:.4f}"
    return f"{number:,.1f}" if 100 <= abs(number) < 10_000 else f"{number:.4g}"
