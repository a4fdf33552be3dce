"""Claims about losses from each modality alone."""

import copy

import pytest
import torch
import torch.nn.functional as F
from conftest import MODELS, build, encoded_labels, toy_clips

from avfusion.models.networks.scores import Vectors

HEADS = "remedy=auxiliary_heads"
PLAIN = ("model.single_glimpses=0", "model.glimpse_entropy=0")
QUICK_FUSIONS = ("lowrank", "bottleneck")
UNIMODAL = ("audio_only", "face_only", "lenet", "seed2017")
FUSIONS = [model for model in MODELS if model not in UNIMODAL]


def lacking(clips, **flags):
    return clips._replace(**{name: torch.tensor(each) for name, each in flags.items()})


def test_what_is_minimized_is_the_weighted_sum_of_three_losses():
    weights = [
        f"model.unimodal_heads.{k}={v}" for k, v in (("face", 0.5), ("audio", 2), ("both", 3))
    ]
    task, clips = build("lowrank", HEADS, *weights, *PLAIN), toy_clips(4)
    minimized, scores = task.step(clips, task.train_metrics)
    heads = task.remedies["unimodal_heads"].heads
    face_map = task.network.face_encoder(clips.streams["frames"])
    _, voice = task.network.audio_encoder(*clips.sequence("mfcc"))
    parts = (heads["face"](face_map.mean(dim=(2, 3, 4))), heads["audio"](voice), scores.logits)
    losses = [F.cross_entropy(logits, clips.label) for logits in parts]
    torch.testing.assert_close(minimized, 0.5 * losses[0] + 2 * losses[1] + 3 * losses[2])
    assert task.train_metrics.compute()["train/loss"].item() == pytest.approx(losses[2].item())


def test_a_loss_from_one_modality_is_that_of_the_clips_that_have_it():
    """By hand: of two classes, logits (1, 0) give ln(1 + 1/e) and ln(1 + e)."""
    task = build("lowrank", HEADS, classes=2)
    heads, clips = task.remedies["unimodal_heads"], toy_clips(4)
    clips = lacking(clips, label=[0, 1, 0, 0])
    for head in heads.heads.values():
        torch.nn.init.zeros_(head.weight)
        head.bias.data = torch.tensor([1.0, 0.0])
    vectors = [torch.randn(4, dim) for dim in task.network.unimodal_dims]
    flags = torch.tensor([[True, True, False, False], [False, False, False, False]])
    scores = task(clips)._replace(unimodal=Vectors(*vectors, *flags))
    face, audio = heads.losses(scores, clips)
    assert face.item() == pytest.approx((0.3132617 + 1.3132617) / 2)
    assert audio.item() == 0
    (face + audio).backward()
    assert torch.equal(
        heads.heads["audio"].weight.grad, torch.zeros_like(heads.heads["audio"].weight)
    )


@pytest.mark.parametrize("labels", ["multi_label", "continuous"])
def test_the_losses_are_those_of_any_target(labels):
    loss = {"multi_label": "bce", "continuous": "mse"}[labels]
    task, clips = build("lowrank", HEADS, f"loss={loss}", labels=labels), toy_clips(4)
    clips = clips._replace(label=encoded_labels(task.target, clips.label.tolist()))
    task.step(clips, task.train_metrics)[0].backward()
    assert all(
        head.weight.grad.abs().sum() > 0 for head in task.remedies["unimodal_heads"].heads.values()
    )


@pytest.mark.parametrize(
    "model",
    [pytest.param(m, marks=[] if m in QUICK_FUSIONS else pytest.mark.slow) for m in FUSIONS],
)
def test_heads_reach_each_encoder_of_every_fusion_and_change_nothing_else(model):
    torch.manual_seed(1)
    plain = build(model, *PLAIN, narrow=True)
    torch.manual_seed(1)
    task, clips = build(model, HEADS, *PLAIN, narrow=True), toy_clips(4)
    ours, theirs = task.network.state_dict(), plain.network.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    scores = task(clips)
    assert torch.equal(scores.logits, plain(clips).logits)
    alone = task.remedies["unimodal_heads"].losses(scores, clips)
    for modality, loss, other in zip(("face", "audio"), alone, ("audio", "face"), strict=True):
        task.zero_grad()
        loss.backward(retain_graph=True)
        for name, reached in ((modality, True), (other, False)):
            encoder = task.network.get_submodule(f"{name}_encoder")
            assert any(p.grad is not None and p.grad.any() for p in encoder.parameters()) == reached
    optimizer, _ = task.build_optimizer(10)
    learned = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert {id(p) for p in task.remedies.parameters()} <= learned


def test_heads_count_in_training_only_and_begin_the_same_for_a_copy():
    task, clips = build("lowrank", HEADS, *PLAIN).eval(), toy_clips(4)
    minimized, scores = task.step(clips, task.val_metrics)
    torch.testing.assert_close(minimized, F.cross_entropy(scores.logits, clips.label))
    copied = copy.deepcopy(task).train()
    assert copied.remedies["unimodal_heads"].label_loss.__self__ is copied


@pytest.mark.parametrize("model", UNIMODAL)
def test_a_network_without_two_encoders_is_refused_in_a_sentence(model):
    few = ["model.network.num_layers=1"] if model == "seed2017" else []
    with pytest.raises(Exception, match="need a network with an encoder of each modality, which"):
        build(model, HEADS, *few)
