"""Out-of-fold predictions: those of all folds together, so that every clip is predicted once."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64, Shaped

from avfusion.corpora.spelling import normalize_name
from avfusion.evaluation.aggregate import name_settings
from avfusion.evaluation.leak_marks import find_worst_leaks
from avfusion.evaluation.predictions import (
    Predictions,
    load_predictions,
    load_validation_predictions,
)
from avfusion.evaluation.runs import Run
from avfusion.evaluation.subject_bootstrap import Counts, count_classes
from avfusion.messages import join_items, pluralize
from avfusion.targets import choose_target

STACKED = "stacked"  # other ensembles are means, of probabilities or of logits
STACKING_STRENGTH = 0.1  # C of scikit-learn: a few features, which say nearly the same


class FoldPredictions(NamedTuple):
    """Predictions of one fold, with its name, and how many clips each of all folds has."""

    fold: str
    sizes: Mapping[str, int]
    predictions: Predictions


@dataclass(frozen=True)
class Pooled:
    """Out-of-fold predictions of a setting, in the order of the clips' names.

    Attributes:
        name: Of the setting.
        outputs: Of each repetition, such as a seed.
        folds: The number of each clip's fold in ``fold_names``.
        runs: Those that predicted; none predicted a baseline.
        streams: The streams that they read, where that is known.
        predictor: network, baseline or ensemble.
    """

    name: str
    output_names: list[str]
    clip_ids: Shaped[np.ndarray, "clips"]
    subjects: Shaped[np.ndarray, "clips"]
    targets: Int64[np.ndarray, "clips"]
    outputs: Float[np.ndarray, "repetitions clips classes"]
    folds: Int64[np.ndarray, "clips"]
    fold_names: list[str]
    runs: list[Run] = field(default_factory=list)
    streams: frozenset[str] = frozenset()
    predictor: str = "network"

    def __len__(self) -> int:
        return len(self.clip_ids)

    @property
    def leaks(self) -> dict[str, int]:
        """Largest count of each kind of data leakage over its runs."""
        return find_worst_leaks([run.results for run in self.runs])

    @property
    def predicted(self) -> Int64[np.ndarray, "repetitions clips"]:
        """The class that each repetition takes each clip for."""
        return self.outputs.argmax(axis=-1)

    @property
    def correct(self) -> Bool[np.ndarray, "repetitions clips"]:
        """Whether each repetition takes each clip for what it is."""
        return self.predicted == self.targets

    def count_by(self, groups: Int64[np.ndarray, "clips"], size: int) -> list[Counts]:
        """Count classes in each of some groups of clips, for each repetition."""
        shape = (size, len(self.output_names))
        return [count_classes(self.targets, one, groups, shape) for one in self.predicted]

    def has_same_clips(self, other: "Pooled") -> bool:
        """Whether another setting is tested on the same clips, of the same classes."""
        return (
            self.output_names == other.output_names
            and np.array_equal(self.clip_ids, other.clip_ids)
            and np.array_equal(self.targets, other.targets)
        )


class Refusal(NamedTuple):
    """A setting that is not pooled, and why."""

    setting: str
    reason: str

    def __str__(self) -> str:
        return f"Not pooled: {self.setting}: {self.reason}"


def pool_settings(runs: Sequence[Run]) -> tuple[list[Pooled], list[Refusal]]:
    """Pool the test predictions of each setting over its folds, a repetition for each seed.

    Runs that were tested on one split, without folds, are pooled as a single fold. A setting whose
    folds overlap, or miss clips, is refused.
    """
    groups: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[run.setting].append(run)

    pooled, refusals = [], []
    for name, group in zip(name_settings(list(groups.values())), groups.values(), strict=True):
        try:
            pooled.append(pool_setting(name, group))
        except (ValueError, FileNotFoundError) as error:
            refusals.append(Refusal(name, str(error)))

    return pooled, refusals


def pool_setting(name: str, runs: Sequence[Run]) -> Pooled:
    """Pool the runs of one setting."""
    repetitions: dict[str, list[FoldPredictions]] = defaultdict(list)
    for run in runs:
        repetitions[name_repetition(run)].append(read_fold(run))

    pooled = [pool_folds(name, folds, repetition) for repetition, folds in repetitions.items()]
    first = pooled[0]
    for repetition, other in zip(repetitions, pooled, strict=True):
        if not first.has_same_clips(other):
            raise ValueError(
                f"{repetition or 'a repetition'} is tested on other clips than "
                f"{next(iter(repetitions)) or 'the first one'} ({len(other)} and {len(first)}): "
                "repeat the same folds."
            )

    return Pooled(
        name,
        first.output_names,
        first.clip_ids,
        first.subjects,
        first.targets,
        np.concatenate([one.outputs for one in pooled]),
        first.folds,
        first.fold_names,
        list(runs),
    )


def name_repetition(run: Run) -> str:
    """Name what a setting is repeated over beside its folds, such as ``seed=1``."""
    chosen: dict[str, Any] = json.loads(run.repetition)
    own = {key: value for key, value in chosen.items() if not key.endswith("fold")}
    if own.get("data.seed") == own.get("seed"):
        own.pop("data.seed", None)
    if not own.get("data.split_seed"):
        own.pop("data.split_seed", None)
    return " ".join(f"{key}={value}" for key, value in own.items() if value is not None)


def read_fold(run: Run) -> FoldPredictions:
    """Read the predictions of a run for the clips of its fold.

    Raises:
        FileNotFoundError: There are none.
        ValueError: They are not of one class per clip.
    """
    predictions = load_predictions(run.folder, str(run.results.get("data/split", "test")))
    target = choose_target({"labels": predictions.labels, "output_names": predictions.output_names})
    if not target.exclusive:
        raise ValueError("its clips have no single class, which WAR, UAR and F1 are of.")

    return describe_fold(run, predictions)


def describe_fold(run: Run, predictions: Predictions) -> FoldPredictions:
    """Describe the fold that a run was tested on."""
    sizes = json.loads(str(run.results.get("data/folds", "{}")))
    return FoldPredictions(str(run.results.get("data/fold", "")), sizes, predictions)


def pool_folds(name: str, folds: Sequence[FoldPredictions], repetition: str = "") -> Pooled:
    """Pool the predictions of some folds of one repetition.

    Raises:
        ValueError: A clip is tested in two folds, or in none.
    """
    check_folds(folds, f" ({repetition})" if repetition else "")
    names = {tuple(one.predictions.output_names) for one in folds}
    if len(names) > 1:
        raise ValueError("its folds predict different classes.")

    known = [one.predictions.labeled() for one in folds]
    numbers = np.repeat(np.arange(len(folds)), [len(one) for one in known])
    arrays = (
        np.concatenate([getattr(one, part) for one in known])
        for part in ("clip_ids", "subjects", "targets", "outputs")
    )
    clip_ids, subjects, targets, outputs = arrays
    if not len(clip_ids):
        raise ValueError("no clip that it predicts has a known label.")

    order = np.argsort(clip_ids, kind="stable")
    return Pooled(
        name,
        known[0].output_names,
        clip_ids[order],
        subjects[order],
        targets[order],
        outputs[None, order],
        numbers[order],
        [one.fold for one in folds],
    )


def check_folds(folds: Sequence[FoldPredictions], repetition: str) -> None:
    """Refuse folds that overlap, or miss clips."""
    seen: dict[str, str] = {}
    for one in folds:
        ids = one.predictions.clip_ids.tolist()
        if both := [clip for clip in ids if clip in seen]:
            raise ValueError(
                f"folds {seen[both[0]] or '?'} and {one.fold or '?'}{repetition} both test "
                f"{pluralize(len(both), 'clip')} ({join_items(both, 3)}): they are of different "
                "plans, or of runs without folds."
            )
        seen |= dict.fromkeys(ids, one.fold)

    sizes = {name: size for one in folds for name, size in one.sizes.items() if size}
    tested = {one.fold: len(one.predictions) for one in folds}
    lacking = [f"{name} ({size} clips)" for name, size in sizes.items() if name not in tested]
    if lacking:
        raise ValueError(
            f"{pluralize(len(lacking), 'fold')} of {len(sizes)}{repetition} missing, "
            f"{join_items(lacking)}: train with data.fold=..., or resume the sweep."
        )
    for name, size in sizes.items():
        if tested[name] != size:
            raise ValueError(
                f"fold {name}{repetition} has predictions for {tested[name]} of its {size} clips: "
                "test all of them (trainer.limit_test_batches=null)."
            )


def average_outputs(name: str, members: Sequence[Pooled], of: str = "probabilities") -> Pooled:
    """Average what repetitions of some settings predict for each clip: an ensemble.

    Each fold is averaged over the networks that were not trained on its clips.

    Raises:
        ValueError: They are tested on different clips, or in different folds.
    """
    _check_same_folds(members)
    outputs = torch.from_numpy(np.concatenate([one.outputs for one in members]).astype(np.float64))
    if of == "probabilities":
        mean = outputs.softmax(dim=-1).mean(dim=0, keepdim=True).log()
    else:
        mean = outputs.mean(dim=0, keepdim=True)
    return _join(name, members, mean.numpy())


def stack_outputs(name: str, members: Sequence[Pooled]) -> Pooled:
    """Fuse what some settings predict by a logistic regression: stacking (Wolpert, 1992).

    Its features are the logarithms of probabilities, averaged over the repetitions of a setting.
    That of a fold is fitted on its own networks' predictions for its validation clips.

    Raises:
        FileNotFoundError: Runs have no validation predictions.
        ValueError: They are tested on different clips, or in different folds, or they validate on
            different clips, or on those of the test.
    """
    from sklearn.linear_model import LogisticRegression

    _check_same_folds(members)
    first = members[0]
    features = np.concatenate([_average_probabilities(one.outputs) for one in members], axis=1)
    outputs = np.full((len(first), len(first.output_names)), -1e3)  # of unknown classes
    for number, fold in enumerate(first.fold_names):
        tested = first.folds == number
        validation = _read_validation(members, fold, first.clip_ids[tested])
        mean, deviation = validation.features.mean(axis=0), validation.features.std(axis=0)
        scale = np.maximum(deviation, 1e-6)
        model = LogisticRegression(C=STACKING_STRENGTH, max_iter=1000)
        model.fit((validation.features - mean) / scale, validation.targets)
        cells = np.ix_(np.flatnonzero(tested), model.classes_)
        outputs[cells] = model.predict_log_proba((features[tested] - mean) / scale)
    return _join(name, members, outputs[None])


class _Validation(NamedTuple):
    """Data of the regression of one fold: all settings' predictions for validation clips."""

    features: Float[np.ndarray, "clips features"]
    targets: Int64[np.ndarray, "clips"]


