"""Contribution of each modality, and what arises only where both meet."""

from collections import defaultdict
from math import nan
from typing import TypeVar

import numpy as np
from jaxtyping import Bool, Float, Float64, Int64

from avfusion.bounds import NonNegativeInt, PositiveInt
from avfusion.diagnostics.class_predictions import (
    Encoded,
    Outputs,
    find_title,
    has_classes,
    predict_classes,
    score_metrics,
)
from avfusion.diagnostics.evidence import Evidence, RunClips
from avfusion.diagnostics.networks import TestedNetwork
from avfusion.diagnostics.section import Cell, Chart, Line, NotMeasured, Section, Table
from avfusion.diagnostics.stand_ins import rotate_rows
from avfusion.diagnostics.subsets import compute_subsets

Value = TypeVar("Value", float, np.ndarray)  # of all clips, or of each
Estimate = tuple[float, float, float]  # a number and the ends of its interval
TITLES = {"true_probability": "probability of what is true"}
SIDES = ("face", "voice", "neither")


class Contribution:
    """Divide the score between face and voice, and measure what needs both at once.

    * Shapley values (1953): what a modality adds to the score, on average over both orders in which
      the two may come. They add up to the difference between both and none. The *synergy* is what
      both add beyond the sum of what each adds alone. What stands in for a modality that is taken
      away is what the network has.
    * EMAP (Hessel and Lee, 2020, https://arxiv.org/abs/2010.06572): the best sum of a function of
      the face and one of the voice, of the outputs for all pairs of faces and voices. What the
      network scores more than its projection it owes to interaction. All pairs are computed of
      ``clips`` clips at most, for each network.
    * Mispaired clips, whose voice belongs to a clip with another label: whose label wins.
    """

    title = "Contribution of the modalities"
    needs_networks = True

    def __init__(self, clips: PositiveInt = 100, seed: NonNegativeInt = 0) -> None:
        self.clips = clips
        self.seed = seed

    def measure(self, evidence: Evidence) -> Section:
        """Measure Shapley values, EMAP and whose label wins in mispaired clips."""
        read = evidence.modalities
        if len(read) < 2:
            raise NotMeasured(
                f"This network reads the {read[0]} alone: there is nothing to divide."
            )

        numbers: dict[str, float] = {}
        tables, notes, summaries = [], [], []
        shared = self.compute_shapley_values(evidence)
        numbers |= {
            f"shapley/{what}/{name}": v for what, s in shared.items() for name, (v, *_) in s.items()
        }
        rows: list[list[Cell]] = [
            [TITLES.get(what) or find_title(what), *s.values()] for what, s in shared.items()
        ]
        tables.append(Table("Shapley values", ["of", *next(iter(shared.values()))], rows))
        first = evidence.target.scores[0]
        values = [shared[first][name] for name in ("face", "audio")]
        face, audio = (value for value, *_ in values)
        summaries.append(f"{find_title(first)} by face {face:+.3f}, by audio {audio:+.3f}")

        projected = self.compare_projections(evidence)
        numbers |= {
            f"emap/{what}/{name}": v for what, s in projected.items() for name, v in s.items()
        }
        rows = [[find_title(what), *scores.values()] for what, scores in projected.items()]
        head = ["score", *next(iter(projected.values()))]
        tables.append(
            Table("Interaction: the network and its best additive projection", head, rows)
        )
        summaries.append(f"by interaction (EMAP) {projected[first]['interaction']:+.3f}")

        try:
            wins = self.measure_mispaired(evidence)
        except NotMeasured as error:
            notes.append(str(error))
        else:
            numbers |= {f"mispaired/{side}": share for side, share in wins.items()}
            rows = [[side, share] for side, share in wins.items()]
            tables.append(
                Table("Mispaired clips: whose label wins", ["label of the", "part"], rows)
            )

        caption = f"Shapley values of {find_title(first)}, and what interaction is worth (EMAP)."
        values.append((projected[first]["interaction"], nan, nan))
        line = Line(
            "", ["face", "audio", "interaction (EMAP)"], *map(list, zip(*values, strict=True))
        )
        chart = Chart("contribution", caption, find_title(first), "", [line])
        return Section(self.title, ", ".join(summaries), numbers, tables, [chart], notes)

    def compute_shapley_values(self, evidence: Evidence) -> dict[str, dict[str, Estimate]]:
        """Compute the Shapley values of the first score and of the probability of what is true.

        Those of classes have intervals over subjects.
        """
        found = compute_subsets(evidence)
        subsets = [found[name] for name in ("both", "face only", "audio only", "none")]
        first = evidence.target.scores[0]
        if not has_classes(evidence.target):
            worth = (float(evidence.average(evidence.score, one)[first]) for one in subsets)
            return {
                first: {
                    name: (value, nan, nan)
                    for name, value in compute_shapley_values(*worth).items()
                }
            }

        # The values are means over clips of what each clip gives, as the scores are.
        each = {
            first: [evidence.score_clips(one) for one in subsets],
            "true_probability": [evidence.score_truth(one) for one in subsets],
        }
        return {
            what: {
                name: (float(values.mean()), *evidence.draws.find_interval(values))
                for name, values in compute_shapley_values(*clips).items()
            }
            for what, clips in each.items()
        }

    def compare_projections(self, evidence: Evidence) -> dict[str, dict[str, float]]:
        """Compare the scores of the networks and of their projections, on the same clips."""
        found: dict[int, list[tuple[Outputs, Outputs, Encoded]]] = defaultdict(list)
        for part, network in evidence.pair_networks():
            selected = find_complete(part, network)
            random = np.random.default_rng(self.seed)
            selected = np.sort(random.permutation(selected)[: self.clips])
            every = network.compute_every_pair(part.rows[selected])
            own, additive = np.einsum("iio->io", every), project_additively(every)
            found[part.repetition].append(
                (own, additive, evidence.targets[part.positions[selected]])
            )

        scores = []
        for members in found.values():
            own, additive, targets = (np.concatenate(one) for one in zip(*members, strict=True))
            scores.append([score_metrics(evidence.target, one, targets) for one in (own, additive)])
        return {
            name: {"network": a, "EMAP": b, "interaction": a - b}
            for name in evidence.target.scores
            for a, b in [np.mean([[one[name] for one in pair] for pair in scores], axis=0).tolist()]
        }

    def measure_mispaired(self, evidence: Evidence) -> dict[str, float]:
        """Find whose label wins, on average over repetitions."""
        if not has_classes(evidence.target):
            raise NotMeasured("Numbers have no label of the face or of the voice that could win.")
        shares: dict[int, list[Float64[np.ndarray, "decisions sides"]]] = defaultdict(list)
        for part, network in evidence.pair_networks():
            selected = find_complete(part, network)
            rows, targets = part.rows[selected], evidence.targets[part.positions[selected]]
            own = np.arange(len(selected))
            others = rotate_rows(own, np.random.default_rng(self.seed), targets)
            own, others = own[others != own], others[others != own]
            if not len(own):
                continue
            outputs = network.compute_pairs(rows[own], rows[others])
            face, voice = (
                predict_classes(evidence.target, outputs, targets[s]) for s in (own, others)
            )
            wins = find_winners(face.found, face.has, voice.has, evidence.target.exclusive)
            shares[part.repetition].append(wins)

        if not shares:
            raise NotMeasured("All clips have the same label, so that none can be mispaired.")
        each = [np.concatenate(one).mean(axis=0) for one in shares.values()]
        return dict(zip(SIDES, np.mean(each, axis=0).tolist(), strict=True))


