"""Class predictions for clips: probabilities, confidence, and whether they are right."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float64, Shaped

from avfusion.diagnostics.section import NotMeasured
from avfusion.targets import Target
from avfusion.training.metrics.catalog import find_metric

Outputs = Float[np.ndarray, "clips outputs"]
Encoded = Shaped[np.ndarray, "clips *outputs"]


class ClassPredictions(NamedTuple):
    """Predicted classes of clips, in double precision.

    Of several classes per clip each is a decision of its own, and what is given for a clip is the
    mean over its decisions.

    Attributes:
        probabilities: Of each class.
        has: Whether a clip has a class.
        found: Whether the decision about a class is that a clip has it.
        confidence: Probability of what is decided.
        right: 1 where the decision is right, 0 where it is wrong.
        true_probability: Probability of what is true.
        nll: Its negative logarithm.
        exclusive: Whether a clip has one class and no other.
    """

    probabilities: Float64[np.ndarray, "clips classes"]
    has: Bool[np.ndarray, "clips classes"]
    found: Bool[np.ndarray, "clips classes"]
    confidence: Float64[np.ndarray, "clips"]
    right: Float64[np.ndarray, "clips"]
    true_probability: Float64[np.ndarray, "clips"]
    nll: Float64[np.ndarray, "clips"]
    exclusive: bool


def has_classes(target: Target) -> bool:
    """Whether a target predicts classes, with probabilities, rather than numbers."""
    return not target.number_names


def predict_classes(target: Target, outputs: Outputs, targets: Encoded) -> ClassPredictions:
    """Turn outputs for clips whose labels are known into predicted classes.

    Raises:
        NotMeasured: The target predicts numbers.
    """
    if not has_classes(target):
        raise NotMeasured("Numbers are predicted here, which have no probabilities.")

    logits = torch.from_numpy(outputs).double()
    has = target.indicators(torch.from_numpy(targets)) == 1
    if target.exclusive:
        logs = F.log_softmax(logits, dim=1)
        probabilities = logs.exp()
        confidence, decided = probabilities.max(dim=1)
        found = torch.zeros_like(has).scatter(1, decided[:, None], True)
        right = (found & has).any(dim=1).double()
        true_probability, nll = logs[has].exp(), -logs[has]
    else:
        true_logs = torch.where(has, F.logsigmoid(logits), F.logsigmoid(-logits))
        probabilities = logits.sigmoid()
        confidence = torch.maximum(probabilities, 1 - probabilities).mean(dim=1)
        found = logits > 0
        right = (found == has).double().mean(dim=1)
        true_probability, nll = true_logs.exp().mean(dim=1), -true_logs.mean(dim=1)

    return ClassPredictions(
        probabilities.numpy(),
        has.numpy(),
        found.numpy(),
        confidence.numpy(),
        right.numpy(),
        true_probability.numpy(),
        nll.numpy(),
        target.exclusive,
    )


def score_clips(target: Target, outputs: Outputs, targets: Encoded) -> Float64[np.ndarray, "clips"]:
    """Score each clip: whether it is right, or the mean absolute error of its known numbers."""
    if has_classes(target):
        return predict_classes(target, outputs, targets).right
    predicted = target.predict(torch.from_numpy(outputs)).double().numpy()
    return np.nanmean(np.abs(predicted - targets), axis=1)


def score_metrics(target: Target, outputs: Outputs, targets: Encoded) -> dict[str, float]:
    """Compute the metrics of a target over all clips, under the names of its ``scores``."""
    found: dict[str, float] = {}
    preds, labels = torch.from_numpy(outputs), torch.from_numpy(targets)
    for name, metric in target.metrics().items():
        metric.update(preds=preds, target=labels)
        value = metric.compute()
        found |= value if isinstance(value, Mapping) else {name: value}
    return {name: float(found[name]) for name in target.scores if name in found}


def find_title(score: str) -> str:
    """Find the title of a score of a target."""
    entry = find_metric(f"test/{score}")
    return score if entry is None else entry.title
