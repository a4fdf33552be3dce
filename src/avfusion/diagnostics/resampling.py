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
        self.draws = draw_subjects(len(names)).astype(np.float64)

    def average(
        self,
        scores: Sequence[Float64[np.ndarray, "clips"]],
        groups: Sequence[Bool[np.ndarray, "clips"]],
    ) -> Float64[np.ndarray, "samples groups"]:
        """Average the scores of some groups of clips in each draw, each group's own.

        A draw without a clip of a group has NaN there; so have all draws of a group whose clips are
        of one subject.
        """
        count = len(self.names)
        clips = np.stack([np.bincount(self.places[one], minlength=count) for one in groups], axis=1)
        sums = np.stack(
            [
                np.bincount(self.places[one], score[one], minlength=count)
                for score, one in zip(scores, groups, strict=True)
            ],
            axis=1,
        )
        several = (clips > 0).sum(axis=0) >= MIN_SUBJECTS
        found = np.full((len(self.draws), len(groups)), np.nan)
        with np.errstate(invalid="ignore"):
            found[:, several] = (self.draws @ sums[:, several]) / (self.draws @ clips[:, several])
        return found

    def find_interval(self, scores: Float64[np.ndarray, "clips"]) -> tuple[float, float]:
        """Find the 95 % interval of the mean over all clips."""
        return find_interval(self.average([scores], [np.ones(len(scores), bool)])[:, 0])
