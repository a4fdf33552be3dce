"""Claims about the majority class and the linear probe."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from avfusion.data.splits import Splits
from avfusion.data.store import Store
from avfusion.evaluation.probe import (
    fit_probe,
    pool_over_time,
    predict_majority,
    rotate_features,
    standardize,
    summarize_stream,
)


def splits_of(*numbers):
    return Splits(np.repeat([0, 1, 2], numbers).astype(np.int8), "p", {}, Path())


@pytest.fixture
def drawn():
    """Features of 90 clips of three classes, of which some are informative."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 3, 90)
    features = random.normal(size=(90, 12)).astype(np.float32)
    features[:, :3] += 1.5 * np.eye(3)[labels]
    return 10 * features + 3, labels


def test_mean_and_deviation_are_those_of_the_true_steps():
    steps = torch.arange(24.0).reshape(2, 4, 3)
    known = torch.tensor([[True, True, False, False], [True] * 4])
    pooled = pool_over_time(steps, known)
    for clip, length in ((0, 2), (1, 4)):
        true = steps[clip, :length].numpy()
        expected = np.concatenate([true.mean(axis=0), true.std(axis=0)])
        assert pooled[clip].numpy() == pytest.approx(expected, rel=1e-5)


def test_streams_of_a_store_are_summarized_by_clip(party_store):
    store = Store(party_store)
    heard = summarize_stream(store, "mfcc")
    row = 5
    steps = store.clip("mfcc", row)[: store.lengths("mfcc")[row]].numpy()
    assert heard[row] == pytest.approx(np.concatenate([steps.mean(0), steps.std(0)]), abs=1e-3)
    seen = summarize_stream(store, "frames")
    assert seen.shape == (len(store), 2 * 3 * 8 * 8)
    picture = store.clip("frames", row)[0].float()  # one picture: no deviation
    assert seen[row, : 3 * 64].mean() == pytest.approx(picture.mean().item(), rel=1e-4)
    assert not seen[row, 3 * 64 :].any()


def test_a_clip_without_a_modality_is_unknown_and_becomes_the_mean_of_training(party_store):
    features = summarize_stream(Store(party_store).without("audio"), "mfcc")
    assert np.isnan(features).all()
    known = np.array([[1.0, 5.0], [3.0, 5.0], [np.nan, np.nan], [5.0, 9.0]], np.float32)
    scaled = standardize(known, np.array([True, True, False, False]))
    assert scaled.tolist() == [[-1, 0], [1, 0], [0, 0], [3, 0]]  # the second one is constant


def test_a_rotation_to_the_span_of_the_training_clips_changes_no_probe(drawn):
    features, labels = drawn
    wide = np.random.default_rng(1).normal(size=(12, 200)).astype(np.float32)
    x, train = features @ wide / 100, np.arange(90) < 60
    turned = rotate_features(x, train)
    assert turned.shape[1] <= 60
    plain, other = (
        LogisticRegression(C=0.1, max_iter=5000, tol=1e-8).fit(f[train], labels[train])
        for f in (x, turned)
    )
    assert plain.predict_proba(x) == pytest.approx(other.predict_proba(turned), abs=1e-3)


def test_the_probe_is_scikit_learns_with_the_strength_that_validation_prefers(drawn):
    features, labels = drawn
    splits = splits_of(50, 20, 20)
    train, val = splits.where("train"), splits.where("val")
    outputs = fit_probe([features], labels, splits, 4)
    x = (features - features[train].mean(axis=0)) / features[train].std(axis=0)
    fits = [
        LogisticRegression(C=c, max_iter=500).fit(x[train], labels[train])
        for c in (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    ]
    recalls = [
        np.mean([(fit.predict(x[val]) == k)[labels[val] == k].mean() for k in range(3)])
        for fit in fits
    ]
    best = fits[int(np.argmax(recalls))]
    assert np.exp(outputs[:, :3]) == pytest.approx(best.predict_proba(x), abs=1e-3)
    assert (outputs[:, 3] == -1e3).all()  # a class that no training clip has


def test_the_probe_never_sees_a_test_clip(drawn):
    features, labels = drawn
    splits = splits_of(50, 20, 20)
    other_features, other_labels = features.copy(), labels.copy()
    other_labels[70:] = (labels[70:] + 1) % 3
    before = fit_probe([features], labels, splits, 3)
    assert np.array_equal(before, fit_probe([features], other_labels, splits, 3))
    other_features[70:] = 1e3
    changed = fit_probe([other_features], labels, splits, 3)
    assert changed[:70] == pytest.approx(before[:70], abs=1e-6)


def test_the_majority_is_that_of_the_training_clips():
    labels = np.array([1, 1, 0, 2, 2, 2])
    outputs = predict_majority(labels, splits_of(3, 1, 2), 3)
    assert outputs.argmax(axis=1).tolist() == [1] * 6
    labels = np.array([1, 1, 1, 2, 2, 2])  # nothing to tell apart
    outputs = fit_probe([np.ones((6, 2), np.float32)], labels, splits_of(3, 1, 2), 3)
    assert outputs.argmax(axis=1).tolist() == [1] * 6
