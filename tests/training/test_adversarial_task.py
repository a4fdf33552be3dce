"""Claims about learning against discriminators, with two optimizers."""

import lightning as L
import pytest
import torch
from conftest import build, build_for, load, quiet_trainer, toy_clips
from hydra.errors import InstantiationException

from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.models.adversarial import Discriminator
from avfusion.run.build import pop_task_settings
from avfusion.run.results import measure_costs
from avfusion.training.adversarial_task import select_present, split_directions
from avfusion.training.adversary import d_loss_fake, d_loss_real, g_loss
from avfusion.training.task import FusionTask

OTHERS = ("concat", "bottleneck", "crossattention")
NETWORKS = ("lowrank", *(pytest.param(name, marks=pytest.mark.slow) for name in OTHERS))
SMALL = ("model.network.audio_encoder.hidden_dim=16",)
IMAGINED = ("model/missing=imagined", "model.network.missing.hidden_dim=8", *SMALL)


def build_quiet(*overrides):
    """A task that logs nothing, as it is not attached to a trainer."""
    task = build(*overrides)
    task.log_dict = lambda *_, **__: None
    return task


def clips_with_gaps():
    """Six clips: two without sound, one without a face, three with both."""
    clips = toy_clips(6)
    return clips._replace(
        has_face=torch.tensor([True, True, True, False, True, True]),
        has_audio=torch.tensor([True, False, True, True, False, True]),
    )


def gradients(module):
    return {name for name, value in module.named_parameters() if value.grad is not None}


@pytest.mark.parametrize("model", NETWORKS)
def test_a_step_of_the_discriminators_leaves_no_gradient_in_encoders_and_generators(model):
    task = build_quiet(model, *IMAGINED)
    task.discriminator_loss(task(clips_with_gaps())).backward()
    assert gradients(task) == {
        f"discriminators.{name}" for name, _ in task.discriminators.named_parameters()
    }


@pytest.mark.parametrize("model", NETWORKS)
def test_adversarial_losses_reach_generators_and_neither_encoders_nor_discriminators(model):
    task = build_quiet(model, *IMAGINED)
    before = {name: value.clone() for name, value in task.discriminators.state_dict().items()}
    task.adversarial_loss(task(clips_with_gaps())).backward()
    assert gradients(task) == {
        f"network.imagination.{name}" for name, _ in task.network.imagination.named_parameters()
    }
    torch.optim.SGD(task.network.parameters(), lr=1.0).step()
    after = task.discriminators.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())


@pytest.mark.parametrize("model", NETWORKS)
def test_what_is_missing_is_imagined_and_what_is_there_stays(model):
    task = build_quiet(model, *IMAGINED, "model.network.modality_dropout=0").eval()
    clips = clips_with_gaps()
    torch.nn.init.normal_(task.network.imagination.audio_from_face.output.bias)
    torch.nn.init.normal_(task.network.imagination.face_from_audio.output.bias)
    logits = task(clips).logits
    for generator, lacks in (
        ("audio_from_face", ~clips.has_audio),
        ("face_from_audio", ~clips.has_face),
    ):
        torch.nn.init.zeros_(getattr(task.network.imagination, generator).output.weight)
        changed = (task(clips).logits != logits).any(dim=1)
        assert torch.equal(changed, lacks), generator
        logits = task(clips).logits


@pytest.mark.parametrize("model", NETWORKS)
def test_the_loss_of_the_network_does_not_teach_generators(model):
    task = build_quiet(model, *IMAGINED)
    clips = clips_with_gaps()
    task.loss(task(clips).logits, clips.label).backward()
    reached = {name.split(".")[1] for name in gradients(task)}
    assert {"face_encoder", "audio_encoder", "fusion"} <= reached and "imagination" not in reached


def test_the_stream_of_a_missing_modality_does_not_matter():
    task = build_quiet("lowrank", *IMAGINED).eval()
    clips = clips_with_gaps()
    noise = clips.streams["mfcc"] + torch.randn_like(clips.streams["mfcc"])
    other = torch.where(clips.has_audio[:, None, None], clips.streams["mfcc"], noise)
    torch.testing.assert_close(
        task(clips).logits, task(clips.with_stream("mfcc", other)).logits, rtol=0, atol=0
    )


def test_discriminators_compare_clips_with_both_modalities_only():
    task = build_quiet("lowrank", *IMAGINED, "model.network.modality_dropout=0")
    imagined = task(clips_with_gaps()).imagined
    assert imagined.has_both.tolist() == [True, False, True, False, False, True]
    directions = split_directions(imagined)
    for given, true, fake in directions.values():
        assert len(given) == len(true) == len(fake) == 3
    audio, _, fake = directions["face"]
    torch.testing.assert_close(fake, task.network.imagination.face_from_audio(audio))