def find_complete(part: RunClips, network: TestedNetwork) -> Int64[np.ndarray, "some"]:
    """Find the clips of a part that have both modalities, by their position in it."""
    store = network.data.store
    found = np.flatnonzero((store.has_face & store.has_audio)[part.rows])
    if not len(found):
        raise NotMeasured(f"No clip that {part.run.folder} has tested has a face and a voice.")
    return found


def compute_shapley_values(both: Value, face: Value, audio: Value, none: Value) -> dict[str, Value]:
    """Compute the Shapley values of two modalities from the worth of each subset."""
    return {
        "none": none,
        "face": ((face - none) + (both - audio)) / 2,
        "audio": ((audio - none) + (both - face)) / 2,
        "both": both,
        "synergy": both - face - audio + none,
    }


def project_additively(
    pairs: Float[np.ndarray, "faces voices outputs"],
) -> Float64[np.ndarray, "clips outputs"]:
    """Project the outputs for all pairs of the same clips on sums of one function of each.

    The result is that of the pairs which belong together.
    """
    every = pairs.astype(np.float64)
    return every.mean(axis=1) + every.mean(axis=0) - every.mean(axis=(0, 1))


def find_winners(
    found: Bool[np.ndarray, "clips classes"],
    face: Bool[np.ndarray, "clips classes"],
    voice: Bool[np.ndarray, "clips classes"],
    exclusive: bool,
) -> Float64[np.ndarray, "decisions sides"]:
    """Mark whose label each decision follows, in the order of ``SIDES``.

    Of one class per clip a decision is that for a class; of several, that about each class which
    only one of the two labels names.
    """
    if exclusive:
        by_face, by_voice = ((found & label).any(axis=1) for label in (face, voice))
    else:
        differs = face != voice
        by_face, by_voice = ((found == label)[differs] for label in (face, voice))
    return np.stack([by_face, by_voice, ~(by_face | by_voice)], axis=1).astype(np.float64)
