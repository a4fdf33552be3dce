"""Intervals of means over clips, by bootstrap over subjects."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64

from avfusion.evaluation.subject_bootstrap import draw_subjects, find_interval

MIN_SUBJECTS = 2  # of one alone, every draw is the same


class SubjectDraws:
    """Draws of subjects, with all of their clips.

    Args:
        places: The number of the subject of each clip.
        names: Of the subjects.
    """

    def __init__(self, places: Int64[np.ndarray, "clips"], names: Sequence[str]) -> None:
        self.places, self.names = places, names
        self.draws = draw_subjects(len(names))

    def average(
        self, scores: Float64[np.ndarray, "clips"], among: Bool[np.ndarray, "clips"]
    ) -> Float64[np.ndarray, "samples"]:
        """Average the scores of some clips in each draw; NaN where none of them is drawn.

        All draws are NaN where these clips are of one subject.
        """
        count = self.draws.shape[1]
        clips = np.bincount(self.places[among], minlength=count)
        if np.count_nonzero(clips) < MIN_SUBJECTS:
            return np.full(len(self.draws), np.nan)
        sums = np.bincount(self.places[among], scores[among], minlength=count)
        with np.errstate(invalid="ignore"):
            return (self.draws @ sums) / (self.draws @ clips)

    def find_interval(self, scores: Float64[np.ndarray, "clips"]) -> tuple[float, float]:
        """Find the 95 % interval of the mean over all clips."""
        return find_interval(self.average(scores, np.ones(len(scores), bool)))
