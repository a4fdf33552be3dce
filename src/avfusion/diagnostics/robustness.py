"""Robustness: scores over how strongly the sound or the pictures of clips are corrupted."""

import hashlib
import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor

from avfusion.bounds import NonNegativeInt, PositiveInt
from avfusion.data.batch import Clips
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.dataset import SplitDataset
from avfusion.diagnostics.class_predictions import find_title, has_classes
from avfusion.diagnostics.corrupted_clips import CorruptedClips, Locations
from avfusion.diagnostics.corruptions import CORRUPTIONS, Corruption
from avfusion.diagnostics.effective_robustness import (
    SECTION,
    is_comparable,
    measure_effective,
    read_baselines,
)
from avfusion.diagnostics.evidence import Evidence, Stacked
from avfusion.diagnostics.networks import Change, ChangedDataset, ForwardPass, TestedNetwork
from avfusion.diagnostics.section import Cell, Chart, Line, NotMeasured, Section, Table
from avfusion.diagnostics.stand_ins import ModalityRemoval
from avfusion.messages import join_items, pluralize
from avfusion.targets import Target

log = logging.getLogger(__name__)

REMAINING_MODALITY = {
    "face": "voice",
    "audio": "face",
}  # what is left where a modality is taken away


class RobustnessCurves:
    """Measure the scores under each corruption, at levels from mild to severe.

    The area under a curve is its mean height from the clean clips to the strongest level, by the
    trapezoidal rule with levels one apart: an accuracy that never falls has itself as its area.

    Effective robustness is the score under a corruption beyond what the clean score predicts, the
    mean over levels (Taori et al., 2020, https://arxiv.org/abs/2007.00644). What it predicts,
    baselines say, other runs that were diagnosed on the same clips: a line from clean to corrupted
    scores, both as logits where they lie between 0 and 1. Its slope is fitted where there are three
    baselines or more, and 1 otherwise. Scores of 0 and 1 count as half a clip from there.

    Args:
        clips: How many of the tested clips to corrupt, drawn by ``seed``; None for all.
        seed: Of that choice, and of all corruptions.
        corruptions: Names of those to measure; None for all.
        baselines: Folders of runs or sweeps with a diagnostics.json.
        encoders: Where weights lie that are not where they were, by stream.
    """

    title = "Robustness"
    needs_networks = True

    def __init__(
        self,
        clips: PositiveInt | None = 500,
        seed: NonNegativeInt = 0,
        corruptions: Sequence[str] | None = None,
        baselines: Sequence[str] = (),
        encoders: Locations | None = None,
    ) -> None:
        self.clips = clips
        self.seed = seed
        self.corruptions = choose_corruptions(corruptions)
        self.baselines = [section for folder in baselines for section in read_baselines(folder)]
        self.encoders = encoders

    def measure(self, evidence: Evidence) -> Section:
        """Measure every score of the target at each level of each corruption."""
        positions = choose_positions(len(evidence), self.clips, self.seed)
        subset = take_clips(evidence, positions)
        reasons, stages = self._compute_levels(subset)
        measured = [one for one in self.corruptions if one.name not in reasons]
        if not measured:
            raise NotMeasured(f"{join_items([*dict.fromkeys(reasons.values())])}.")

        stages |= {"clean": subset.outputs, "chance": predict_constants(subset)}
        stages |= compute_without(evidence, subset, positions)
        numbers = {
            f"{stage}/{score}": float(value)
            for stage, outputs in stages.items()
            for score, value in subset.average(subset.score, outputs).items()
        }
        settings = describe_clips(subset, len(evidence), self.seed)
        baselines = [one.numbers for one in self.baselines if is_comparable(one, settings)]
        numbers |= measure_curves(measured, subset, numbers, baselines)

        notes = [
            f"{one.title}: not measured, {reasons[one.name]}."
            for one in self.corruptions
            if one.name in reasons
        ]
        if len(subset) < len(evidence):
            notes.append(f"On {len(subset)} of {len(evidence)} clips, drawn by seed {self.seed}.")
        if left := len(self.baselines) - len(baselines):
            excluded = pluralize(left, "baseline")
            notes.append(f"Left out: {excluded}, measured on other clips or with another seed.")

        first = subset.target.scores[0]
        return Section(
            self.title,
            summarize_area(measured, numbers, first),
            numbers,
            [make_table(self.corruptions, numbers, first)],
            [draw_curves(one, subset, stages, numbers) for one in measured],
            notes,
            settings,
        )

    def _compute_levels(self, subset: Evidence) -> tuple[dict[str, str], dict[str, Stacked]]:
        """Compute the outputs of each level, and find why some corruptions cannot be measured."""
        outputs = {
            level: np.empty_like(subset.outputs)
            for one in self.corruptions
            for level in name_levels(one)
        }
        reasons: dict[str, str] = {}
        for number, (part, network) in enumerate(subset.pair_networks()):
            data, device = network.data, network.trainer.strategy.root_device
            split = data.splits.rows(data.eval_split)
            corrupter = CorruptedClips(
                data.store, data.streams, split, self.seed, device, self.encoders
            )
            found = {one.name: corrupter.find_reason(one) for one in self.corruptions}
            reasons |= {name: reason for name, reason in found.items() if reason}
            measured = [one for one in self.corruptions if one.name not in reasons]
            if not number:
                log_passes(measured, corrupter, subset)

            for one in measured:
                log.info("Corrupting clips: %s.", one.title)
                for level, level_name in enumerate(name_levels(one), start=1):
                    change = partial(_corrupt, corrupter=corrupter, corruption=one, level=level)
                    computed = compute_changed_clips(network, part.rows, change)
                    outputs[level_name][part.repetition, part.positions] = computed

        known = {
            level
            for one in self.corruptions
            if one.name not in reasons
            for level in name_levels(one)
        }
        return reasons, {level: each for level, each in outputs.items() if level in known}


