"""Trivial baselines: the most frequent class, and a linear probe of the streams that runs read.

The probe is scikit-learn's logistic regression on mean and standard deviation over time of each
stream, standardized by the training clips. Its regularization is chosen on the validation clips, as
the best epoch of a network is. It is fitted in seconds, on the same folds.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from avfusion.data.splits import Splits
from avfusion.data.store import Store
from avfusion.features.clip import Stream
from avfusion.targets import Target

BATCH_CLIPS = 256  # clips that are read at once
PICTURE_GRID = 8  # rows and columns that pictures are averaged to
INVERSE_STRENGTHS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # C of scikit-learn
MAX_ITERATIONS = 500


class FittedPlan(NamedTuple):
    """A store, its splits by one plan, and what is predicted: what baselines are fitted on."""

    store: Store
    splits: Splits
    target: Target


def summarize_stream(store: Store, name: str) -> Float32[np.ndarray, "clips features"]:
    """Mean and standard deviation over time of a stream, for each clip; NaN where it has none."""
    parts = []
    stream = store.streams[name]
    for first in range(0, len(store), BATCH_CLIPS):
        rows = np.arange(first, min(first + BATCH_CLIPS, len(store)))
        steps, known = _spread_over_time(store, name, stream, rows)
        parts.append(pool_over_time(steps, known).numpy())

    features = np.concatenate(parts)
    features[~store.has_modality(name)] = np.nan
    return features


def _spread_over_time(
    store: Store, name: str, stream: Stream, rows: Int64[np.ndarray, "batch"]
) -> tuple[Float[Tensor, "batch steps features"], Bool[Tensor, "batch steps"]]:
    """Features of each step of time, and which steps are true."""
    values = store.read(name, rows).float()
    if stream.kind == "pictures":  # [batch, pictures, 3, height, width]
        cells = adaptive_avg_pool2d(values.flatten(0, 1), PICTURE_GRID)
        values = cells.reshape(len(rows), -1, 3 * PICTURE_GRID * PICTURE_GRID)
    elif stream.kind == "maps":
        values = values.flatten(3).mean(dim=-1)
    else:
        if stream.layers:  # their features side by side
            values = values.movedim(1, -2).flatten(-2)
        if stream.kind == "vector":
            values = values[:, None]
        elif values.ndim == 2:  # samples
            values = values[..., None]

    known = torch.ones(values.shape[:2], dtype=torch.bool)
    if stream.kind == "sequence":
        lengths = torch.from_numpy(store.lengths(name)[rows])
        known = torch.arange(values.shape[1]) < lengths[:, None]
    return values, known


def pool_over_time(
    steps: Float[Tensor, "batch steps features"], known: Bool[Tensor, "batch steps"]
) -> Float[Tensor, "batch pooled"]:
    """Mean and standard deviation over true steps, side by side."""
    weights = known[..., None].float()
    count = weights.sum(dim=1).clamp(min=1)
    mean = (steps * weights).sum(dim=1) / count
    variance = ((steps - mean[:, None]).square() * weights).sum(dim=1) / count
    return torch.cat([mean, variance.sqrt()], dim=1)


def standardize(
    features: Float32[np.ndarray, "clips features"], train: Bool[np.ndarray, "clips"]
) -> Float32[np.ndarray, "clips features"]:
    """Standardize by the training clips; what is missing becomes their mean."""
    with warnings.catch_warnings(action="ignore"):  # of features that no training clip has
        mean, deviation = np.nanmean(features[train], axis=0), np.nanstd(features[train], axis=0)
    scale = np.where(deviation > 1e-6 * (1 + np.abs(mean)), deviation, np.inf)  # constant: zero
    return np.nan_to_num((features - mean) / scale, posinf=0, neginf=0).astype(np.float32)


def rotate_features(
    features: Float32[np.ndarray, "clips features"], train: Bool[np.ndarray, "clips"]
) -> Float[np.ndarray, "clips rotated"]:
    """Project features on the space that training clips span, where that has fewer dimensions.

    A regression with a quadratic penalty has no weights outside of it, so it stays the same.
    """
    own = features[train].astype(np.float64)
    if len(own) >= own.shape[1]:
        return features
    squares, axes = np.linalg.eigh(own @ own.T)
    kept = squares > squares.max(initial=0) * 1e-12
    return features @ (own.T @ (axes[:, kept] / np.sqrt(squares[kept])))


def fit_probe(
    features: Sequence[Float32[np.ndarray, "clips _"]],
    labels: Int64[np.ndarray, "clips"],
    splits: Splits,
    classes: int,
) -> Float[np.ndarray, "clips classes"]:
    """Fit the probe on training clips, choose its strength on validation clips, predict for all.

    Returns:
        Logarithms of probabilities; those of classes without a training clip are very low.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    train = splits.where("train") & (labels >= 0)
    val = splits.where("val") & (labels >= 0)
    x = rotate_features(
        np.concatenate([standardize(one, train) for one in features], axis=1), train
    )
    if len(np.unique(labels[train])) < 2:
        return predict_majority(labels, splits, classes)

    best, best_score = None, -1.0
    for strength in INVERSE_STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=MAX_ITERATIONS)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(x[train], labels[train])
        score = _score_recalls(model.predict(x[val]), labels[val]) if val.any() else 0.0
        if score > best_score:  # of equal ones the most regularized
            best, best_score = model, score

    assert best is not None
    outputs = np.full((len(labels), classes), -1e3)
    outputs[:, best.classes_] = np.log(
        np.maximum(best.predict_proba(x), 1e-30)
    )  # of single precision
    return outputs


def _score_recalls(predicted: np.ndarray, true: np.ndarray) -> float:
    """UAR of the classes that occur."""
    return float(np.mean([(predicted[true == name] == name).mean() for name in np.unique(true)]))


def predict_majority(
    labels: Int64[np.ndarray, "clips"], splits: Splits, classes: int
) -> Float[np.ndarray, "clips classes"]:
    """Predict the most frequent class of the training clips for every clip, as logarithms."""
    known = labels[splits.where("train") & (labels >= 0)]
    counts = np.bincount(known, minlength=classes)
    outputs = np.full((len(labels), classes), -1e3)
    outputs[:, counts.argmax()] = 0
    return outputs