def test_a_voice_is_imagined_from_what_is_seen_without_it():
    task = build_quiet("lowrank", *IMAGINED, "model.network.modality_dropout=0").eval()
    clips = toy_clips()
    face_alone = task.train()(clips).imagined.face_alone
    unheard = clips._replace(has_audio=torch.zeros(4, dtype=torch.bool))
    assert torch.equal(task(unheard).imagined.face, face_alone)
    assert not torch.equal(task(clips).imagined.face, face_alone)


def test_a_batch_without_any_pair_costs_nothing():
    task = build_quiet("lowrank", *IMAGINED)
    clips = toy_clips()._replace(has_audio=torch.zeros(4, dtype=torch.bool))
    scores = task(clips)
    assert task.adversarial_loss(scores) == 0 and task.discriminator_loss(scores) == 0


def test_losses_are_weighted_means_over_both_directions():
    weights = ("model.adversarial_weight=0.5", "model.l1_weight=3", "model.smoothing=0.2")
    task = build_quiet("lowrank", *IMAGINED, *weights, "model.network.modality_dropout=0")
    scores = task(toy_clips())
    adversarial = distance = told_apart = 0
    for name, (given, true, fake) in split_directions(scores.imagined).items():
        discriminator = task.discriminators[name]
        of_true, of_fake = (discriminator(torch.cat([given, one], dim=1)) for one in (true, fake))
        adversarial += g_loss(of_fake).item() / 2
        distance += (true - fake).abs().mean().item() / 2
        told_apart += (d_loss_real(of_true, 0.2) + d_loss_fake(of_fake)).item()
    assert task.adversarial_loss(scores).item() == pytest.approx(
        0.5 * adversarial + 3 * distance, rel=1e-5
    )
    assert task.discriminator_loss(scores).item() == pytest.approx(told_apart, rel=1e-5)


@pytest.mark.parametrize("model", NETWORKS)
def test_reversal_gives_encoders_the_opposite_of_the_discriminators_gradient(model):
    task = build_quiet(model, "model/alignment=reversal", "model.alignment_weight=2", *SMALL)
    clips = clips_with_gaps()
    shared = task(clips).shared
    face, audio = (part.detach().requires_grad_() for part in (shared.face, shared.audio))
    discriminator = task.discriminators["modality"]
    joint = d_loss_real(discriminator(face[clips.has_face])) + d_loss_fake(
        discriminator(audio[clips.has_audio])
    )
    joint.backward()
    ours = [part.detach().requires_grad_() for part in (shared.face, shared.audio)]
    scores = task(clips)
    scores = scores._replace(shared=shared._replace(face=ours[0], audio=ours[1]))
    task.adversarial_loss(scores).backward()
    for mine, theirs in zip(ours, (face, audio), strict=True):
        torch.testing.assert_close(mine.grad, -2 * theirs.grad)


def test_alternating_steps_minimize_the_loss_for_exchanged_modalities():
    task = build_quiet("lowrank", "model/alignment=alternating", "model.alignment_weight=1", *SMALL)
    scores = task(clips_with_gaps())
    face, audio = select_present(scores.shared)
    discriminator = task.discriminators["modality"]
    exchanged = d_loss_real(discriminator(audio)) + d_loss_fake(discriminator(face))
    assert task.adversarial_loss(scores).item() == pytest.approx(exchanged.item(), rel=1e-6)
    told = d_loss_real(discriminator(face)) + d_loss_fake(discriminator(audio))
    assert task.discriminator_loss(scores).item() == pytest.approx(told.item(), rel=1e-6)


@pytest.mark.parametrize("method", ["reversal", "alternating"])
@pytest.mark.parametrize("model", NETWORKS)
def test_alignment_reaches_the_encoders_of_both_modalities(model, method):
    task = build_quiet(model, f"model/alignment={method}", *SMALL)
    scores = task(toy_clips())
    task.adversarial_loss(scores).backward()
    parts = {name.split(".")[1] for name in gradients(task)}
    assert {"face_encoder", "audio_encoder"} <= parts and not gradients(task.discriminators)
    task.zero_grad(set_to_none=True)
    task.discriminator_loss(task(toy_clips())).backward()
    assert {name.partition(".")[0] for name in gradients(task)} == {"discriminators"}


