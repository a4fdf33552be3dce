"""Selective prediction: how much less often the network is wrong where it may stay silent."""

import numpy as np
from jaxtyping import Float64

from avfusion.diagnostics.class_predictions import Outputs
from avfusion.diagnostics.evidence import Evidence
from avfusion.diagnostics.section import Cell, Chart, Line, Section, Table

SHOWN_COVERAGES = (0.5, 0.8, 0.9, 1.0)  # coverages of the table
CURVE_POINTS = 200  # of the curve in a chart


class SelectivePrediction:
    """Measure the risk-coverage curve, by the confidence of each clip.

    Coverage is the part of the clips that is answered, the surest ones first; risk is the part of
    the predictions that is wrong. The area under the curve (AURC) is the mean of the risks at all
    coverages (Geifman et al., 2018, https://arxiv.org/abs/1805.08206). It is compared with that of
    the best order of the same predictions, in which all wrong ones come last, and with the risk of
    answering always, which a confidence that knows nothing has at every coverage.
    """

    title = "Selective prediction"
    needs_networks = False

    def measure(self, evidence: Evidence) -> Section:
        """Measure how risk falls with coverage."""

        def measure(outputs: Outputs) -> dict[str, Float64[np.ndarray, "clips"]]:
            predictions = evidence.predict_classes(outputs)
            wrong = 1 - predictions.right
            return {
                "risks": find_risks(predictions.confidence, wrong),
                "best": find_risks(-wrong, wrong),
            }

        found = evidence.average(measure, evidence.outputs)
        risks, best = found["risks"], found["best"]
        clips = len(risks)
        at = {
            coverage: float(risks[max(1, round(coverage * clips)) - 1])
            for coverage in SHOWN_COVERAGES
        }
        numbers = {
            "aurc": float(risks.mean()),
            "best_aurc": float(best.mean()),
            "excess_aurc": float(risks.mean() - best.mean()),
            **{f"risk_at_{coverage:g}": risk for coverage, risk in at.items()},
        }

        coverage = np.arange(1, clips + 1) / clips
        shown = np.unique(np.linspace(0, clips - 1, min(clips, CURVE_POINTS)).round().astype(int))
        lines = [
            Line(name, coverage[shown].tolist(), curve[shown].tolist())
            for name, curve in (("by confidence", risks), ("best order", best))
        ]
        caption = "Risk over coverage: the part of the predictions that is wrong."
        chart = Chart("risk_coverage", caption, "coverage", "risk", lines)
        rows: list[list[Cell]] = [
            [f"risk at a coverage of {coverage:g}", risk] for coverage, risk in at.items()
        ]
        rows += [
            ["area under the curve (AURC)", numbers["aurc"]],
            ["AURC of the best order", numbers["best_aurc"]],
        ]
        summary = (
            f"AURC {numbers['aurc']:.3f}, risk {at[1.0]:.3f}, at a coverage of 0.8 {at[0.8]:.3f}"
        )
        return Section(self.title, summary, numbers, [Table("Risk", ["", "value"], rows)], [chart])


def find_risks(
    confidence: Float64[np.ndarray, "clips"], wrong: Float64[np.ndarray, "clips"]
) -> Float64[np.ndarray, "clips"]:
    """Find the risk of answering the surest clip, the two surest ones, ..., all of them.

    Clips of one confidence come in no order: among them risk is what it is on average.
    """
    values, inverse, counts = np.unique(-confidence, return_inverse=True, return_counts=True)
    mean = np.bincount(inverse, wrong, minlength=len(values)) / counts
    return np.cumsum(np.repeat(mean, counts)) / np.arange(1, len(wrong) + 1)
