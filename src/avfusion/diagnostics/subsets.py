"""Subsets of modalities: the scores with both, with one, and with none of them."""

from collections.abc import Sequence

from avfusion.diagnostics.class_predictions import Outputs, find_title, has_classes
from avfusion.diagnostics.evidence import Evidence, Stacked
from avfusion.diagnostics.section import Cell, Chart, Line, Section, Table
from avfusion.diagnostics.stand_ins import STAND_INS, TITLES, ModalityRemoval

MIN_RISE = 1e-6  # of a probability in single precision: less is rounding


class Subsets:
    """Score the network on clips from which modalities are taken away.

    Also counted are the clips of which the network is *more* sure without a modality than with
    both, which one whose confidence can be trusted seldom is (Ma et al., 2023,
    https://arxiv.org/abs/2306.01265).

    Args:
        stand_ins: What is put in the place of what is taken away, some of ``STAND_INS``.
    """

    title = "Subsets of modalities"
    needs_networks = True

    def __init__(self, stand_ins: Sequence[str] = ("network",)) -> None:
        if not stand_ins or any(name not in STAND_INS for name in stand_ins):
            raise ValueError(
                f"diagnostics.subsets.stand_ins must be some of {', '.join(STAND_INS)}, got "
                f"{list(stand_ins)}."
            )
        self.stand_ins = stand_ins

    def measure(self, evidence: Evidence) -> Section:
        """Measure every score of the target for each subset."""
        scores = evidence.target.scores
        titles = [find_title(score) for score in scores]
        numbers: dict[str, float] = {}
        tables, lines, summaries = [], [], []

        for stand_in in self.stand_ins:
            rows: list[list[Cell]] = []
            for name, outputs in compute_subsets(evidence, stand_in).items():
                found = evidence.average(evidence.score, outputs)
                numbers |= {f"{stand_in}/{to_key(name)}/{score}": found[score] for score in scores}
                rows.append([name, *_with_interval(evidence, outputs, found)])
            in_place = f"{TITLES[stand_in]} in place of what is taken away"
            tables.append(Table(in_place, ["clips have", *titles], rows))

            names = [str(row[0]) for row in rows]
            values = [numbers[f"{stand_in}/{to_key(name)}/{scores[0]}"] for name in names]
            ends = [row[1][1:] for row in rows if isinstance(row[1], tuple)]
            low, high = zip(*ends, strict=True) if ends else ((), ())
            lines.append(Line(TITLES[stand_in], names, values, low, high))
            parts = (f"{name} {value:.3f}" for name, value in zip(names, values, strict=True))
            summaries.append(f"{titles[0]}: {', '.join(parts)}")

        caption = f"{titles[0]} without one modality, and without both."
        chart = Chart("modality_subsets", caption, titles[0], "clips have", lines)
        if not has_classes(evidence.target):
            notes = ["Numbers have no confidence that could rise without a modality."]
            return Section(self.title, summaries[0], numbers, tables, [chart], notes)

        rises = count_rises(evidence)
        numbers |= {f"confidence_rises/{to_key(name)}": share for name, share in rises.items()}
        title = "Part of the clips with a higher confidence than before modalities were taken away"
        rises_table = Table(title, ["clips have", "part"], [[*row] for row in rises.items()])
        return Section(self.title, summaries[0], numbers, [*tables, rises_table], [chart])


def compute_subsets(evidence: Evidence, stand_in: str = "network") -> dict[str, Stacked]:
    """Compute the outputs for each subset of the modalities that the networks read, all first."""
    read = evidence.modalities
    removed = {}
    if len(read) > 1:
        others = {kept: tuple(name for name in read if name != kept) for kept in read}
        removed = {f"{kept} only": ModalityRemoval(away, stand_in) for kept, away in others.items()}
    removed["none"] = ModalityRemoval(read, stand_in)
    computed = evidence.compute_each(list(removed.values()))
    whole = {"both" if len(read) > 1 else f"{read[0]} only": evidence.outputs}
    return whole | dict(zip(removed, computed, strict=True))


def count_rises(evidence: Evidence) -> dict[str, float]:
    """Count the part of the clips whose confidence is higher without a modality than with all.

    What stands in for it is what the network has.
    """
    subsets = compute_subsets(evidence)
    whole, *fewer = subsets

    def compare(before: Outputs, after: Outputs) -> dict[str, float]:
        sure, surer = (evidence.predict_classes(outputs).confidence for outputs in (before, after))
        return {"part": float((surer > sure + MIN_RISE).mean())}

    return {
        name: float(evidence.average(compare, subsets[whole], subsets[name])["part"])
        for name in fewer
    }


def _with_interval(evidence: Evidence, outputs: Stacked, found: dict[str, float]) -> list[Cell]:
    """List the scores; the first one of classes, a mean over clips, with its interval."""
    first, *others = evidence.target.scores
    cells: list[Cell] = [float(found[name]) for name in others]
    if not has_classes(evidence.target):
        return [float(found[first]), *cells]
    low, high = evidence.draws.find_interval(evidence.score_clips(outputs))
    return [(float(found[first]), low, high), *cells]


def to_key(name: str) -> str:
    """Write a name as a part of a key."""
    return name.replace(" ", "_")
