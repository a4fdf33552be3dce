"""Evidence that diagnostics are drawn from: outputs for tested clips, and the networks behind."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Float64, Int64, Shaped

from avfusion.diagnostics.class_predictions import (
    ClassPredictions,
    predict_classes,
    score_clips,
    score_metrics,
)
from avfusion.diagnostics.networks import Change, TestedNetwork
from avfusion.diagnostics.resampling import SubjectDraws
from avfusion.diagnostics.section import NotMeasured
from avfusion.evaluation.out_of_fold import (
    check_folds,
    describe_fold,
    name_repetition,
    number_subjects,
)
from avfusion.evaluation.predictions import Predictions
from avfusion.evaluation.runs import Run
from avfusion.targets import Target

Stacked = Float[np.ndarray, "repetitions clips outputs"]


class RunClips(NamedTuple):
    """The clips that one run has tested, by their positions in the evidence and rows in its store.

    ``network`` is the index of its network among those of the evidence.
    """

    run: Run
    repetition: int
    positions: Int64[np.ndarray, "some"]
    rows: Int64[np.ndarray, "some"]
    network: int = 0


@runtime_checkable
class Networks(Protocol):
    """Networks by their indices; who asks for one may wait until it is restored."""

    def __len__(self) -> int: ...

    def __getitem__(self, number: int, /) -> TestedNetwork: ...


@dataclass(frozen=True)
class Evidence:
    """Outputs for tested clips whose labels are known, of each repetition, such as a seed.

    Attributes:
        name: Of the run or of the setting.
        attributes: What else is known of the clips, by name.
        hits: Whether attention points at the face of each clip, where boxes are known.
        parts: Which run has tested which clips.
        networks: Those of the parts, which may be restored as they are asked for; none where they
            were left out.
        computed: What was computed already, by what was changed.
    """

    name: str
    split: str
    target: Target
    clip_ids: Shaped[np.ndarray, "clips"]
    subjects: Shaped[np.ndarray, "clips"]
    targets: Shaped[np.ndarray, "clips *outputs"]
    outputs: Stacked
    parts: Sequence[RunClips]
    hits: Float[np.ndarray, "repetitions clips"] | None = None
    attributes: Mapping[str, Sequence[str | None]] = field(default_factory=dict)
    networks: Networks = ()
    computed: dict[Change, Stacked] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.clip_ids)

    @cached_property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that the networks read."""
        return next(network.modalities for _, network in self.pair_networks())

    def pair_networks(self) -> Iterator[tuple[RunClips, TestedNetwork]]:
        """Pair each part with its network, one after the other, as not all need fit into memory.

        Raises:
            NotMeasured: They are not at hand.
        """
        if not self.networks:
            raise NotMeasured("This needs forward passes, which were left out.")
        for part in self.parts:
            yield part, self.networks[part.network]

    def compute(self, change: Change) -> Stacked:
        """Compute the outputs for the same clips, changed, each by the network that tested it.

        The same change, or an equal one, is computed once.
        """
        return self.compute_each([change])[0]

    def compute_each(self, changes: Sequence[Change]) -> list[Stacked]:
        """Compute the outputs for the same clips, changed in several ways, network by network."""
        new = {change: np.empty_like(self.outputs) for change in changes}
        new = {change: found for change, found in new.items() if change not in self.computed}
        for part, network in self.pair_networks() if new else ():
            for change, found in new.items():
                computed = network.compute(change)
                selected = np.searchsorted(computed.rows, part.rows)
                found[part.repetition, part.positions] = computed.outputs[selected]
        self.computed.update(new)
        return [self.computed[change] for change in changes]

    def predict_classes(self, outputs: Float[np.ndarray, "clips outputs"]) -> ClassPredictions:
        """Turn the outputs of one repetition into predicted classes."""
        return predict_classes(self.target, outputs, self.targets)

    def score(self, outputs: Float[np.ndarray, "clips outputs"]) -> dict[str, float]:
        """Compute the metrics of the target for the outputs of one repetition."""
        return score_metrics(self.target, outputs, self.targets)

    def score_clips(self, stacked: Stacked) -> Float64[np.ndarray, "clips"]:
        """Score each clip, on average over repetitions: see ``class_predictions.score_clips``."""
        return np.mean([score_clips(self.target, one, self.targets) for one in stacked], axis=0)

    def score_truth(self, stacked: Stacked) -> Float64[np.ndarray, "clips"]:
        """Probability of what is true of each clip, on average over repetitions."""
        return np.mean([self.predict_classes(one).true_probability for one in stacked], axis=0)

    def average(
        self, measure: Callable[..., Mapping[str, Any]], *stacked: Stacked
    ) -> dict[str, Any]:
        """Average the numbers, or arrays, that a function gives for each repetition.

        It takes the outputs of a repetition, of each of ``stacked``.
        """
        each = [measure(*parts) for parts in zip(*stacked, strict=True)]
        return {name: np.mean([one[name] for one in each], axis=0) for name in each[0]}

    @cached_property
    def draws(self) -> SubjectDraws:
        """Draws of the subjects of these clips."""
        subject_numbers, names = number_subjects(self.subjects, self.clip_ids)
        return SubjectDraws(subject_numbers, names)


