"""Claims about what stands in for a modality that is taken away."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import build_for

from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.diagnostics.networks import read_clips
from avfusion.diagnostics.stand_ins import ModalityRemoval, rotate_rows

from .oracle import examine


@pytest.fixture(scope="module")
def data(recordings_store):
    """Clips of different lengths."""
    return FaceAudioDataModule(str(recordings_store), batch_size=4)


def read(data, split="train"):
    return data.reading(split), data.dataset(split).__getitems__([*range(16)])


@pytest.mark.parametrize("model", ["lowrank", pytest.param("bottleneck", marks=pytest.mark.slow)])
def test_what_the_network_has_is_what_a_test_without_the_modality_takes(model, data, mapped_store):
    for some in (data, FaceAudioDataModule(str(mapped_store), streams=("face_map", "mfcc"))):
        part = ["model/face_encoder=precomputed"] if "face_map" in some.streams else []
        task = build_for(some, model, *part)
        evidence = examine(some, task.network)
        for modality in ("face", "audio"):
            ours = evidence.compute(ModalityRemoval((modality,)))
            theirs = examine(some.without(modality), task.network).outputs
            assert np.array_equal(ours, theirs)


def test_zeros_and_noise_are_taken_for_what_was_recorded(data):
    own, clips = read(data)
    for stand_in in ("zeros", "noise"):
        changed = ModalityRemoval(("face", "audio"), stand_in)(clips, own)
        assert changed.has_face.all() and changed.has_audio.all()
        assert all((changed.streams[n] != clips.streams[n]).any() for n in ("frames", "mfcc"))
        padding = torch.arange(clips.streams["mfcc"].shape[1]) >= clips.lengths["mfcc"][:, None]
        assert not changed.streams["mfcc"][padding].any()
        if stand_in == "zeros":
            assert not changed.streams["frames"].any() and not changed.streams["mfcc"].any()


def test_noise_has_mean_and_deviation_of_the_training_clips_and_no_batch_matters(data):
    own, clips = read(data)
    noise = ModalityRemoval(("audio",), "noise", seed=1)(clips, own).streams["mfcc"]
    steps = torch.cat([one[:n] for one, n in zip(noise, clips.lengths["mfcc"], strict=True)])
    described = own.description["streams"]["mfcc"]
    mean, std = torch.tensor(described["mean"]), torch.tensor(described["std"])
    assert ((steps.mean(dim=0) - mean).abs() < 5 * std / len(steps) ** 0.5).all()
    assert (steps.std(dim=0) / std - 1).abs().max() < 0.3

    alone = data.dataset("train").__getitems__([3])
    again = ModalityRemoval(("audio",), "noise", seed=1)(alone, own).streams["mfcc"][0]
    assert torch.equal(again, noise[3, : len(again)])


def test_each_voice_of_a_split_is_that_of_another_clip_once(data):
    own, clips = read(data)
    changed = ModalityRemoval(("audio",), "other")(clips, own)
    voices, others = (
        [one[:n] for one, n in zip(part.streams["mfcc"], part.lengths["mfcc"], strict=True)]
        for part in (clips, changed)
    )
    same = [[torch.equal(one, other) for one in voices] for other in others]
    places = [row.index(True) for row in same]
    assert sorted(places) == [*range(16)] and all(n != place for n, place in enumerate(places))
    assert torch.equal(changed.streams["frames"], clips.streams["frames"])
    assert torch.equal(changed.label, clips.label)


def test_a_clip_is_rotated_to_the_next_with_another_label():
    rows, random = np.arange(10, 16), np.random.default_rng(0)
    labels = np.array([0, 0, 0, 0, 1, 2])
    others = rotate_rows(rows, random, labels)
    assert (labels[others - 10] != labels).all()
    plain = rotate_rows(rows, random)
    assert sorted(plain) == rows.tolist() and (plain != rows).all()
    assert rotate_rows(rows, random, np.zeros(6, int)).tolist() == rows.tolist()


def test_clips_can_be_read_in_any_order_and_more_than_once(data):
    clips = read_clips(data, np.array([7, 2, 7]))
    for place, row in enumerate((7, 2, 7)):
        length = int(clips.lengths["mfcc"][place])
        assert torch.equal(clips.streams["mfcc"][place, :length], data.store.clip("mfcc", row))
        assert torch.equal(clips.streams["frames"][place], data.store.clip("frames", row))


def test_nothing_is_computed_twice(data):
    evidence = examine(data, build_for(data, "concat").network)
    first = evidence.compute(ModalityRemoval(("face",)))
    assert evidence.compute(ModalityRemoval(("face",))) is first
    with pytest.raises(ValueError, match="forward passes, which were left out"):
        replace(evidence, networks=(), computed={}).compute(ModalityRemoval(("face",)))