def _read_validation(
    members: Sequence[Pooled], fold: str, tested: Shaped[np.ndarray, "some"]
) -> _Validation:
    """Read what the networks of a fold have answered to its validation clips.

    Raises:
        ValueError: They have none, others than each other, or those of the test.
    """
    where = f"fold {fold}" if fold else "these runs"
    first: Predictions | None = None
    features = []
    for member in members:
        outputs = []
        for run in member.runs:
            if str(run.results.get("data/fold", "")) != fold:
                continue
            known = load_validation_predictions(run.folder).labeled()
            known = known.take(np.argsort(known.clip_ids, kind="stable"))
            first = known if first is None else first
            same = np.array_equal(known.clip_ids, first.clip_ids)
            if not same or known.output_names != member.output_names:
                raise ValueError(
                    f"{run.folder} validates on other clips, or classes, than {where} otherwise: "
                    "a regression is fitted to clips that all networks have answered."
                )
            outputs.append(known.outputs)
        features.append(_average_probabilities(np.stack(outputs)))

    assert first is not None
    if (seen := int(np.isin(first.clip_ids, tested).sum())) > 0:
        raise ValueError(
            f"{where} validates on {pluralize(seen, 'clip')} of its test, to which no regression "
            "may be fitted: train with data.validation=null, on clips of their own."
        )
    if len(np.unique(first.targets)) < 2:
        raise ValueError(
            f"the {pluralize(len(first), 'validation clip')} of {where} have fewer than two "
            "classes, which a logistic regression tells apart: validate on more subjects."
        )
    return _Validation(np.concatenate(features, axis=1), first.targets)


