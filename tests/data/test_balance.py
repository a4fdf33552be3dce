"""Claims about clips that are drawn by class and by subject."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import clip_record, indexed, load, single_label

from avfusion.data.balance import find_balanced, weigh_clips
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.dataset import ClipSampler
from avfusion.run.checks import check_training
from avfusion.targets import MultiLabel
from avfusion.targets.continuous import Continuous

SUBJECTS = np.array(["ann", "ann", "ann", "bob"])
CLASSES = np.array([0, 0, 1, 0])


def weigh(*balanced, labels=CLASSES, subjects=SUBJECTS, target=None):
    target = target or single_label("a", "b")
    return weigh_clips(balanced, target, labels, subjects, Path("store")).tolist()


def test_a_clip_weighs_one_over_the_clips_like_it():
    """By hand: three clips of class a, one of b; three of ann, one of bob; two of ann and a."""
    third = pytest.approx(1 / 3)
    assert weigh("class") == [third, third, 1, third]
    assert weigh("subject") == [third, third, third, 1]
    assert weigh("class", "subject") == [0.5, 0.5, 1, 1]


def test_clips_of_several_classes_weigh_the_mean_and_those_of_none_are_a_class():
    target = MultiLabel({"output_names": ["a", "b"]})
    labels = np.array([[1, 0], [1, 1], [0, 0], [0, 0]])
    assert weigh("class", labels=labels, target=target) == [0.5, 0.75, 0.5, 0.5]


def test_every_class_is_drawn_as_often_as_any_other():
    labels = np.repeat([0, 1], [900, 100])
    weights = torch.tensor(weigh("class", labels=labels, subjects=np.full(1000, "ann")))
    sampler, drawn = ClipSampler(1000, True, seed=3, weights=weights.double()), []
    for epoch in range(40):
        sampler.set_epoch(epoch)
        drawn += list(sampler)
    assert len(drawn) == 40_000
    rare = labels[drawn].mean()
    assert abs(rare - 0.5) < 4 * 0.5 / 40_000**0.5  # four deviations of a fair coin
    counts = np.bincount(drawn, minlength=1000)
    assert counts[:900].mean() == pytest.approx(40 * 0.5 / 0.9, rel=0.02)
    assert counts[900:].mean() == pytest.approx(40 * 0.5 / 0.1, rel=0.02)


def test_what_is_left_of_an_epoch_and_the_share_of_a_process_are_of_one_order():
    weights = torch.rand(50, dtype=torch.float64)

    def order(rank=0, ranks=1, start=0, seed=1):
        sampler = ClipSampler(50, True, seed, rank, ranks, weights)
        sampler.set_epoch(2)
        sampler.start = start
        torch.rand(1)
        return list(sampler)

    whole = order()
    assert len(whole) == 50 > len(set(whole)) and order(seed=2) != whole
    assert order(start=20) == whole[20:]
    assert [order(rank, 3) for rank in range(3)] == [whole[:48][rank::3] for rank in range(3)]
    assert order(1, 2, 20) == whole[20:][1::2]


def test_training_clips_are_drawn_by_weight_and_the_others_read_in_order(party_store):
    data = FaceAudioDataModule(str(party_store), batch_size=8, balance=["class", "subject"])
    labels = data.dataset("train").labels[data.splits.rows("train")]
    subjects = np.array(data.store.texts("subject"))[data.splits.rows("train")]
    expected = weigh_clips(("class", "subject"), data.target, labels, subjects, Path())
    loader = data.train_dataloader()
    assert torch.equal(loader.sampler.weights, expected)
    read = [row for batch in loader for row in batch.row.tolist()]
    assert len(read) == 24 > len(set(read))
    tested = [row for batch in data.test_dataloader() for row in batch.row.tolist()]
    assert tested == sorted(set(tested)) and len(tested) == 12


def test_what_cannot_be_balanced_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(ValueError, match=r"data.balance must be .* got gender"):
        find_balanced(["class", "gender"])
    numbers = Continuous({"output_names": ["arousal"]})
    with pytest.raises(ValueError, match=r"have numbers: set data\.balance=subject"):
        weigh("class", labels=np.zeros((4, 1), np.float32), target=numbers)
    store = indexed(tmp_path, [clip_record(name, label="a") for name in "xy"])
    nobody = np.array(store.texts("subject"))
    with pytest.raises(ValueError, match="needs the subject of each clip, and 2 training clips"):
        weigh("subject", labels=np.zeros(2, np.int64), subjects=nobody)


def test_classes_are_not_balanced_twice():
    with pytest.raises(ValueError, match=r"data.balance=class and loss.weights=balanced would"):
        check_training(load("train", "remedy=balanced_sampling", "loss.weights=balanced"))
