import math
from operator import itemgetter
from statistics import mean

import pytest
import torch
from conftest import MODELS, build, doubled, toy_clips

# seed2017 is kept with its faults: its clips change each other, its attention does not learn, its
# evaluation is noisy and its padding counts (test_seed2017.py has a claim for each).
each_model = pytest.mark.parametrize("model", [name for name in MODELS if name != "seed2017"])


def assert_same(ours, theirs):
    torch.testing.assert_close(ours.logits, theirs.logits, rtol=0, atol=1e-10)
    assert (ours.glimpses is None) == (theirs.glimpses is None)
    if ours.glimpses is not None:
        torch.testing.assert_close(ours.glimpses, theirs.glimpses, rtol=0, atol=1e-10)


@each_model
@pytest.mark.parametrize("classes", [2, 5])
def test_scores_have_a_logit_per_class_and_glimpses_that_sum_to_one(model, classes):
    task = build(model, classes=classes, narrow=True)
    for pictures in (1, 3):
        logits, glimpses, *_ = task(toy_clips(4, size=40, pictures=pictures))
        assert logits.shape == (4, classes)
        if glimpses is not None:
            assert glimpses.shape[0] == 4
            assert glimpses.shape[2:] == (pictures, 5, 5)
            ones = torch.ones(glimpses.shape[:2])
            torch.testing.assert_close(glimpses.sum(dim=(2, 3, 4)), ones)


@each_model
def test_padding_never_changes_the_result(model):
    task, clips = build(model, narrow=True).double(), doubled(toy_clips(4))
    noise = torch.randn(4, 20, 75, dtype=torch.double)
    true = (torch.arange(20) < clips.lengths["mfcc"][:, None])[..., None]
    longer = torch.cat([clips.streams["mfcc"], noise[:, 12:]], dim=1)
    assert_same(task(clips), task(clips.with_stream("mfcc", torch.where(true, longer, noise))))


@each_model
def test_clips_in_a_batch_never_change_each_other(model):
    task, clips = build(model, narrow=True).double().train(), doubled(toy_clips(5))
    together = task(clips)
    for k, length in enumerate(clips.lengths["mfcc"].tolist()):
        clip = clips.map(itemgetter(slice(k, k + 1)))
        alone = task(clip.with_stream("mfcc", clip.streams["mfcc"][:, :length]))
        assert_same(alone, type(together)(*(None if s is None else s[k : k + 1] for s in together)))


@each_model
def test_every_parameter_receives_a_gradient_that_is_no_rounding_noise(model):
    task, clips = build(model, narrow=True).double(), doubled(toy_clips(8))
    task.loss(task(clips).logits, clips.label).backward()
    sizes = {name: part.grad.abs().max().item() for name, part in task.named_parameters()}
    largest = max(sizes.values())
    assert {name: size for name, size in sizes.items() if size < 1e-6 * largest} == {}


@each_model
def test_a_network_can_overfit_one_batch(model):
    task, clips = build(model, narrow=True), toy_clips(6, frames=8)
    optimizer = torch.optim.Adam(task.parameters(), lr=3e-3)
    for _ in range(50):
        loss = task.loss(task(clips).logits, clips.label)
        if loss.item() < 0.02:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pytest.fail(f"a loss of {loss.item():.3f} after 50 steps")


@each_model
def test_training_and_evaluation_mode_agree_without_dropout(model):
    task, clips = build(model, narrow=True), toy_clips(4)
    assert_same(task.train()(clips), task.eval()(clips))


@each_model
def test_the_initial_loss_is_near_that_of_equal_probabilities(model):
    losses = []
    for seed in range(4):  # products begin with larger logits than sums, with some seeds
        torch.manual_seed(seed)
        task, clips = build(model, narrow=True), toy_clips(16)
        losses.append(task.loss(task(clips).logits, clips.label).item())
    assert 0.75 * math.log(3) < mean(losses) < 1.6 * math.log(3)