@pytest.fixture
def train(party_store):
    def train(*overrides, model="lowrank", **options):
        data = FaceAudioDataModule(str(party_store), batch_size=4)
        torch.manual_seed(0)
        task = build_for(data, model, "scheduler=constant", *overrides)
        trainer = quiet_trainer(**{"max_epochs": 1, "num_sanity_val_steps": 0} | options)
        trainer.fit(task, datamodule=data)
        return task, trainer

    return train


@pytest.mark.parametrize("model", NETWORKS)
def test_both_optimizers_step_in_each_batch_and_the_networks_steps_count(model, train):
    aligned = "model/alignment=alternating"
    _, trainer = train(*IMAGINED, aligned, model=model, limit_train_batches=5)
    assert trainer.global_step == 5
    for optimizer in trainer.optimizers:
        steps = {state["step"].item() for state in optimizer.state.values()}
        assert steps == {5.0}
    assert {f"train/{name}" for name in LOGGED} <= set(trainer.logged_metrics)
    assert 0 <= trainer.logged_metrics["train/d_accuracy"] <= 1


LOGGED = ("d_loss_real", "d_loss_fake", "g_loss", "d_accuracy", "modality_loss", "imagination_l1")


@pytest.mark.slow
def test_gradients_are_added_up_and_the_last_ones_of_an_epoch_are_used(train):
    _, trainer = train(*IMAGINED, "model.accumulate_grad_batches=4")  # six batches
    assert trainer.global_step == 2
    assert trainer.lightning_module.count_steps() == 2


def test_added_gradients_of_small_batches_are_those_of_a_large_one(party_store):
    """One step of four batches of two is that of one batch of eight: gradients are means."""
    exact = ("model.network.modality_dropout=0", "optimizer=sgd", "optimizer.lr=0.1")
    ends = []
    for size, added in ((8, 1), (2, 4)):
        data = FaceAudioDataModule(str(party_store), batch_size=size)
        torch.manual_seed(0)
        task = build_for(
            data, "lowrank", *IMAGINED, *exact, f"model.accumulate_grad_batches={added}"
        )
        options = {"max_steps": 1, "precision": "64-true", "num_sanity_val_steps": 0}
        quiet_trainer(**options).fit(task.double(), datamodule=data)
        ends.append(task.network.state_dict())
    for name, value in ends[0].items():
        torch.testing.assert_close(ends[1][name], value, rtol=0, atol=1e-10)


class Norms(L.Callback):
    """The norm of the gradients with which each optimizer steps."""

    def __init__(self):
        self.norms = {0: [], 1: []}

    def on_train_batch_start(self, trainer, task, *_):
        for number, optimizer in enumerate(trainer.optimizers):
            if not optimizer._optimizer_step_post_hooks:
                optimizer.register_step_post_hook(lambda one, *_, n=number: self.note(n, one))

    def note(self, number, optimizer):
        members = [p for group in optimizer.param_groups for p in group["params"]]
        found = [p.grad for p in members if p.grad is not None]
        self.norms[number].append(torch.nn.utils.get_total_norm(found).item())


def test_the_gradients_of_both_are_clipped_each_at_its_own_norm(train):
    spy = Norms()
    limits = ("model.gradient_clip_val=0.01", "model.discriminator_clip_val=0.002")
    train(*IMAGINED, *limits, callbacks=[spy])
    assert spy.norms[0] == pytest.approx([0.01] * 6, rel=1e-3)
    assert spy.norms[1] == pytest.approx([0.002] * 6, rel=1e-3)


@pytest.mark.slow
def test_steps_that_a_training_is_limited_to_are_those_of_the_network(train):
    _, trainer = train(*IMAGINED, max_epochs=3, max_steps=8)
    assert trainer.global_step == 8


@pytest.mark.slow
def test_a_penalty_on_the_discriminators_gradient_and_spectral_norm_train(train):
    options = ("model.r1_weight=1", "model.discriminator.spectral_norm=true")
    task, _ = train(*IMAGINED, *options, "model.network.missing.noise_dim=4")
    assert all(value.isfinite().all() for value in task.state_dict().values())


def test_the_checkpoint_of_an_adversarial_training_is_that_of_a_network_and_discriminators():
    task = build("lowrank", *IMAGINED)
    plain = build("lowrank", *SMALL)
    ours, theirs = set(task.state_dict()), set(plain.state_dict())
    extra = {name.split(".")[0] + "." + name.split(".")[1] for name in ours - theirs}
    assert extra == {
        "discriminators.face",
        "discriminators.audio",
        "network.imagination",
        "network.no_audio",
    }


