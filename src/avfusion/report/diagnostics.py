"""Diagnostics on pages: on one of their own, and as a section of the page of a run or sweep."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from avfusion.diagnostics.section import Diagnosis, Section
from avfusion.figures.diagnostics import chart_figure
from avfusion.messages import pluralize
from avfusion.report.figures import PageFigure
from avfusion.report.rendering import render


class ShownSection(NamedTuple):
    """A section and its charts as figures."""

    section: Section
    figures: list[PageFigure]


class ShownDiagnosis(NamedTuple):
    """The sections of a run or setting."""

    diagnosis: Diagnosis
    sections: list[ShownSection]

    def describe(self) -> str:
        """Describe what was diagnosed."""
        one = self.diagnosis
        clips, subjects = pluralize(one.clips, "clip"), pluralize(one.subjects, "subject")
        return f"{one.name}: {clips} of {subjects}, of the {one.split} split."

    @property
    def figures(self) -> list[PageFigure]:
        """All figures."""
        return [one for section in self.sections for one in section.figures]


def show_diagnoses(diagnoses: Sequence[Diagnosis]) -> list[ShownDiagnosis]:
    """Draw the charts of diagnoses for a page."""
    return [
        ShownDiagnosis(
            diagnosis,
            [
                ShownSection(
                    section,
                    [PageFigure(c.name, c.caption, chart_figure(c)) for c in section.charts],
                )
                for section in diagnosis.sections.values()
            ],
        )
        for diagnosis in diagnoses
    ]


def write_page(folder: Path, diagnoses: Sequence[Diagnosis]) -> Path:
    """Write diagnostics.html into the folder of a run or sweep."""
    html = render(
        "diagnostics.html",
        title=f"Diagnostics of {'/'.join(folder.resolve().parts[-2:])}",
        folder=folder,
        diagnoses=show_diagnoses(diagnoses),
    )
    page = folder / "diagnostics.html"
    page.write_text(html, encoding="utf-8", errors="replace")
    return page
