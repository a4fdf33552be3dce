import pytest
import torch
import torch.nn.functional as F
from conftest import build, build_for, build_task, load, quiet_trainer, toy_clips

from avfusion.checkpoint import Recipe
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.models.attention.entropy import mean_entropy
from avfusion.run.restore import build_from_recipe

OVERALL = {"loss", "accuracy", "balanced_accuracy", "macro_f1", "attention_hit", "attention_mass"}
NO_AUXILIARY_LOSS = ("model.single_glimpses=0", "model.glimpse_entropy=0")


@pytest.fixture
def data(party_store):
    return FaceAudioDataModule(str(party_store), batch_size=8)


def task_for(data, *overrides):
    return build_for(data, "lowrank", *overrides)


def test_logs_every_score_of_a_stage_under_its_name(data):
    task, trainer = task_for(data), quiet_trainer(max_epochs=1, num_sanity_val_steps=0)
    trainer.fit(task, datamodule=data)
    names = set(trainer.callback_metrics)
    assert names >= {f"{stage}/{name}" for stage in ("train", "val") for name in OVERALL}
    trainer.test(task, datamodule=data, verbose=False)
    assert set(trainer.callback_metrics) >= {f"test/{name}" for name in OVERALL}


def test_logged_scores_are_those_of_the_whole_split(data):
    task, trainer = task_for(data), quiet_trainer()
    (scores,) = trainer.test(task, datamodule=data, verbose=False)
    batches = list(data.test_dataloader())
    logits, labels = [], []
    for batch in batches:
        clips = batch.with_floats()
        logits.append(task.eval()(clips).logits.detach())
        labels.append(clips.label)
    logits, labels = torch.cat(logits), torch.cat(labels)
    assert len(batches) > 1
    right = (logits.argmax(dim=1) == labels).float().mean().item()
    assert scores["test/accuracy"] == pytest.approx(right)
    probability = logits.softmax(dim=1)[torch.arange(len(labels)), labels]
    assert scores["test/loss"] == pytest.approx(-probability.log().mean().item(), rel=1e-4)


def test_one_training_step_is_one_step_of_its_optimizer(data):
    task = task_for(data, "scheduler=constant", "optimizer.lr=1e-3", *NO_AUXILIARY_LOSS)
    other = task_for(data)
    other.load_state_dict(task.state_dict())
    trainer = quiet_trainer(max_steps=1, limit_val_batches=0)
    trainer.fit(task, datamodule=data)
    batch = next(iter(data.train_dataloader()))
    clips = batch.with_floats()
    other.loss(other(clips).logits, clips.label).backward()
    of_voice = {id(parameter) for parameter in other.network.audio_encoder.parameters()}
    optimizer = torch.optim.AdamW(
        [
            {
                "params": [parameter],
                "weight_decay": 0.01 if parameter.ndim > 1 else 0,
                "lr": 0.25e-3 if id(parameter) in of_voice else 1e-3,
            }
            for parameter in other.parameters()
        ]
    )
    optimizer.step()
    for (name, ours), theirs in zip(task.named_parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5, msg=name)


def test_biases_and_gains_do_not_decay_and_everything_is_learned(data):
    task, trainer = task_for(data), quiet_trainer(max_steps=1, limit_val_batches=0)
    trainer.fit(task, datamodule=data)
    groups = trainer.optimizers[0].param_groups
    assert {group["weight_decay"] for group in groups} == {0.01, 0}
    decay = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    still = {id(p) for group in groups if not group["weight_decay"] for p in group["params"]}
    for name, parameter in task.named_parameters():
        vector = "bias" in name or (".layers." in name and parameter.ndim == 1)
        assert (id(parameter) in still, id(parameter) in decay) == (vector, not vector), name


def test_frozen_parameters_are_in_no_parameter_group(data):
    task, trainer = task_for(data), quiet_trainer(max_steps=1, limit_val_batches=0)
    task.network.face_encoder.requires_grad_(False)
    before = [parameter.clone() for parameter in task.network.face_encoder.parameters()]
    trainer.fit(task, datamodule=data)
    learning = sum(len(group["params"]) for group in trainer.optimizers[0].param_groups)
    assert learning == len(list(task.parameters())) - len(before)
    after = task.network.face_encoder.parameters()
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_the_schedule_moves_by_step_and_ends_with_the_training(data):
    task = task_for(data, "scheduler.warmup=0")
    trainer = quiet_trainer(max_epochs=2, limit_val_batches=0)
    trainer.fit(task, datamodule=data)
    assert trainer.global_step == 6
    assert trainer.optimizers[0].param_groups[0]["lr"] == pytest.approx(0, abs=1e-12)


