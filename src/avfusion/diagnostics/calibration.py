"""Calibration: whether probabilities are as often right as they say."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float64, Shaped
from scipy import stats
from scipy.optimize import isotonic_regression

from avfusion.bounds import PositiveInt
from avfusion.checkpoint import find_checkpoint
from avfusion.diagnostics.class_predictions import ClassPredictions
from avfusion.diagnostics.evidence import Evidence, Stacked
from avfusion.diagnostics.section import Cell, Chart, Line, NotMeasured, Section, Table
from avfusion.diagnostics.temperature import fit_temperature, write_temperature
from avfusion.evaluation.leak_marks import TEST_VALIDATION
from avfusion.evaluation.predictions import load_validation_predictions

TITLES = {
    "accuracy": "accuracy",
    "mean_confidence": "mean confidence",
    "ece": "ECE, equal widths",
    "ece_equal_mass": "ECE, equal masses",
    "nll": "NLL (nats)",
    "brier": "Brier score",
    "reliability": "its reliability",
    "resolution": "its resolution",
    "uncertainty": "its uncertainty",
}

NOT_FITTED = "No temperature was fitted."
VALIDATES_ON_TEST = (
    "The temperature has seen the test clips, as data.validation=test validates on them."
)


class Bins(NamedTuple):
    """Mean probability, part of the events that happened, and part of all events, of each bin.

    Bins without events are left out.
    """

    probability: Float64[np.ndarray, "bins"]
    frequency: Float64[np.ndarray, "bins"]
    share: Float64[np.ndarray, "bins"]

    @property
    def error(self) -> float:
        """Expected calibration error."""
        return float((self.share * np.abs(self.probability - self.frequency)).sum())


class Calibration:
    """Measure calibration, before and after temperature scaling.

    The expected calibration error (Guo et al., 2017, https://arxiv.org/abs/1706.04599) compares the
    probability of what is decided with how often that is right, in ``bins`` of equal width or of
    equally many clips. Of several classes per clip it compares the probability of each class with
    how often clips have it.

    The Brier score (1950) is the squared error of the probabilities, of one class per clip summed
    over the classes (from 0 to 2), of several their mean. It is reliability - resolution +
    uncertainty (Murphy, 1973); the parts are estimated without bins, by isotonic regression of
    each class, so that they add up (Dimitriadis et al., 2021, https://arxiv.org/abs/2008.03033).

    ``temperature`` is fitted to the validation clips and written beside the checkpoint. What the
    network predicts for them is in the folder of the run, or is computed where it is not.
    """

    title = "Calibration"
    needs_networks = False

    def __init__(self, bins: PositiveInt = 15, temperature: bool = True) -> None:
        self.bins = bins
        self.temperature = temperature

    def measure(self, evidence: Evidence) -> Section:
        """Measure how far the probabilities can be taken at their word."""
        stages = {"as it is": evidence.outputs}
        numbers: dict[str, float] = {}
        notes: list[str] = []
        if self.temperature:
            try:
                scaled, temperatures = scale_evidence(evidence)
            except NotMeasured as error:
                notes.append(f"{NOT_FITTED} {error}")
            else:
                stages["with its temperature"] = scaled
                numbers["temperature"] = float(np.mean(temperatures))
                notes += _describe_temperatures(temperatures)
                if any(part.run.results.get(TEST_VALIDATION) for part in evidence.parts):
                    notes.append(VALIDATES_ON_TEST)

        lines = []
        for stage, (name, outputs) in zip(("", "scaled/"), stages.items(), strict=False):
            found, events = [], []
            for one in outputs:
                predictions = evidence.predict_classes(one)
                found.append(self.measure_predictions(predictions))
                events.append(list_events(predictions))
            numbers |= {f"{stage}{k}": float(np.mean([one[k] for one in found])) for k in found[0]}
            probability, happened = map(np.concatenate, zip(*events, strict=True))
            bins = bin_events(probability, happened, self.bins)
            lines.append(Line(name, bins.probability.tolist(), bins.frequency.tolist()))

        rows: list[list[Cell]] = [
            [title, *(numbers[f"{stage}{key}"] for stage in ("", "scaled/")[: len(stages)])]
            for key, title in TITLES.items()
        ]
        summary = ", ".join(f"{TITLES[key]} {numbers[key]:.3f}" for key in ("ece", "brier", "nll"))
        if "scaled/ece" in numbers:
            summary += (
                f"; at temperature {numbers['temperature']:.2f} ECE {numbers['scaled/ece']:.3f}"
            )
        caption = "Reliability: how often what has some probability happens."
        chart = Chart(
            "reliability", caption, "probability", "part of the events", lines, diagonal=True
        )
        return Section(
            self.title,
            summary,
            numbers,
            [Table("Calibration", ["", *stages], rows)],
            [chart],
            notes,
        )

    def measure_predictions(self, predictions: ClassPredictions) -> dict[str, float]:
        """Measure the predictions of one repetition."""
        events = list_events(predictions)
        return {
            "accuracy": float(predictions.right.mean()),
            "mean_confidence": float(predictions.confidence.mean()),
            "ece": bin_events(*events, self.bins).error,
            "ece_equal_mass": bin_events(*events, self.bins, equal_mass=True).error,
            "nll": float(predictions.nll.mean()),
            **decompose_brier(predictions),
        }


def list_events(
    predictions: ClassPredictions,
) -> tuple[Float64[np.ndarray, "events"], Float64[np.ndarray, "events"]]:
    """List probabilities of events, and whether each happened.

    Of one class per clip an event is that the decision is right; of several, that a clip has a
    class.
    """
    if predictions.exclusive:
        return predictions.confidence, predictions.right
    return predictions.probabilities.reshape(-1), predictions.has.reshape(-1).astype(np.float64)


def bin_events(
    probability: Float64[np.ndarray, "events"],
    happened: Float64[np.ndarray, "events"],
    bins: int,
    equal_mass: bool = False,
) -> Bins:
    """Bin events by probability: in bins of one width, or of equally many events.

    Events of the same probability share a bin.
    """
    if equal_mass:
        ranks = stats.rankdata(probability, method="min").astype(np.int64) - 1
        bin_numbers = ranks * bins // len(probability)
    else:
        bin_numbers = np.minimum((probability * bins).astype(np.int64), bins - 1)

    count = np.bincount(bin_numbers, minlength=bins)
    filled = count > 0
    sums = (np.bincount(bin_numbers, one, minlength=bins) for one in (probability, happened))
    mean, frequency = (one[filled] / count[filled] for one in sums)
    return Bins(mean, frequency, count[filled] / len(probability))


def decompose_brier(predictions: ClassPredictions) -> dict[str, float]:
    """Compute the Brier score, its reliability, resolution and uncertainty."""
    probabilities, has = predictions.probabilities, predictions.has
    parts = np.sum([_decompose(p, h) for p, h in zip(probabilities.T, has.T, strict=True)], axis=0)
    scale = 1 if predictions.exclusive else probabilities.shape[1]
    names = ("brier", "reliability", "resolution", "uncertainty")
    return {name: float(part) / scale for name, part in zip(names, parts, strict=True)}


def _decompose(
    probability: Float64[np.ndarray, "clips"], has: Bool[np.ndarray, "clips"]
) -> tuple[float, float, float, float]:
    """Squared error of one class, and the parts of it."""
    values, inverse, counts = np.unique(probability, return_inverse=True, return_counts=True)
    frequencies = np.bincount(inverse, has, minlength=len(values)) / counts
    best = isotonic_regression(frequencies, weights=counts).x[inverse]
    base = has.mean()
    score, calibrated, uncertainty = (np.mean((p - has) ** 2) for p in (probability, best, base))
    return score, score - calibrated, uncertainty - calibrated, uncertainty


def scale_evidence(evidence: Evidence) -> tuple[Stacked, list[float]]:
    """Divide the outputs of each network by its temperature, which is written beside it."""
    scaled, temperatures = evidence.outputs.astype(np.float64), []
    for number, part in enumerate(evidence.parts):
        outputs, targets = predict_validation(evidence, number)
        if not len(outputs):
            raise NotMeasured("No validation clip has a known label.")
        temperature = fit_temperature(evidence.target, outputs, targets)
        try:
            checkpoint = find_checkpoint(str(part.run.folder), "best")
        except FileNotFoundError as error:
            raise NotMeasured(str(error)) from error
        write_temperature(checkpoint, temperature, len(outputs))
        scaled[part.repetition, part.positions] /= temperature
        temperatures.append(temperature)
    return scaled, temperatures


def predict_validation(
    evidence: Evidence, number: int
) -> tuple[Float[np.ndarray, "clips outputs"], Shaped[np.ndarray, "clips *outputs"]]:
    """Find the outputs of the network of a part for its validation clips, with their labels.

    They are in the folder of the run, unless it is of an earlier version, and computed otherwise.
    """
    part = evidence.parts[number]
    try:
        known = load_validation_predictions(part.run.folder).labeled()
    except (ValueError, FileNotFoundError) as error:
        if not evidence.networks:
            raise NotMeasured(f"{error}") from error
        network = evidence.networks[part.network]
        if not len(network.data.splits.rows("val")):
            raise NotMeasured("There are no validation clips.") from None
        _, *computed = network.compute(split="val").labeled(evidence.target)
        return computed[0], computed[1]
    return known.outputs, known.targets


def _describe_temperatures(temperatures: list[float]) -> list[str]:
    notes = ["A temperature above 1 makes less sure, one below 1 surer; decisions stay the same."]
    if len(temperatures) > 1:
        notes.append(
            f"Each of the {len(temperatures)} networks has its own, from "
            f"{min(temperatures):.2f} to {max(temperatures):.2f}."
        )
    if 1.0 in temperatures:
        notes.append(
            "A temperature of 1 was not fitted: every validation clip is answered rightly."
        )
    return notes
