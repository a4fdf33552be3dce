"""Claims about gradients that are modulated by how far one modality is ahead."""

import logging

import lightning as L
import numpy as np
import pytest
import torch
from conftest import SHARED, build, build_for, quiet_trainer, toy_clips
from lightning.pytorch.plugins import MixedPrecision
from torch import nn

from avfusion.callbacks.ogm_ge import (
    OGMGE,
    compute_coefficients,
    find_unimodal_parameters,
    score_modalities,
    true_probability,
)
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.models.networks.scores import Scores
from avfusion.targets import MultiLabel, SingleLabel
from avfusion.targets.continuous import Continuous

PLAIN = ("model.single_glimpses=0", "model.glimpse_entropy=0", "scheduler=constant")
REFERENCE = SHARED / "reference" / "ogm_coeff.npz"


class Kept(L.Callback):
    """Keep the gradients of both encoders, as one vector each, at every step."""

    def __init__(self):
        self.gradients = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        network = pl_module.network
        encoders = (network.face_encoder, network.audio_encoder)
        flat = [torch.cat([p.grad.flatten() for p in e.parameters()]) for e in encoders]
        self.gradients.append([one.clone() for one in flat])


class Linear(nn.Module):
    """A linear map of two vectors: face @ A + voice @ B + bias."""

    def __init__(self):
        super().__init__()
        self.face, self.audio = nn.Linear(75, 3), nn.Linear(75, 3, bias=False)
        self.dropout = nn.Dropout(0.5)

    def forward(self, clips):
        face = clips.streams["mfcc"][:, 0] * clips.has_face[:, None]
        audio = clips.streams["mfcc"][:, 1] * clips.has_audio[:, None]
        return Scores(self.dropout(self.face(face) + self.audio(audio)), None)


@pytest.fixture
def data(party_store):
    return FaceAudioDataModule(str(party_store), batch_size=8)


def fit(data, *callbacks, model="lowrank", **options):
    torch.manual_seed(0)
    task = build_for(data, model, "optimizer=momentum", "optimizer.lr=1e-4", *PLAIN)
    options = {"max_steps": 2, "limit_val_batches": 0} | options
    quiet_trainer(callbacks=[*callbacks], **options).fit(task, data)
    return task


def target_of(kind, names=("a", "b", "c")):
    return kind({"output_names": list(names)})


def test_the_modality_that_is_ahead_is_slowed_down_by_one_less_tanh():
    """By hand: scores 3 and 1.5 have the ratio 2, and 1 - tanh(0.5 * 2) is 0.2384058."""
    three, half = torch.tensor(3.0, dtype=torch.double), torch.tensor(1.5, dtype=torch.double)
    face, audio = compute_coefficients(three, half, alpha=0.5)
    assert (face.item(), audio.item()) == (pytest.approx(0.2384058440), 1)
    assert [one.item() for one in compute_coefficients(half, three, 0.5)] == [1, face.item()]
    assert [one.item() for one in compute_coefficients(half, half, 0.5)] == [1, 1]
    assert [one.item() for one in compute_coefficients(half, 0 * half, 0.5)] == [1, 1]


@pytest.mark.skipif(not REFERENCE.is_file(), reason="numbers of published operators are not here")
def test_scores_and_coefficients_are_those_of_the_authors():
    given = np.load(REFERENCE)
    cases = sorted({name.partition(".")[0] for name in given})
    target = target_of(SingleLabel, "abcdef")
    for case in cases:
        label = torch.from_numpy(given[f"{case}.label"])
        scores = {}
        for kind in "av":
            outputs = torch.from_numpy(given[f"{case}.logits_{kind}"])
            scores[kind] = true_probability(target, outputs, label).double().sum()
            assert scores[kind].item() == pytest.approx(given[f"{case}.score_{kind}"].item(), 1e-6)
        exact = [torch.tensor(given[f"{case}.score_{kind}"]) for kind in "va"]
        ours = compute_coefficients(*exact, float(given[f"{case}.alpha"]))
        theirs = [given[f"{case}.coeff_{kind}"].item() for kind in "va"]
        assert [one.item() for one in ours] == pytest.approx(theirs, rel=1e-10)
    assert len(cases) == 5