def choose_corruptions(names: Sequence[str] | None) -> list[Corruption]:
    """Choose corruptions by name, all of them where none is named.

    Raises:
        ValueError: There is none of such a name.
    """
    known = {one.name: one for one in CORRUPTIONS}
    if unknown := [name for name in names or () if name not in known]:
        raise ValueError(
            f"diagnostics.{SECTION}.corruptions has {join_items(unknown)}, which is no corruption: "
            f"choose some of {join_items(list(known), len(known))}, or null for all."
        )
    return [known[name] for name in names or known]


def choose_positions(count: int, clips: int | None, seed: int) -> Int64[np.ndarray, "_"]:
    """Draw so many of some clips at random, in their order; all where there are no more."""
    if clips is None or clips >= count:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, clips, replace=False))


def take_clips(evidence: Evidence, positions: Int64[np.ndarray, "_"]) -> Evidence:
    """Take the evidence on some clips, by their positions, which are in order."""
    parts = []
    for part in evidence.parts:
        kept = np.isin(part.positions, positions)
        if kept.any():
            own = np.searchsorted(positions, part.positions[kept])
            parts.append(part._replace(positions=own, rows=part.rows[kept]))

    return replace(
        evidence,
        clip_ids=evidence.clip_ids[positions],
        subjects=evidence.subjects[positions],
        targets=evidence.targets[positions],
        outputs=evidence.outputs[:, positions],
        hits=None if evidence.hits is None else evidence.hits[:, positions],
        attributes={
            name: [values[position] for position in positions.tolist()]
            for name, values in evidence.attributes.items()
        },
        parts=parts,
        computed={},
    )


def find_removable(evidence: Evidence) -> tuple[str, ...]:
    """Find the modalities without which something is left of what the networks read."""
    return evidence.modalities if len(evidence.modalities) > 1 else ()


def describe_clips(subset: Evidence, count: int, seed: int) -> dict[str, str | int]:
    """Describe the clips that are corrupted, some of so many, as baselines are compared by."""
    digest = hashlib.sha256("\0".join(subset.clip_ids).encode()).hexdigest()
    return {"clips": len(subset), "of": count, "seed": seed, "clips_sha256": digest}


