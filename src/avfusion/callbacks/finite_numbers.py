"""Detection of NaN and infinity: the step and the part of the network where they first appear."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import lightning as L
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from avfusion.callbacks.checkpoints import is_training
from avfusion.callbacks.resume import gather_objects
from avfusion.data.batch import Clips
from avfusion.training.task import FusionTask


class NotFiniteError(ArithmeticError):
    """A training has come to a number that is not finite.

    ``step`` counts optimizer steps from 1, ``part`` is the path of a module of the network, or
    ``loss``, or ``input``, and ``what`` says which of its numbers: an output, a gradient, a
    parameter.
    """

    def __init__(self, step: int, epoch: int, part: str, what: str) -> None:
        self.step, self.epoch, self.part, self.what = step, epoch, part, what
        super().__init__(
            f"Training failed at step {step} (epoch {epoch + 1}): {what} is not finite, the first "
            "such number. Lower optimizer.lr or trainer.gradient_clip_val, or choose another "
            "trainer.precision; a checkpoint from before can be resumed."
        )


class FiniteNumbers(L.Callback):
    """End a training with ``NotFiniteError`` where loss, gradient or parameter first is NaN or inf.

    Each step is checked as a whole, by the loss and the norm of the gradients; only where one of
    them is not finite, the part is looked for, by computing the batch again with the same random
    numbers. Parameters are looked at where the next loss is not finite, and before validations,
    checkpoints and the end of an epoch: at each step it took as long as the clipping of gradients.
    Gradients that overflow are no failure with ``16-mixed``, whose scaler leaves out such steps.
    All processes of DDP end together.
    """

    def __init__(self) -> None:
        self.clips: Clips | None = None
        self.generators: list[Tensor] = []
        self.found: NotFiniteError | None = None

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Clips, batch_idx: int
    ) -> None:
        """Keep what is needed to compute a batch again."""
        self.clips, self.generators = batch, _random_states(pl_module.device)

    def on_before_backward(
        self, trainer: L.Trainer, pl_module: L.LightningModule, loss: Tensor
    ) -> None:
        """Check the loss; it is not finite, too, where the last step has spoiled a parameter."""
        if self.found is None and not loss.isfinite().all():
            self.found = _find_parameter(trainer, pl_module)
            if self.found is None:
                assert self.clips is not None and isinstance(pl_module, FusionTask)
                with self.recompute(trainer, pl_module):
                    where = _find_part(pl_module, self.clips)
                step = trainer.global_step + 1
                self.found = NotFiniteError(step, trainer.current_epoch, *where)
            if trainer.world_size == 1:  # others would wait for this one in vain
                raise self.found

    def on_before_optimizer_step(
        self, trainer: L.Trainer, pl_module: L.LightningModule, optimizer: Optimizer
    ) -> None:
        """Check the gradients, before they are clipped.

        What a process has found in its loss comes first: gradients are those of all.
        """
        self.end_together(trainer)
        scaled = getattr(trainer.precision_plugin, "scaler", None) is not None
        changed = [p for group in optimizer.param_groups for p in group["params"]]
        gradients = [p.grad for p in changed if p.grad is not None]
        if self.found is None and not scaled and not _are_finite(gradients):
            assert self.clips is not None and isinstance(pl_module, FusionTask)
            with self.recompute(trainer, pl_module):
                found: tuple[str, str] | None = _find_part(pl_module, self.clips, in_loss=False)
                if found is not None and found[0] == "loss":
                    found = _find_gradient(pl_module, self.clips)
            if found is not None:
                step = trainer.global_step + 1
                self.found = NotFiniteError(step, trainer.current_epoch, *found)
            self.end_together(trainer)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check the parameters that are to be validated."""
        if is_training(trainer):
            self.check_parameters(trainer, pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check the parameters at the end of an epoch without validation."""
        self.check_parameters(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Check the parameters before they take the place of good ones."""
        self.check_parameters(trainer, pl_module)

    def check_parameters(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """End where a parameter is not finite; they are the same in all processes.

        What one process alone has found in its loss waits for the step, where all of them meet.
        """
        found = _find_parameter(trainer, task)
        if found is not None:
            self.found = found
            self.end_together(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Check the loss of validation, where layers may behave in another way."""
        loss = trainer.callback_metrics.get("val/loss")
        if not is_training(trainer) or loss is None or bool(loss.isfinite()):
            return
        assert isinstance(pl_module, FusionTask)
        part, what = "loss", "the loss of validation"

        with torch.no_grad(), trainer.precision_plugin.forward_context():
            for clips in _validation_batches(trainer, pl_module):
                part, what = _find_part(pl_module, clips)
                loss = pl_module.loss(pl_module(clips).logits, clips.label)
                if part != "loss" or _is_not_finite(loss):
                    break

        what = f"in validation, {what}"
        self.found = NotFiniteError(trainer.global_step, trainer.current_epoch, part, what)
        self.end_together(trainer)

    @contextmanager
    def recompute(self, trainer: L.Trainer, task: L.LightningModule) -> Iterator[None]:
        """Compute in the precision of training, and with the random numbers of this batch."""
        with (
            _with_random_states(self.generators, task.device),
            trainer.precision_plugin.forward_context(),
        ):
            yield

    def end_together(self, trainer: L.Trainer) -> None:
        """End all processes where one of them has found something."""
        if not trainer.strategy.reduce_boolean_decision(self.found is not None, all=False):
            return
        found = self.found
        mine = found and (found.step, found.epoch, found.part, found.what)
        told = [one for one in gather_objects(mine) if one]
        raise NotFiniteError(
            *min(told, key=lambda one: (one[2] == "loss", one))
        )  # a part says more


def _are_finite(tensors: list[Tensor]) -> bool:
    """Whether all numbers are finite; a norm may be infinite where they are only large."""
    if not tensors or bool(nn.utils.get_total_norm(tensors).isfinite()):
        return True
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def _is_not_finite(value: Any, masks: bool = False) -> bool:
    """Whether tensors, in tuples or alone, hold NaN or infinity; ``masks`` may hold -inf."""
    if isinstance(value, tuple | list):
        return any(_is_not_finite(one, masks) for one in value)
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return False
    bad = value.isnan() | value.isposinf() if masks else ~value.isfinite()
    return bool(bad.any())


def _find_parameter(trainer: L.Trainer, task: L.LightningModule) -> NotFiniteError | None:
    """Find a parameter that the last step has left not finite."""
    if _are_finite(list(task.parameters())):
        return None
    path = next(path for path, value in task.named_parameters() if _is_not_finite(value))
    part, name = _split_path(path.removeprefix("network."))  # others are discriminators
    what = f"the {name} of {part}, as updated,"
    return NotFiniteError(trainer.global_step, trainer.current_epoch, part, what)


def _split_path(path: str) -> tuple[str, str]:
    part, _, name = path.rpartition(".")
    return part or "network", name


def _find_part(task: FusionTask, clips: Clips, in_loss: bool = True) -> tuple[str, str]:
    """Find the first part whose output is not finite, and describe it.

    Where the loss itself is finite (not ``in_loss``), -inf of masks is not what is looked for.
    """
    for name, value in clips.named().items():
        if name != "box" and _is_not_finite(value):
            return "input", f"{name} of the clips in rows {clips.row.tolist()}"

    found: list[str] = []
    running: list[str] = []
    names = {module: name or "network" for name, module in task.network.named_modules()}

    def enter(module: nn.Module, given: Any) -> None:
        if running and not found and _is_not_finite(given, masks=True):
            found.append(running[-1])  # which has made it between its parts
        running.append(names[module])

    def leave(module: nn.Module, given: Any, output: Any) -> None:
        running.pop()
        if not found and _is_not_finite(output, masks=not in_loss):
            found.append(names[module])

    with _hooks(task.network, enter, leave), torch.no_grad():
        task(clips)
    part = found[0] if found else "loss"

    return part, f"the output of {part}" if found else "the loss"


def _find_gradient(task: FusionTask, clips: Clips) -> tuple[str, str] | None:
    """Find the part that the backward pass reaches first with a gradient that is not finite."""
    names = {module: name or "network" for name, module in task.network.named_modules()}
    order: dict[str, int] = {}

    def leave(module: nn.Module, given: Any, output: Any) -> None:
        order[names[module]] = len(order)

    with _hooks(task.network, None, leave), torch.no_grad():
        task(clips)
    bad = [
        _split_path(path.removeprefix("network."))  # others are discriminators
        for path, parameter in task.named_parameters()
        if parameter.grad is not None and _is_not_finite(parameter.grad)
    ]
    if not bad:
        return None
    part, name = max(bad, key=lambda found: order.get(found[0], -1))

    return part, f"the gradient of the {name} of {part}"


@contextmanager
def _hooks(network: nn.Module, enter: Any, leave: Any) -> Iterator[None]:
    handles = []
    for module in network.modules():
        if enter is not None:
            handles.append(module.register_forward_pre_hook(enter))
        handles.append(module.register_forward_hook(leave))

    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _validation_batches(trainer: L.Trainer, task: FusionTask) -> Iterator[Clips]:
    loader: Any = trainer.val_dataloaders
    count = int(sum(trainer.num_val_batches))
    for _, batch in zip(range(count), loader, strict=False):
        yield trainer.strategy.batch_to_device(trainer.precision_plugin.convert_input(batch))


def _random_states(device: torch.device) -> list[Tensor]:
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


@contextmanager
def _with_random_states(states: list[Tensor], device: torch.device) -> Iterator[None]:
    with torch.random.fork_rng([device] if device.type == "cuda" else []):
        torch.set_rng_state(states[0])
        if len(states) > 1:
            torch.cuda.set_rng_state(states[1], device)
        yield