def test_the_share_of_a_modality_in_a_linear_map_is_its_product_and_half_the_bias():
    network, clips = Linear().train(), toy_clips(6)
    clips = clips._replace(has_audio=torch.arange(6) > 0)  # the first one does not count
    before = torch.get_rng_state()
    found = score_modalities(network, target_of(SingleLabel), clips)
    assert network.training and torch.equal(torch.get_rng_state(), before)
    bias = network.face.bias / 2
    face = clips.streams["mfcc"][:, 0] @ network.face.weight.T + bias
    audio = clips.streams["mfcc"][:, 1] @ network.audio.weight.T + bias
    for score, outputs in zip(found, (face, audio), strict=True):
        own = outputs.softmax(dim=1)[torch.arange(6), clips.label][1:].sum()
        torch.testing.assert_close(score, own)


def test_of_several_classes_the_score_is_the_mean_probability_of_true_decisions():
    """By hand: logits ln 3 and 0 are probabilities 3/4 and 1/2; one decision is unknown."""
    outputs = torch.tensor([[3.0, 1.0, 1.0]]).log()
    label = torch.tensor([[0, 1, -1]])
    found = true_probability(target_of(MultiLabel), outputs, label)
    assert found.item() == pytest.approx((1 / 4 + 1 / 2) / 2)


def test_gradients_of_the_encoder_that_is_ahead_shrink_by_its_coefficient(data):
    plain, modulated = Kept(), Kept()
    fit(data, plain, max_steps=1)
    ogm = OGMGE(alpha=0.5, noise=False)
    fit(data, ogm, modulated, max_steps=1)
    torch.manual_seed(0)
    task = build_for(data, "lowrank")
    clips = next(iter(data.train_dataloader())).with_floats()
    scores = score_modalities(task.network, task.target, clips).double()
    expected = compute_coefficients(scores[0], scores[1], 0.5)
    assert min(expected) < 1 == max(expected)
    for before, after, coefficient in zip(
        plain.gradients[0], modulated.gradients[0], expected, strict=True
    ):
        torch.testing.assert_close(after, before * coefficient.float(), rtol=1e-5, atol=1e-9)