def gather_evidence(name: str, runs: Sequence[Run], predictions: Sequence[Predictions]) -> Evidence:
    """Pool what runs of one setting have predicted over its folds, a repetition for each seed.

    A run alone is taken for itself, whatever other folds there are.

    Raises:
        ValueError: A clip is tested in two folds, or in none, or seeds have other clips.
    """
    repetitions: dict[str, list[tuple[Run, Predictions]]] = defaultdict(list)
    for run, one in zip(runs, predictions, strict=True):
        repetitions[name_repetition(run)].append((run, one))
    for repetition, members in repetitions.items() if len(runs) > 1 else ():
        suffix = f" ({repetition})" if repetition else ""
        check_folds([describe_fold(*member) for member in members], suffix)

    pooled = [_pool(members) for members in repetitions.values()]
    first = pooled[0]
    for repetition, other in zip(repetitions, pooled, strict=True):
        if not np.array_equal(first.clip_ids, other.clip_ids):
            raise ValueError(
                f"{repetition or 'a repetition'} is tested on other clips than "
                f"{next(iter(repetitions)) or 'the first one'}: repeat the same folds."
            )

    some: Predictions = predictions[0]
    return Evidence(
        name,
        some.split,
        some.target,
        first.clip_ids,
        first.subjects,
        first.targets,
        np.stack([one.outputs for one in pooled]),
        _find_parts(list(repetitions.values()), first.clip_ids),
        None
        if first.hits is None
        else np.stack([one.hits for one in pooled if one.hits is not None]),
    )


class _Pooled(NamedTuple):
    """Predictions of one repetition, in the order of the clips' names."""

    clip_ids: Shaped[np.ndarray, "clips"]
    subjects: Shaped[np.ndarray, "clips"]
    targets: Shaped[np.ndarray, "clips *outputs"]
    outputs: Float[np.ndarray, "clips outputs"]
    hits: Float[np.ndarray, "clips"] | None


def _pool(members: Sequence[tuple[Run, Predictions]]) -> _Pooled:
    known = [one.labeled() for _, one in members]
    if len({(one.labels, *one.output_names) for one in known}) > 1:
        raise ValueError("its folds predict different classes.")
    clip_ids = np.concatenate([one.clip_ids for one in known])
    if not len(clip_ids):
        raise ValueError("no clip that it predicts has a known label.")

    order = np.argsort(clip_ids, kind="stable")
    hits = [one.glimpses.attention_hit for one in known if one.glimpses is not None]
    return _Pooled(
        clip_ids[order],
        np.concatenate([one.subjects for one in known])[order],
        np.concatenate([one.targets for one in known])[order],
        np.concatenate([one.outputs for one in known])[order],
        np.concatenate(hits)[order] if len(hits) == len(known) else None,
    )


def _find_parts(
    repetitions: Sequence[Sequence[tuple[Run, Predictions]]], clip_ids: Shaped[np.ndarray, "clips"]
) -> list[RunClips]:
    every = [
        (number, run, predictions.labeled())
        for number, members in enumerate(repetitions)
        for run, predictions in members
    ]
    return [
        RunClips(run, number, np.searchsorted(clip_ids, known.clip_ids), known.rows, network)
        for network, (number, run, known) in enumerate(every)
    ]
