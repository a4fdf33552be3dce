"""Claims about the first number that is not finite."""

import lightning as L
import pytest
import torch
from conftest import build_for, quiet_trainer

from avfusion.callbacks import FiniteNumbers
from avfusion.callbacks.finite_numbers import NotFiniteError, _are_finite
from avfusion.data.datamodule import FaceAudioDataModule


class Poison(L.Callback):
    """Let one part of a network give NaN from a step on, counted from 1."""

    def __init__(self, part: str, step: int, where: str = "output") -> None:
        self.part, self.step, self.where = part, step, where

    def on_fit_start(self, trainer, task) -> None:
        def due() -> bool:
            return trainer.global_step + 1 >= self.step and trainer.training

        def output(module, given, output):
            if not due():
                return None
            if isinstance(output, tuple):
                return (output[0] * torch.nan, *output[1:])
            return output * torch.nan

        def gradient(gradient):
            return gradient * torch.inf if due() else gradient

        module = task.get_submodule(self.part)
        if self.where == "output":
            module.register_forward_hook(output)
        elif self.where == "gradient":
            next(module.parameters()).register_hook(gradient)
        elif self.where == "validation":
            module.register_forward_hook(
                lambda module, given, output: None if trainer.training else output / 0
            )

    def on_train_batch_start(self, trainer, task, batch, batch_idx) -> None:
        if self.where == "input" and trainer.global_step + 1 == self.step:
            batch.streams["mfcc"][1, 0, 0] = torch.inf

    def on_train_batch_end(self, trainer, task, *_) -> None:
        if self.where == "update" and trainer.global_step == self.step:
            with torch.no_grad():
                next(task.get_submodule(self.part).parameters())[0] = torch.nan


def failure(store, *choices: str, poison: Poison | None = None, **options) -> NotFiniteError:
    """Train until it fails."""
    data = FaceAudioDataModule(str(store), batch_size=8)
    task = build_for(data, "concat", *choices)
    kept = [*([poison] if poison else []), FiniteNumbers()]
    trainer = quiet_trainer(callbacks=kept, max_epochs=2, num_sanity_val_steps=0, **options)
    with pytest.raises(NotFiniteError) as end:
        trainer.fit(task, datamodule=data)
    return end.value


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "step", "where", "what"),
    [
        ("face_encoder.layers.3", 4, "output", "the output of face_encoder.layers.3"),
        ("audio_encoder.upper", 1, "output", "the output of audio_encoder.upper"),
        ("head", 2, "output", "the output of head"),
        ("audio_encoder.lower", 5, "gradient", "the gradient of the weight_ih_l0 of audio_"),
        ("face_encoder.layers.2", 3, "gradient", "the gradient of the weight of face_encoder.l"),
    ],
)
def test_step_and_part_are_those_where_it_appeared(part, step, where, what, party_store):
    end = failure(party_store, poison=Poison(f"network.{part}", step, where), gradient_clip_val=1.0)
    assert (end.step, end.epoch, end.part) == (step, (step - 1) // 3, part)
    assert f"failed at step {step} (epoch {1 + (step - 1) // 3}): {what}" in str(end)


@pytest.mark.slow
def test_a_loss_of_finite_scores_is_named_as_such(party_store):
    end = failure(party_store, poison=Poison("loss", 2))
    assert (end.step, end.part, end.what) == (2, "loss", "the loss")


@pytest.mark.slow
def test_what_is_not_finite_in_the_clips_is_named_with_them(party_store):
    end = failure(party_store, poison=Poison("network", 2, "input"))
    assert (end.step, end.part) == (2, "input") and "mfcc of the clips in rows" in str(end)


@pytest.mark.parametrize("step", [2, 3], ids=["within an epoch", "at its end"])
def test_parameters_that_an_update_left_not_finite_are_named_with_its_step(step, party_store):
    end = failure(party_store, poison=Poison("network.fusion", step, "update"))
    assert (end.step, end.epoch) == (step, 0)
    assert end.part.startswith("fusion") and end.what.endswith("as updated,")


def test_no_checkpoint_takes_parameters_that_are_not_finite(party_store, tmp_path):
    class Save(Poison):
        def on_train_batch_end(self, trainer, task, *args) -> None:
            super().on_train_batch_end(trainer, task, *args)
            trainer.save_checkpoint(tmp_path / f"{trainer.global_step}.ckpt")

    end = failure(party_store, poison=Save("network.fusion", 2, "update"))
    assert end.step == 2 and [file.name for file in tmp_path.iterdir()] == ["1.ckpt"]


def test_what_one_process_has_found_waits_for_the_step_of_all_before_a_validation(party_store):
    data = FaceAudioDataModule(str(party_store), batch_size=8)
    task, check, met = build_for(data, "concat"), FiniteNumbers(), []
    check.found = NotFiniteError(1, 0, "loss", "the loss")
    check.end_together = met.append  # where processes wait for each other
    check.check_parameters(quiet_trainer(max_epochs=1), task)
    assert not met
    with torch.no_grad():
        next(task.network.fusion.parameters())[0] = torch.nan
    check.check_parameters(quiet_trainer(max_epochs=1), task)
    assert len(met) == 1 and check.found.part.startswith("fusion")


def test_a_later_batch_of_added_gradients_belongs_to_the_same_step(party_store):
    end = failure(party_store, poison=Poison("network.head", 2), accumulate_grad_batches=2)
    assert (end.step, end.part) == (2, "head")


def test_validation_counts_too(party_store):
    end = failure(party_store, poison=Poison("network.head", 9, "validation"))
    assert (end.step, end.part) == (3, "head") and "in validation, the" in str(end)


@pytest.mark.slow
def test_a_finite_training_is_not_changed(party_store):
    weights = []
    for kept in ([], [FiniteNumbers()]):
        data = FaceAudioDataModule(str(party_store), batch_size=8)
        torch.manual_seed(1)
        task = build_for(data, "concat", "model.network.head.dropout=0.5")
        trainer = quiet_trainer(callbacks=kept, max_epochs=1, num_sanity_val_steps=0)
        trainer.fit(task, datamodule=data)
        weights.append(task.state_dict())
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0])


def test_a_scaler_leaves_out_steps_whose_gradients_overflow(party_store, monkeypatch):
    data = FaceAudioDataModule(str(party_store), batch_size=8)
    task = build_for(data, "concat")
    check, trainer = FiniteNumbers(), quiet_trainer(max_epochs=1)
    task.network.head.logits.bias.grad = torch.full((8,), torch.inf)
    monkeypatch.setattr(trainer.precision_plugin, "scaler", object(), raising=False)
    check.on_before_optimizer_step(trainer, task, torch.optim.SGD(task.parameters(), lr=1.0))
    assert check.found is None


def test_large_numbers_are_finite():
    assert _are_finite([torch.full((3,), 3e38)]) and _are_finite([])
    assert not _are_finite([torch.zeros(2), torch.tensor([0.0, torch.nan])])
    assert not _are_finite([torch.tensor(-torch.inf)])
