"""Attention: how narrow glimpses are, where they look, and whether predictions rest on that."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor, nn

from avfusion.bounds import NonNegativeInt, PositiveInt
from avfusion.dashboard.glimpse_shape import sum_statistics
from avfusion.data.batch import Clips
from avfusion.data.dataset import SplitDataset
from avfusion.diagnostics.class_predictions import has_classes, predict_classes, score_clips
from avfusion.diagnostics.encoder_passes import find_encoders, record_encoders, replay_encoders
from avfusion.diagnostics.evidence import Evidence
from avfusion.diagnostics.networks import ForwardPass, TestedNetwork, to_cpu
from avfusion.diagnostics.section import Cell, Chart, Line, NotMeasured, Section, Table
from avfusion.models.layers.layer_weights import list_layer_weights
from avfusion.models.networks.scores import Scores

CHANGED_FRACTIONS = (
    0.0,
    1 / 16,
    1 / 8,
    1 / 4,
    1 / 2,
    3 / 4,
    1.0,
)  # of the positions that are changed
ORDERS = ("attention", "random")
KINDS = ("deletion", "insertion")
TITLES = {
    "entropy": "entropy of a glimpse (nats)",
    "highest_entropy": "that of a glimpse that looks everywhere alike",
    "largest_weight": "largest weight of a glimpse",
    "agreement": "agreement of two glimpses (cosine)",
    "hits": "part of the clips whose attention peaks in the face",
}


class Attention:
    """Measure glimpses, and how faithful they are to what predictions rest on.

    * Entropy in nats, largest weight, and agreement of two glimpses (cosine); hits, the part of the
      clips where attention peaks in the speaker's face, where boxes are known.
    * Faithfulness (Petsiuk et al., 2018, https://arxiv.org/abs/1806.07421): positions of the face
      map are replaced by the mean of the map, those with most attention first (deletion), or all
      but these (insertion). The less a deletion leaves of the probability of what is true, and the
      more an insertion gives of it, compared with a random order, the more predictions rest on what
      attention points at; the area between the curves is 0 where attention means nothing. Of
      numbers it is the mean absolute error, with its sign turned. ``clips`` are at most so many of
      each network.
    * The learned weights of the layers of an encoder, where it has some.
    """

    title = "Attention"
    needs_networks = True

    def __init__(self, clips: PositiveInt = 256, seed: NonNegativeInt = 0) -> None:
        self.clips = clips
        self.seed = seed

    def measure(self, evidence: Evidence) -> Section:
        """Measure glimpses, their faithfulness, and the weights of layers."""
        layers = describe_layers(evidence)
        try:
            glimpses = self.describe_glimpses(evidence)
        except NotMeasured as error:
            return replace(layers, title=self.title, summary=str(error))
        return Section(
            self.title,
            glimpses.summary,
            {**glimpses.numbers, **layers.numbers},
            glimpses.tables,
            [*glimpses.charts, *layers.charts],
            glimpses.notes,
        )

    def describe_glimpses(self, evidence: Evidence) -> Section:
        """Measure how glimpses look, and how faithful they are."""
        found = self.run(evidence)
        numbers, notes = dict(found.numbers), []
        if evidence.hits is not None and np.isfinite(evidence.hits).any():
            numbers["hits"] = float(np.nanmean(evidence.hits))
        else:
            notes.append("No clip has a box of the speaker's face, which attention could hit.")
        rows: list[list[Cell]] = [[TITLES[key], numbers[key]] for key in TITLES if key in numbers]
        tables = [Table("Glimpses", ["", "mean"], rows)]
        summary = (
            f"entropy {numbers['entropy']:.2f} of at most {numbers['highest_entropy']:.2f} nats"
        )
        if not found.curves:
            notes.append("The face map has one position: there is nothing to delete or to insert.")
            return Section(self.title, summary, numbers, tables, [], notes)

        what = "probability of what is true" if has_classes(evidence.target) else "negative error"
        areas: list[list[Cell]] = []
        charts = []
        for kind, by_order in found.curves.items():
            own = {
                order: float(np.trapezoid(curve, CHANGED_FRACTIONS))
                for order, curve in by_order.items()
            }
            sign = 1 if kind == "insertion" else -1
            own["between"] = sign * (own["attention"] - own["random"])
            numbers |= {f"{kind}/{name}": area for name, area in own.items()}
            areas.append([kind, *own.values()])
            summary += f", {kind} {own['between']:+.3f}"

            lines = [
                Line(order, CHANGED_FRACTIONS, curve.tolist()) for order, curve in by_order.items()
            ]
            caption = (
                f"{kind.capitalize()} of positions of the face map by attention, or at random."
            )
            charts.append(Chart(kind, caption, "part of the positions", what, lines))
        head = ["area under the curve", *ORDERS, "between them"]
        tables.append(Table("Faithfulness", head, areas))
        return Section(self.title, summary, numbers, tables, charts, notes)

    def run(self, evidence: Evidence) -> "AttentionResult":
        """Run the networks over their clips that have a face."""
        statistics = np.zeros(5)
        highest: list[Tensor] = []
        qualities: list[Float64[np.ndarray, "clips orders kinds parts"]] = []
        for part, network in evidence.pair_networks():
            selected = np.flatnonzero(network.data.store.has_face[part.rows])
            random = np.random.default_rng(self.seed)
            selected = np.sort(random.permutation(selected)[: self.clips])
            for batch in run_deletions(network, part.rows[selected], self.seed):
                statistics += batch.statistics.numpy()
                highest.append(batch.positions.log())
                if batch.positions.max() > 1:
                    positions = part.positions[np.searchsorted(part.rows, batch.rows.numpy())]
                    qualities.append(_score_outputs(evidence, batch.outputs.numpy(), positions))

        entropy, largest, similarity, clips, pairs = statistics.tolist()
        numbers = {
            "entropy": entropy / clips,
            "highest_entropy": float(torch.cat(highest).mean()),
            "largest_weight": largest / clips,
        }
        if pairs:
            numbers["agreement"] = similarity / pairs
        if not qualities:
            return AttentionResult(numbers, {})
        mean = np.concatenate(qualities).mean(axis=0)
        curves = {
            kind: {order: mean[first, second] for first, order in enumerate(ORDERS)}
            for second, kind in enumerate(KINDS)
        }
        return AttentionResult(numbers, curves)


class AttentionResult(NamedTuple):
    """Means over clips, and curves by kind and order; none of maps of one position."""

    numbers: dict[str, float]
    curves: dict[str, dict[str, Float64[np.ndarray, "parts"]]]


class Deletions(NamedTuple):
    """Results of a batch: sums of ``sum_statistics``, numbers of positions of each map, outputs.

    Padding is no position.
    """

    rows: Int64[Tensor, "batch"]
    statistics: Float[Tensor, "5"]
    positions: Int64[Tensor, "batch"]
    outputs: Float[Tensor, "batch orders kinds parts outputs"]


class DeletionPass(ForwardPass):
    """Forward passes with positions of the face map replaced, in two orders and in two ways."""

    def __init__(self, network: nn.Module, seed: int) -> None:
        super().__init__(network)
        self.seed = seed

    def predict_step(self, clips: Clips, batch_idx: int) -> Deletions:
        """Run a batch for each order, kind and part."""
        with record_encoders(self.network) as encoded:
            scores: Scores = self.network(clips)
        glimpses = scores.glimpses
        if glimpses is None:
            raise NotMeasured("This network has no attention.")
        size = glimpses.shape[2:]
        face_encoder: Any = find_encoders(self.network)["face"]
        known = clips.position_mask(face_encoder.stream, size)
        if known is None:
            known = torch.ones_like(glimpses[:, 0].flatten(1), dtype=torch.bool)

        draws = [
            np.random.default_rng([self.seed, row]).random(known.shape[1])
            for row in clips.row.tolist()
        ]
        chance = torch.from_numpy(np.stack(draws)).to(known.device, torch.float32)

        def answer_without(replaced: Bool[Tensor, "batch positions"]) -> Tensor:
            face_map = replace_positions(encoded["face"], replaced, known)
            with replay_encoders(self.network, encoded | {"face": face_map}):
                return self.network(clips).logits

        nothing, every = answer_without(known), []
        for order in (glimpses.flatten(2).float().mean(dim=1), chance):
            # From the first position to be replaced to the last; padding comes behind all.
            ranks = order.masked_fill(~known, -1).argsort(dim=1, descending=True, stable=True)
            ranks = ranks.argsort(dim=1)
            for kind in KINDS:
                inner = []
                for part in CHANGED_FRACTIONS[1:-1]:
                    first = ranks < (part * known.sum(dim=1, keepdim=True)).ceil()
                    inner.append(answer_without(known & (first if kind == "deletion" else ~first)))
                ends = (scores.logits, nothing) if kind == "deletion" else (nothing, scores.logits)
                every.append(torch.stack([ends[0], *inner, ends[1]], dim=1))

        outputs = torch.stack(every, dim=1).unflatten(1, (len(ORDERS), len(KINDS)))
        return Deletions(
            clips.row.cpu(),
            sum_statistics(glimpses).cpu(),
            known.sum(dim=1).cpu(),
            to_cpu(outputs),
        )


def replace_positions(
    face_map: Float[Tensor, "batch channels *map"],
    replaced: Bool[Tensor, "batch positions"],
    known: Bool[Tensor, "batch positions"],
) -> Float[Tensor, "batch channels *map"]:
    """Put the mean of the known positions of each map in the place of some."""
    flat = face_map.flatten(2)
    weights = known[:, None] / known.sum(dim=1).view(-1, 1, 1)
    mean = (flat * weights.to(flat)).sum(dim=2, keepdim=True)
    return torch.where(replaced[:, None], mean, flat).view_as(face_map)


def run_deletions(
    network: TestedNetwork, rows: Int64[np.ndarray, "clips"], seed: int
) -> list[Deletions]:
    """Run the deletions of some clips, which have a face."""
    if "face" not in find_encoders(network.network):
        raise NotMeasured("This network has no attention.")
    if not len(rows):
        raise NotMeasured("No clip has a face to look at.")
    data = network.data
    dataset = SplitDataset(data.store, rows, data.target, data.streams)
    return network.run(dataset, DeletionPass(network.network, seed))


def _score_outputs(
    evidence: Evidence,
    outputs: Float[np.ndarray, "clips orders kinds parts outputs"],
    positions: Int64[np.ndarray, "clips"],
) -> Float64[np.ndarray, "clips orders kinds parts"]:
    """Score outputs: by the probability of the true label, or the negative error."""
    shape, targets = outputs.shape[1:4], evidence.targets[positions]

    def judge(some: Float[np.ndarray, "clips outputs"]) -> Float64[np.ndarray, "clips"]:
        if has_classes(evidence.target):
            return predict_classes(evidence.target, some, targets).true_probability
        return -score_clips(evidence.target, some, targets)

    flat = outputs.reshape(len(outputs), -1, outputs.shape[-1])
    judged = np.stack([judge(flat[:, number]) for number in range(flat.shape[1])], axis=1)
    return judged.reshape(len(outputs), *shape)


def describe_layers(evidence: Evidence) -> Section:
    """Average the learned weights of layers over networks."""
    networks = (network for _, network in evidence.pair_networks())
    each = [list_layer_weights(network.network.state_dict()) for network in networks]
    numbers: dict[str, float] = {}
    charts = []
    for part in each[0]:
        weights = np.mean([one[part] for one in each if part in one], axis=0).tolist()
        numbers |= {f"layers/{part}/{layer}": weight for layer, weight in enumerate(weights)}
        line = Line(part, [float(layer) for layer in range(len(weights))], weights)
        caption = f"Weights of the layers that {part} reads."
        charts.append(Chart(f"layers_{part}", caption, "layer", "weight", [line]))
    return Section("Layers", "", numbers, [], charts)