def test_checkpoints_say_how_to_rebuild_the_task(data, tmp_path):
    trainer = quiet_trainer(max_steps=1, limit_val_batches=0)
    task = build_task(load("train"), data.description, recorded=True)
    trainer.fit(task, datamodule=data)
    trainer.save_checkpoint(tmp_path / "a.ckpt")
    recipe = torch.load(tmp_path / "a.ckpt", weights_only=True)["recipe"]
    assert Recipe(**recipe) == task.recipe
    again = build_from_recipe(recipe)
    assert again.recipe == task.recipe and again.state_dict().keys() == task.state_dict().keys()


def test_predicts_rows_probabilities_and_glimpses():
    task, clips = build("lowrank").eval(), toy_clips(4)
    rows, probabilities, glimpses = task.predict_step(clips, 0)
    assert rows.tolist() == [0, 1, 2, 3] and torch.equal(glimpses, task(clips).glimpses)
    torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(4))
    exponential = task(clips).logits.exp()
    torch.testing.assert_close(probabilities, exponential / exponential.sum(dim=1, keepdim=True))


def test_lr_scales_of_model_and_optimizer_multiply():
    task = build("lowrank", "+model.lr_scale.fusion=0.25", "optimizer.lr_scale={fusion: 0.5}")
    optimizer, _ = task.build_optimizer(100)
    names = {id(weight): name for name, weight in task.network.named_parameters()}
    for group in optimizer.param_groups:
        for weight in group["params"]:
            part = names[id(weight)].partition(".")[0]
            factor = {"fusion": 0.25 * 0.5, "audio_encoder": 0.25}.get(part, 1.0)
            assert group["initial_lr"] == pytest.approx(4e-3 * factor)


def test_evaluates_without_optimizer_and_schedule():
    task = build("lowrank", "model.optimizer=null", "model.scheduler=null")
    assert task.optimizer is None
    assert task(toy_clips(2)).logits.shape == (2, 3)


@pytest.mark.slow
@pytest.mark.parametrize("weight", [0.5, -0.5])
def test_the_entropy_of_the_glimpses_counts_in_training_and_not_in_the_scores(data, weight):
    plain, narrow = (
        build("lowrank", "model.single_glimpses=0", f"model.glimpse_entropy={w}")
        for w in (0.0, weight)
    )
    narrow.load_state_dict(plain.state_dict())
    clips = toy_clips(4)
    glimpses = plain(clips).glimpses.flatten(2).double()
    expected = -(glimpses * glimpses.log()).sum(dim=-1).mean().item()
    losses = [task.step(clips, task.train_metrics)[0].item() for task in (plain, narrow)]
    assert losses[1] - losses[0] == pytest.approx(weight * expected, rel=1e-4)
    scores = [task.train_metrics.compute()["train/loss"].item() for task in (plain, narrow)]
    assert scores[0] == scores[1] == pytest.approx(losses[0])


def test_single_glimpses_count_in_training_and_not_in_the_scores(data):
    task, clips = (
        build("lowrank", "model.single_glimpses=0.5", "model.glimpse_entropy=0"),
        toy_clips(4),
    )
    scores = task(clips)
    own = F.cross_entropy(scores.logits, clips.label)
    alone = [F.cross_entropy(logits, clips.label) for logits in scores.single]
    minimized, _ = task.step(clips, task.train_metrics)
    torch.testing.assert_close(minimized, own + 0.5 * (alone[0] + alone[1]) / 2)
    assert task.train_metrics.compute()["train/loss"].item() == pytest.approx(own.item())
    validated, _ = task.eval().step(clips, task.val_metrics)
    torch.testing.assert_close(validated, F.cross_entropy(task(clips).logits, clips.label))


@pytest.mark.slow
def test_a_penalty_of_entropy_narrows_the_glimpses():
    task, clips = build("lowrank", "model.glimpse_entropy=1.0"), toy_clips(4)
    before = mean_entropy(task(clips).glimpses).item()
    optimizer = torch.optim.Adam(task.parameters(), lr=1e-3)
    for _ in range(20):
        optimizer.zero_grad()
        task.step(clips, task.train_metrics)[0].backward()
        optimizer.step()
    assert mean_entropy(task(clips).glimpses).item() < 0.8 * before