def test_scores_add_up_over_batches_whose_gradients_do(data):
    whole, parts = Kept(), Kept()
    data.batch_size = 24
    fit(data, OGMGE(noise=False), whole, max_steps=1)
    data.batch_size = 8
    fit(data, OGMGE(noise=False), parts, max_steps=1, accumulate_grad_batches=3)
    for one, other in zip(whole.gradients[0], parts.gradients[0], strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_gradients_are_modulated_once_they_are_no_longer_scaled(data):
    """Noise has the deviation of the gradient itself, not of 1,024 times as much."""
    scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
    plain, scaled = Kept(), Kept()
    fit(data, OGMGE(), plain, max_steps=1)
    half = MixedPrecision("16-mixed", "cpu", scaler=scaler)
    fit(data, OGMGE(), scaled, max_steps=1, plugins=[half])
    for one, other in zip(plain.gradients[0], scaled.gradients[0], strict=True):
        assert other.std().item() == pytest.approx(one.std().item(), rel=0.1)


def test_noise_has_the_deviation_of_each_gradient_and_is_drawn_by_seed_and_step_alone():
    gradients = [torch.randn(200, 100) * 3 for _ in range(2)]
    ogm = OGMGE()
    for given in (gradients[0].clone(), gradients[0].clone() + 0):
        torch.rand(1)  # other random numbers of a process do not matter
        noisy = given.clone()
        generator = torch.Generator().manual_seed(5)
        ogm.modulate(noisy, torch.tensor(0.25), generator)
        noise = noisy - 0.25 * given
        assert noise.std().item() == pytest.approx(given.std().item(), rel=0.02)
        gradients.append(noise)
    assert torch.equal(gradients[2], gradients[3])
    one = torch.tensor([2.0])
    ogm.modulate(one, torch.tensor(0.5), torch.Generator())
    assert one.item() == 1  # a single number has no deviation


@pytest.mark.slow
def test_epochs_outside_the_first_and_the_last_are_left_alone(data):
    plain, modulated = Kept(), Kept()
    short = {"max_epochs": 3, "max_steps": -1, "limit_train_batches": 1}
    fit(data, plain, **short)
    fit(data, OGMGE(first_epoch=1, last_epoch=1), modulated, **short)
    same = [
        all(torch.equal(a, b) for a, b in zip(one, other, strict=True))
        for one, other in zip(plain.gradients[:2], modulated.gradients[:2], strict=True)
    ]
    assert same == [True, False]
    assert len(modulated.gradients) == 3


@pytest.mark.parametrize(("optimizer", "warns"), [("adamw", True), ("momentum", False)])
def test_a_factor_that_the_optimizer_cancels_is_warned_of(data, optimizer, warns, caplog):
    task = build_for(data, "lowrank", f"optimizer={optimizer}")
    with caplog.at_level(logging.WARNING):
        quiet_trainer(callbacks=[OGMGE()], max_steps=1, limit_val_batches=0).fit(task, data)
    assert ("a constant factor cancels" in caplog.text) == warns


def test_of_stored_maps_the_layers_that_read_nothing_else_are_modulated():
    task, clips = build("lowrank", "model/face_encoder=precomputed"), toy_clips(4)
    found = find_unimodal_parameters(task.network, clips)
    named = {id(p): name for name, p in task.network.named_parameters()}
    assert {named[id(p)].partition(".")[0] for p in found["face"]} == {"attention"}
    assert {id(p) for p in found["audio"]} == {
        id(p) for p in task.network.audio_encoder.parameters()
    }


@pytest.mark.parametrize(("model", "missing"), [("face_only", "audio"), ("audio_only", "face")])
def test_a_network_of_one_modality_is_refused(data, model, missing):
    with pytest.raises(ValueError, match=f"nothing that .* learns reads the {missing} alone"):
        OGMGE().check(build_for(data, model), data)


def test_numbers_have_no_probability_and_are_refused(data):
    task = build("lowrank", "loss=mse", labels="continuous")
    assert isinstance(task.target, Continuous)
    with pytest.raises(ValueError, match="these clips have numbers: choose another remedy"):
        OGMGE().check(task, data)
    with pytest.raises(ValueError, match="last_epoch=1 comes before first_epoch=2"):
        OGMGE(first_epoch=2, last_epoch=1)


def test_what_a_network_learns_of_each_modality_is_found_on_clips_of_both_in_its_precision(
    data, monkeypatch
):
    given = []

    def find(network, clips):
        given.append(clips)
        return {"face": [nn.Parameter()], "audio": [nn.Parameter()]}

    monkeypatch.setattr("avfusion.callbacks.ogm_ge.find_unimodal_parameters", find)
    store, rows = data.store, data.splits.rows("train")
    has_face = store.has_face.copy()
    has_face[rows[:9]] = False
    monkeypatch.setattr(store, "has_face", has_face)
    OGMGE().check(build_for(data, "lowrank").to(torch.bfloat16), data)
    assert given[0].row.tolist() == rows[9:17].tolist()
    assert {one.dtype for one in given[0].streams.values()} == {torch.bfloat16}


def test_clips_without_one_of_the_modalities_are_refused(data):
    with pytest.raises(ValueError, match=r"no training clip of .* has both: leave it out"):
        OGMGE().check(build_for(data, "lowrank"), data.without("face"))
