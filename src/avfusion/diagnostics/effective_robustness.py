"""Effective robustness: scores under corruption beyond what clean scores predict."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logit

from avfusion.diagnostics.section import Section, read_diagnoses

SECTION = "robustness"  # its name in conf/diagnostics, and so in the files of baselines
MIN_FITTED = 3  # baselines of which a line has a slope of its own
SHARED_SETTINGS = ("clips_sha256", "seed")  # settings that baselines must share


def read_baselines(folder: str) -> list[Section]:
    """Read the robustness of a run, or of the settings of a sweep.

    Raises:
        FileNotFoundError: It was not measured.
    """
    found = [one.sections.get(SECTION) for one in read_diagnoses(Path(folder))]
    measured = [section for section in found if section is not None and section.numbers]
    if not measured:
        raise FileNotFoundError(
            f"diagnostics.{SECTION}.baselines has {folder}, whose robustness was not measured: run "
            f"python src/diagnose.py ckpt_path={folder} first."
        )
    return measured


def is_comparable(baseline: Section, settings: Mapping[str, object]) -> bool:
    """Whether a baseline was measured on the same clips, corrupted alike."""
    return all(baseline.settings.get(name) == settings[name] for name in SHARED_SETTINGS)


def measure_effective(
    numbers: Mapping[str, float],
    baselines: Sequence[Mapping[str, float]],
    levels: Sequence[str],
    score: str,
    edge: float | None,
) -> float | None:
    """Measure what a score has beyond its prediction, on average over levels of a corruption.

    ``numbers`` have a score of a level as ``level/score``. None where no baseline has them all;
    ``edge`` is that of ``measure_surplus``.
    """
    keys = [f"{level}/{score}" for level in ("clean", *levels)]
    known = [[one[key] for key in keys] for one in baselines if all(key in one for key in keys)]
    if not known:
        return None
    table = np.array(known, float)
    clean, *corrupted = (numbers[key] for key in keys)
    beyond = [
        measure_surplus(clean, value, table[:, [0, column]], edge)
        for column, value in enumerate(corrupted, start=1)
    ]
    return float(np.mean(beyond))


def measure_surplus(
    clean: float, score: float, baselines: Float[np.ndarray, "runs 2"], edge: float | None
) -> float:
    """Measure what a score under corruption has beyond what the clean one predicts.

    Args:
        clean: The clean score.
        score: That under corruption.
        baselines: The clean and the corrupted score of each baseline.
        edge: Of scores between 0 and 1: how near they may come to either, which have no logit. None
            where scores have no bounds, and stay as they are.
    """
    if edge is not None:
        score = min(max(score, edge), 1 - edge)
        clean = float(logit(np.clip(clean, edge, 1 - edge)))
        baselines = logit(np.clip(baselines, edge, 1 - edge))

    x, y = baselines.T
    slope = 1.0
    if len(x) >= MIN_FITTED and np.ptp(x) > 0:
        slope = float(np.polyfit(x, y, 1)[0])
    predicted = y.mean() + slope * (clean - x.mean())
    return float(score - (predicted if edge is None else expit(predicted)))
