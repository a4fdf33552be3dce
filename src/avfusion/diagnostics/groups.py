"""Groups of clips: by subject, class, and attributes of the corpus; the worst, and the gap."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float64

from avfusion.bounds import PositiveInt
from avfusion.diagnostics.class_predictions import has_classes
from avfusion.diagnostics.evidence import Evidence
from avfusion.diagnostics.section import Cell, Chart, Line, Section, Table
from avfusion.evaluation.subject_bootstrap import find_interval
from avfusion.messages import pluralize

MAX_DRAWN = 40  # groups in a chart


class Group(NamedTuple):
    """Some clips: how many, what is scored of each clip of the split, and the mean over these."""

    kind: str
    name: str
    selected: Bool[np.ndarray, "clips"]
    scores: Float64[np.ndarray, "clips"]
    clips: int
    score: float

    @classmethod
    def of(
        cls,
        kind: str,
        name: str,
        selected: Bool[np.ndarray, "clips"],
        scores: Float64[np.ndarray, "clips"],
    ) -> "Group":
        """Score these clips."""
        return cls(
            kind, name, selected, scores, int(selected.sum()), float(scores[selected].mean())
        )


class Groups:
    """Score groups of clips, with 95 % intervals by bootstrap over subjects.

    What is scored is the part of the clips that is right (of several classes per clip, of the
    decisions; of the clips of a class, its recall), or the mean absolute error of numbers. The gap
    is between the best and the worst group of a kind, among those of ``min_clips`` and more; its
    interval is that of the difference of these two, below zero where the worst could be the better.
    A group of one subject has no interval: it says nothing about other people.
    """

    title = "Groups"
    needs_networks = False

    def __init__(self, min_clips: PositiveInt = 5) -> None:
        self.min_clips = min_clips

    def measure(self, evidence: Evidence) -> Section:
        """Measure the score of each group."""
        classes = has_classes(evidence.target)
        what = "accuracy" if classes else "mean absolute error"
        numbers: dict[str, float] = {}
        tables, charts, summaries = [], [], []

        groups = list(find_groups(evidence))
        for kind in dict.fromkeys(group.kind for group in groups):
            some = [group for group in groups if group.kind == kind]
            some.sort(key=lambda group: (group.score if classes else -group.score, group.name))
            samples = evidence.draws.average([g.scores for g in some], [g.selected for g in some])
            draws = {group.name: own for group, own in zip(some, samples, strict=True)}
            ends = {name: find_interval(own) for name, own in draws.items()}
            rows: list[list[Cell]] = [
                [group.name, group.clips, (group.score, *ends[group.name])] for group in some
            ]
            title = f"By {kind}, the worst first"
            head = [kind, "clips", "recall" if kind == "class" else what]

            large = [group for group in some if group.clips >= self.min_clips]
            numbers |= {f"score/{kind}/{group.name}": group.score for group in some}
            if len(large) > 1:
                worst, best = large[0], large[-1]
                gap = abs(best.score - worst.score)
                sign = 1 if classes else -1  # of errors, the best are the smallest
                low, high = find_interval(sign * (draws[best.name] - draws[worst.name]))
                rows.append([f"gap from {best.name} to {worst.name}", None, (gap, low, high)])
                numbers |= {f"worst/{kind}": worst.score, f"gap/{kind}": gap}
                summaries.append(f"worst {kind} {worst.name} {worst.score:.3f} (gap {gap:.3f})")
            tables.append(Table(title, head, rows))
            if len(some) <= MAX_DRAWN:
                charts.append(_draw(kind, some, ends, head[-1]))

        notes = [] if classes else ["Numbers have no classes to group clips by."]
        if self.min_clips > 1:
            notes.append(f"Best and worst are among groups of at least {self.min_clips} clips.")
        summary = "; ".join(summaries) or f"{pluralize(len(groups), 'group')}, all of them small"
        return Section(self.title, summary, numbers, tables, charts, notes)


def find_groups(evidence: Evidence) -> Iterator[Group]:
    """Find the groups of clips, those of each kind together."""
    predictions = []
    if has_classes(evidence.target):
        predictions = [evidence.predict_classes(one) for one in evidence.outputs]
        scores = np.mean([one.right for one in predictions], axis=0)
    else:
        scores = evidence.score_clips(evidence.outputs)
    for number, name in enumerate(evidence.draws.names):
        yield Group.of("subject", name, evidence.draws.subject_numbers == number, scores)

    if predictions:
        has = predictions[0].has.T.copy()  # by class, one after the other in memory
        found = np.mean([one.found.T for one in predictions], axis=0)
        for number, name in enumerate(evidence.target.output_names):
            if has[number].any():
                yield Group.of("class", name, has[number], found[number])

    for attribute, known in evidence.attributes.items():
        values = np.array([value or "" for value in known])
        for value in sorted({value for value in known if value}):
            yield Group.of(attribute, value, values == value, scores)


def _draw(kind: str, groups: list[Group], ends: dict[str, tuple[float, float]], what: str) -> Chart:
    low, high = zip(*(ends[group.name] for group in groups), strict=True)
    line = Line("", [g.name for g in groups], [g.score for g in groups], low, high)
    caption = f"By {kind}, with 95 % intervals over subjects where a group has several."
    return Chart(f"groups_{kind}", caption, what, kind, [line])