@pytest.mark.parametrize("model", ["audio_only", "face_only", "uniform"])
def test_one_modality_has_nothing_to_imagine_from(model):
    if model == "uniform":
        assert build(model, *IMAGINED).network.missing == "imagined"
        return
    with pytest.raises((ValueError, InstantiationException), match="reads both modalities"):
        build(model, "model/missing=imagined")


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("model.smoothing=0.5", r"smoothing must lie in \[0, 0.5\)"),
        ("model.discriminator_lr=0", "model.discriminator_lr must be positive and finite, got 0"),
        ("model.network.missing=none", "must be zeros, learned or imagined, got 'none'"),
    ],
)
def test_wrong_values_are_refused(override, sentence):
    with pytest.raises((ValueError, InstantiationException), match=sentence):
        build("lowrank", "model/missing=imagined", override)


def test_a_task_without_an_adversary_is_refused():
    with pytest.raises(ValueError, match="nothing to learn against"):
        build("lowrank", "model/alignment=reversal", "model.alignment=null")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("choice", "name"), [("auto", "zeros"), ("zeros", "zeros"), ("learned", "learned")]
)
@pytest.mark.parametrize("model", [*NETWORKS, "audio_only", "face_only", "lenet"])
def test_plain_substitutes_are_learned_as_any_other_network(model, choice, name):
    task = build(model, f"model/missing={choice}", *SMALL * (model not in ("face_only", "lenet")))
    assert type(task) is FusionTask and task.network.missing == name
    learned = [key for key, _ in task.named_parameters() if "network.no_" in key]
    assert bool(learned) == (name == "learned")


def test_modality_dropout_alone_learns_the_vectors():
    task = build("lowrank", "model.network.modality_dropout=0.1")
    assert task.network.missing == "learned"
    zeros = build("lowrank", "model.network.modality_dropout=0.1", "model/missing=zeros")
    assert zeros.network.missing == "zeros" and not any(zeros.network.no_face.parameters())


def test_the_widths_of_discriminators_are_those_of_what_they_compare():
    network = build("lowrank", *IMAGINED).network
    width = network.attention.face_dim + network.audio_encoder.vector_dim
    task = build("lowrank", *IMAGINED, "model.discriminator.hidden_dim=5")
    for name in ("face", "audio"):
        discriminator = task.discriminators[name]
        assert isinstance(discriminator, Discriminator) and discriminator.hidden[
            0
        ].weight.shape == (5, width)
    cfg = load("train", "model/missing=imagined")
    assert cfg.model.gradient_clip_val == cfg.trainer.gradient_clip_val


@pytest.mark.slow
def test_generators_and_discriminators_are_counted_apart(party_store):
    data = FaceAudioDataModule(str(party_store), batch_size=4)
    sizes = ("model.network.missing.num_layers=1", "model.discriminator.num_layers=1")
    task = build_for(data, "lowrank", *IMAGINED, *sizes, "model.discriminator.hidden_dim=3")
    face, audio = task.network.attention.face_dim, task.network.audio_encoder.vector_dim
    costs = measure_costs(task, data)
    to_face = (audio + 1) * 8 + (8 + 1) * face
    to_audio = (face + 1) * 8 + (8 + 1) * audio
    assert costs["parameters_of_generators"] == to_face + to_audio
    assert costs["parameters_of_discriminators"] == 2 * ((face + audio + 1) * 3 + 3 + 1)
    plain = measure_costs(build_for(data, "lowrank", *SMALL), data)
    learned = audio  # the query of the glimpses where there is no voice
    assert costs["parameters"] == plain["parameters"] + to_face + to_audio + learned


def test_clipping_and_accumulation_of_the_trainer_are_done_by_the_task():
    keys = ("trainer.gradient_clip_val=0.3", "trainer.accumulate_grad_batches=3")
    settings = pop_task_settings(load("train", "model/missing=imagined", *keys))
    assert settings == {"gradient_clip_val": None, "accumulate_grad_batches": 1}
    task = build("lowrank", *IMAGINED, *keys)
    assert task.clip_values[0] == 0.3 and task.accumulate_grad_batches == 3
    assert pop_task_settings(load("train", *keys)) == {}
    assert pop_task_settings(load("eval")) == {}


@pytest.mark.slow
def test_it_trains_in_bfloat16(train):
    task, trainer = train(*IMAGINED, "model/alignment=reversal", precision="bf16-mixed")
    assert trainer.global_step == 6
    assert all(value.isfinite().all() for value in task.state_dict().values())