def log_passes(measured: Sequence[Corruption], corrupter: CorruptedClips, subset: Evidence) -> None:
    """Say in one line how many forward passes come."""
    levels = sum(len(one.strengths) for one in measured)
    passes = [f"{levels + len(find_removable(subset))} of the network"]
    for modality, names in corrupter.computed.items():
        count = sum(len(one.strengths) for one in measured if one.modality == modality)
        passes += [f"{count} of {name}" for name in names if count]
    repetitions = len(subset.outputs)
    each = f", for each of {repetitions} repetitions" if repetitions > 1 else ""
    log.info(
        "Robustness: forward passes over %s%s: %s (%s, %s).",
        pluralize(len(subset), "clip"),
        each,
        join_items(passes),
        pluralize(len(measured), "corruption"),
        pluralize(levels, "level"),
    )


def compute_without(
    evidence: Evidence, subset: Evidence, positions: Int64[np.ndarray, "_"]
) -> dict[str, Stacked]:
    """Compute the outputs for some clips without each modality, unless all have been computed."""
    changes = {
        f"without/{modality}": ModalityRemoval((modality,)) for modality in find_removable(subset)
    }
    known = {name: one for name, one in changes.items() if one in evidence.computed}
    found = {name: evidence.computed[one][:, positions] for name, one in known.items()}
    new = {name: one for name, one in changes.items() if name not in known}
    return found | dict(zip(new, compute_changed(subset, list(new.values())), strict=True))


def compute_changed(evidence: Evidence, changes: Sequence[Change]) -> list[Stacked]:
    """Compute the outputs for clips changed in several ways, by the networks that tested them."""
    found = [np.empty_like(evidence.outputs) for _ in changes]
    for part, network in evidence.pair_networks() if changes else ():
        for change, outputs in zip(changes, found, strict=True):
            computed = compute_changed_clips(network, part.rows, change)
            outputs[part.repetition, part.positions] = computed
    return found


def compute_changed_clips(
    network: TestedNetwork, rows: Int64[np.ndarray, "clips"], change: Change
) -> Float[np.ndarray, "clips outputs"]:
    """Compute the outputs of a network for changed clips, whose rows are in order."""
    data = network.data
    dataset = SplitDataset(data.store, rows, data.target, data.streams)
    changed = ChangedDataset(dataset, data, change)
    batches = network.run(changed, ForwardPass(network.network))
    return torch.cat([outputs for _, outputs, _ in batches]).numpy()


def _corrupt(
    clips: Clips,
    data: FaceAudioDataModule,
    corrupter: CorruptedClips,
    corruption: Corruption,
    level: int,
) -> Clips:
    return corrupter.corrupt(clips, corruption, level)


def predict_constants(evidence: Evidence) -> Stacked:
    """Predict for every clip what the training clips of its network have most often."""
    outputs = np.empty_like(evidence.outputs)
    for part, network in evidence.pair_networks():
        data = network.data
        labels = torch.from_numpy(data.target.read_labels(data.store)[data.splits.rows("train")])
        outputs[part.repetition, part.positions] = predict_constant(data.target, labels).numpy()
    return outputs


def predict_constant(
    target: Target, labels: Shaped[Tensor, "clips *classes"]
) -> Float[Tensor, "outputs"]:
    """Find outputs that say how often labels have each class, or the mean of numbers."""
    if target.number_names:
        return labels.float().nanmean(dim=0)
    indicators = target.indicators(labels)
    known = (indicators >= 0).sum(dim=0).clamp(min=1)
    return ((indicators == 1).sum(dim=0) / known).logit(eps=1e-6)


def name_levels(corruption: Corruption) -> list[str]:
    """Name the levels from 1 on by their strengths, as in babble/-10."""
    return [f"{corruption.name}/{strength:g}" for strength in corruption.strengths]


def measure_area(scores: Sequence[float]) -> float:
    """Area under the scores of levels 0, 1, 2 and so on, as a part of what a height of 1 has."""
    return float(np.trapezoid(scores) / (len(scores) - 1))