def _average_probabilities(
    outputs: Float[np.ndarray, "repetitions clips classes"],
) -> Float[np.ndarray, "clips classes"]:
    """Logarithms of the mean probabilities of all repetitions."""
    probabilities = torch.from_numpy(outputs.astype(np.float64)).softmax(dim=-1)
    averaged: np.ndarray = probabilities.mean(dim=0).clamp(min=1e-6).log().numpy()
    return averaged


def _join(name: str, members: Sequence[Pooled], outputs: np.ndarray) -> Pooled:
    """The ensemble of some members, with its outputs."""
    return replace(
        members[0],
        name=name,
        outputs=outputs,
        runs=[run for one in members for run in one.runs],
        streams=frozenset().union(*(one.streams for one in members)),
        predictor="ensemble",
    )


def _check_same_folds(members: Sequence[Pooled]) -> None:
    first = members[0]
    for other in members[1:]:
        same = first.has_same_clips(other) and _spell_folds(first) == _spell_folds(other)
        if not same:
            raise ValueError(
                f"{first.name} and {other.name} are not tested on the same folds of the same "
                "clips, which an ensemble needs."
            )


def _spell_folds(pooled: Pooled) -> list[str]:
    return [pooled.fold_names[number] for number in pooled.folds.tolist()]


def add_ensembles(settings: Sequence[Pooled], of: str) -> list[Pooled]:
    """Average the seeds of each setting, and all networks of all settings; or stack settings."""
    if of == STACKED:
        title = f"all settings: logistic regression on {len(settings)}"
        return [stack_outputs(title, settings)]
    several = [one for one in settings if len(one.outputs) > 1]
    made = [
        average_outputs(f"{one.name}: mean of {len(one.outputs)} {of}", [one], of)
        for one in several
    ]
    if len(settings) > 1:
        count = sum(len(one.outputs) for one in settings)
        made.append(average_outputs(f"all settings: mean of {count} {of}", settings, of))
    return made


def group_subjects(pooled: Pooled) -> tuple[Int64[np.ndarray, "clips"], list[str]]:
    """Number the subject of each clip, and name the subjects."""
    return number_subjects(pooled.subjects, pooled.clip_ids)


def number_subjects(
    subjects: Shaped[np.ndarray, "clips"], clip_ids: Shaped[np.ndarray, "clips"]
) -> tuple[Int64[np.ndarray, "clips"], list[str]]:
    """Number the subject of each clip, however it is spelled; a clip without subject is alone."""
    keys = [
        normalize_name(str(subject)) or f"\0{clip}"
        for subject, clip in zip(subjects, clip_ids, strict=True)
    ]
    numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
    subject_numbers = np.array([numbers[key] for key in keys], np.int64)
    firsts = np.unique(subject_numbers, return_index=True)[1]
    return subject_numbers, [str(subjects[first]) or "unknown" for first in firsts]
