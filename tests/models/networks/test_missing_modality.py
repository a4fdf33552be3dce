"""Clips that lack a modality."""

import pytest
import torch
from conftest import MODELS, build, toy_clips

from avfusion.models.networks.missing_modality import MissingModality, ModalityDropout

# Not seed2017, whose evaluation is noisy.
each_model = pytest.mark.parametrize("model", [name for name in MODELS if name != "seed2017"])


def without(clips, modality, which=0):
    """Clips one of which has noise where its face or its voice would be."""
    flag = torch.arange(len(clips.label)) != which
    stream = {"face": "frames", "audio": "mfcc"}[modality]
    features = clips.streams[stream]
    noise = torch.where(flag.view(-1, *[1] * (features.ndim - 1)), features, torch.rand(1) * 9)
    return clips.with_stream(stream, noise)._replace(**{f"has_{modality}": flag})


@each_model
@pytest.mark.parametrize("modality", ["face", "audio"])
def test_the_array_of_a_missing_modality_never_changes_the_logits(model, modality):
    task, clips = build(model, narrow=True), toy_clips(4)
    one, other = without(clips, modality), without(clips, modality)
    one_logits, other_logits = task(one).logits, task(other).logits
    assert one_logits.isfinite().all()
    torch.testing.assert_close(one_logits, other_logits, rtol=0, atol=1e-6)
    torch.testing.assert_close(one_logits[1:], task(clips).logits[1:], rtol=0, atol=1e-5)


@pytest.mark.parametrize("modality", ["face", "audio"])
def test_the_logits_depend_on_the_modality_that_is_present(modality):
    task, clips = build("lowrank"), toy_clips(2)
    other = {"face": "mfcc", "audio": "frames"}[modality]
    answer = task(without(clips, modality)).logits[0]
    changed = clips.with_stream(other, clips.streams[other].flip(0))
    assert (task(without(changed, modality)).logits[0] - answer).abs().max() > 1e-4


@each_model
def test_vectors_for_missing_modalities_are_learned_only_with_modality_dropout(model):
    without = {name for name, _ in build(model, narrow=True).named_parameters()}
    task = build(model, "model.network.modality_dropout=0.9", narrow=True)
    learned = {name for name, _ in task.named_parameters()} - without
    assert learned and all(".no_face." in name or ".no_audio." in name for name in learned)
    clips = toy_clips(32)
    task.loss(task.train()(clips).logits, clips.label).backward()
    for name in learned:
        assert task.get_parameter(name).grad.abs().max() > 1e-8


def test_modality_dropout_removes_one_modality_from_a_fraction_of_training_clips():
    clips = toy_clips(4000, frames=3, size=2)
    clips = clips._replace(has_face=torch.arange(4000) >= 1000)
    dropout = ModalityDropout(0.4)
    after = dropout.train()(clips)
    assert (after.has_face | after.has_audio).all()
    assert torch.equal(after.has_face[:1000] | after.has_audio[:1000], after.has_audio[:1000])
    for flags in (after.has_face, after.has_audio):
        assert (~flags[1000:]).float().mean().item() == pytest.approx(0.2, abs=0.03)
    assert dropout.eval()(clips) is clips


def test_the_vector_of_a_missing_face_fills_the_map_at_each_place():
    missing = MissingModality(3, learned=True)
    torch.nn.init.constant_(missing.vector, 7.0)
    filled = missing(torch.zeros(2, 3, 1, 4, 5), torch.tensor([True, False]))
    assert (filled[0] == 0).all() and (filled[1] == 7).all()


def test_a_map_is_handed_on_where_no_face_is_missing_unless_the_vector_has_to_learn():
    features, all_present = torch.randn(2, 3, 1, 4, 5), torch.ones(2, dtype=torch.bool)
    zeros, learned = MissingModality(3, learned=False), MissingModality(3, learned=True)
    assert zeros(features, all_present, True) is learned.eval()(features, all_present, True)
    assert torch.equal(zeros(features, all_present), features)
    learned.train()(features, all_present, True).sum().backward()
    assert not learned.vector.grad.any()  # which processes have to exchange
    with pytest.raises(AssertionError):
        zeros(features, torch.tensor([True, False]), True)


def test_modality_dropout_no_longer_knows_that_no_face_is_missing():
    clips = toy_clips(8)._replace(all_have_face=True)
    assert not ModalityDropout(0.9).train()(clips).all_have_face
    assert ModalityDropout(0.9).eval()(clips).all_have_face
    assert ModalityDropout(0.0).train()(clips).map(lambda part: part[:2]).all_have_face


@pytest.mark.parametrize("p", [-0.1, 1.0])
def test_a_modality_dropout_outside_of_its_range_is_refused(p):
    with pytest.raises(ValueError, match=f"modality_dropout .*{p}"):
        ModalityDropout(p)