def measure_curves(
    measured: Sequence[Corruption],
    subset: Evidence,
    numbers: Mapping[str, float],
    baselines: Sequence[Mapping[str, float]],
) -> dict[str, float]:
    """Measure the area under each curve and, where there are baselines, effective robustness."""
    found = {}
    edge = None if subset.target.number_names else 0.5 / len(subset)
    for one in measured:
        levels = name_levels(one)
        for score in subset.target.scores:
            values = [numbers[f"{level}/{score}"] for level in ("clean", *levels)]
            found[f"{one.name}/area/{score}"] = measure_area(values)
            beyond = measure_effective(numbers, baselines, levels, score, edge)
            if beyond is not None:
                found[f"{one.name}/effective/{score}"] = beyond
    return found


def make_table(
    corruptions: Sequence[Corruption], numbers: Mapping[str, float], score: str
) -> Table:
    """Tabulate a score: clean, at each end of the levels, without the modality, and the area."""
    head = ["corrupted", "from, to", "clean", "mildest", "strongest", "without it", "area"]
    is_compared = any(f"{one.name}/effective/{score}" in numbers for one in corruptions)
    rows: list[list[Cell]] = []
    for one in corruptions:
        levels = name_levels(one)
        keys = ["clean", levels[0], levels[-1], f"without/{one.modality}", f"{one.name}/area"]
        keys += [f"{one.name}/effective"] if is_compared else []
        strengths = f"{one.strengths[0]:g}, {one.strengths[-1]:g} {one.unit}"
        if f"{levels[0]}/{score}" in numbers:
            rows.append([one.title, strengths, *(numbers.get(f"{key}/{score}") for key in keys)])
        else:
            rows.append([one.title, strengths, "not measured", *[""] * (len(keys) - 1)])
    return Table(find_title(score), head + (["effective"] if is_compared else []), rows)


def summarize_area(measured: Sequence[Corruption], numbers: Mapping[str, float], score: str) -> str:
    """Write the clean score, and the least and the largest area, in a line."""
    areas = {one.title: numbers[f"{one.name}/area/{score}"] for one in measured}
    least, most = (choose(areas, key=areas.__getitem__) for choose in (min, max))
    return (
        f"{find_title(score)} {numbers[f'clean/{score}']:.3f} clean; area under the curve from "
        f"{areas[least]:.3f} ({least}) to {areas[most]:.3f} ({most})"
    )


def draw_curves(
    corruption: Corruption,
    subset: Evidence,
    stages: Mapping[str, Stacked],
    numbers: Mapping[str, float],
) -> Chart:
    """Draw the first score over the levels of a corruption.

    Beside it are chance, and what the network scores without the modality that is corrupted.
    """
    score = subset.target.scores[0]
    levels = ["clean", *name_levels(corruption)]
    x = [float(level) for level in range(len(levels))]
    low, high = find_intervals(subset, [stages[level] for level in levels])
    lines = [Line("corrupted", x, [numbers[f"{level}/{score}"] for level in levels], low, high)]
    beside = {"chance": "chance"}
    if f"without/{corruption.modality}" in stages:
        beside[f"without/{corruption.modality}"] = (
            f"{REMAINING_MODALITY[corruption.modality]} alone"
        )
    for stage, name in beside.items():
        if math.isfinite(value := numbers[f"{stage}/{score}"]):
            lines.append(Line(name, [x[0], x[-1]], [value, value]))

    ticks = ["clean", *(f"{strength:g}" for strength in corruption.strengths)]
    caption = f"{corruption.title.capitalize()}, from mild to severe."
    name = f"{SECTION}_{corruption.name}"
    return Chart(name, caption, corruption.unit, find_title(score), lines, ticks=ticks)


def find_intervals(subset: Evidence, levels: Sequence[Stacked]) -> tuple[list[float], list[float]]:
    """Find the intervals of an accuracy over subjects; none of other scores."""
    if not (has_classes(subset.target) and subset.target.exclusive):
        return [], []
    each = [subset.draws.find_interval(subset.score_clips(outputs)) for outputs in levels]
    return [low for low, _ in each], [high for _, high in each]
