"""Views of predictions on a page, one per kind of labels."""

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from matplotlib.figure import Figure

from avfusion.evaluation.predictions import Predictions
from avfusion.report.class_view import ClassView
from avfusion.report.markup import Html
from avfusion.report.number_view import NumberView


@runtime_checkable
class View(Protocol):
    """Figures, sections and examples of the predictions of a test.

    ``title`` is the section of what is known by class, ``each`` the score that results.json has of
    each class, what such a class is called, and what the score is called. ``choice`` is a sentence
    about how examples are chosen.
    """

    title: str
    choice: str
    each: tuple[str, str, str]

    def headline(self, predictions: Predictions) -> tuple[str, float]:
        """Return the name and the value of a score, to be compared with that of results.json."""
        ...

    def figures(self, predictions: Predictions) -> list[tuple[str, str, Figure]]:
        """Return figures, each behind the name of its file and its caption."""
        ...

    def examples(self, predictions: Predictions, most: int) -> dict[str, list[int]]:
        """Return the places of at most so many clips of each group, such as the wrong ones."""
        ...

    def sections(
        self, predictions: Predictions, intro: Html, drawn: Sequence[Html], mark: str = ""
    ) -> list[Html]:
        """Return sections, the first of which begins with ``intro``, and one has what is drawn.

        ``mark`` is that of data leakage, beside every number that it concerns.
        """
        ...


VIEWS: dict[str, View] = {
    "single_label": ClassView(),
    "multi_label": ClassView(),
    "continuous": NumberView(),
}


def view_of(predictions: Predictions) -> View:
    """Return what a page shows of predictions."""
    return VIEWS[predictions.target.kind]
