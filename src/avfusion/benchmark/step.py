"""Training step of one side: its parts, its cost, and where its time goes."""

import os
import re
import warnings
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from hydra.utils import get_object
from omegaconf import OmegaConf
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.profiler import ProfilerActivity, profile
from torchmetrics import MetricCollection

from avfusion.benchmark.rounds import Clock, Parts
from avfusion.benchmark.sides import PRECISIONS, Side
from avfusion.benchmark.tiled import TiledAttention
from avfusion.dashboard.diagnostics import get_peak_memory
from avfusion.data.batch import Clips
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.models.attention import ConcatAttention
from avfusion.models.cost import count_step
from avfusion.run.configuration import with_description
from avfusion.run.make import make_task
from avfusion.training.task import FusionTask

SCHEDULED_STEPS = 1_000_000  # a rate that hardly changes
# Names of torch's operations.
RECURRENCE = re.compile(r"aten::(lstm|gru|rnn_\w+)$|rnn|fused_(lstm|gru)_cell", re.IGNORECASE)
PRODUCT = re.compile(r"::_?(mm|addmm|bmm|baddbmm|\w*linear\w*|\w*conv\w*|\w*attention\w*)$")
BACKWARD = "autograd::engine::evaluate_function"
RESET_PEAK = Path("/proc/self/clear_refs")  # of Linux: 5 lets the peak begin at what is held now


class Step:
    """One training step on one batch: forward, backward, optimizer.

    Gradients are clipped, and the schedule goes on, as in training; metrics are not updated.
    """

    def __init__(self, side: Side, data: FaceAudioDataModule, clock: Clock, seed: int = 0) -> None:
        torch.manual_seed(seed)
        self.clock = clock
        self.threads = side.threads
        self.dtype = PRECISIONS[side.precision]
        self.clip_norm = side.cfg.trainer.gradient_clip_val
        self.task = build_task(side, data).to(clock.device).train()
        rows = list(range(data.batch_size))
        self.clips = load_clips(data.dataset("train").__getitems__(rows), clock.device)
        self.cost = count_step(self.task, self.clips, compute_loss)
        if side.is_compiled:
            self.task.network.compile()
        self.optimizer, self.schedule = self.task.build_optimizer(SCHEDULED_STEPS)

    def __call__(self) -> Parts:
        """Take one step; return the seconds of its parts."""
        threads = torch.get_num_threads()
        if self.threads in (None, threads):
            return self._take()
        torch.set_num_threads(self.threads)
        try:
            return self._take()
        finally:
            torch.set_num_threads(threads)

    def _take(self) -> Parts:
        marks = [self.clock.mark()]
        loss = self.forward()
        marks.append(self.clock.mark())

        loss.backward()
        marks.append(self.clock.mark())

        if self.clip_norm:
            nn.utils.clip_grad_norm_(self.task.parameters(), self.clip_norm)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        marks.append(self.clock.mark())
        return dict(
            zip(("forward", "backward", "optimizer"), self.clock.seconds(*marks), strict=True)
        )

    def forward(self) -> Tensor:
        """Compute the loss of the batch."""
        with use_precision(self.clock.device, self.dtype):
            return compute_loss(self.task, self.clips)


def build_task(side: Side, data: FaceAudioDataModule) -> FusionTask:
    """Build the task of a side for synthetic data.

    Raises:
        ValueError: It has several optimizers, or no attention that could be tiled.
    """
    changes: dict[str, Any] = {"data": {"batch_size": data.batch_size}}
    if side.is_tiled:
        attention = side.cfg.model.network.get("attention")
        if attention is None or get_object(attention._target_) is not ConcatAttention:
            raise ValueError(
                "benchmark.against=[tiled] needs the attention by concatenation: set "
                "model/attention=concat, or choose a model that has it, such as model=lowrank."
            )
        name = f"{TiledAttention.__module__}.{TiledAttention.__name__}"
        changes["model"] = {"network": {"attention": {"_target_": name}}}

    cfg: Any = OmegaConf.merge(with_description(side.cfg, data.description), changes)
    task = make_task(cfg.model, data.target)
    if not task.automatic_optimization:
        raise ValueError(
            "model/alignment=alternating takes steps with two optimizers, which are not measured: "
            "set model/alignment=none."
        )
    return task


def compute_loss(task: Any, clips: Clips) -> Tensor:
    """Compute the loss to be minimized as training does, without metrics."""
    loss, _ = task.step(clips, MetricCollection([]))
    return loss


def load_clips(clips: Clips, device: torch.device) -> Clips:
    """Move a batch of a store to a device, as networks read it."""
    return clips.map(lambda part: part.to(device, non_blocking=True)).with_floats()


def use_precision(device: torch.device, dtype: torch.dtype | None) -> torch.autocast:
    """Compute in a lower precision where one is given; weights are cast anew, as by Lightning."""
    return torch.autocast(device.type, dtype, enabled=dtype is not None, cache_enabled=False)


def measure_activations(step: Step) -> int:
    """Measure the bytes that the forward pass keeps for the backward pass.

    Weights and the batch are there anyway, and do not count.
    """
    tensors = [*step.task.parameters(), *step.task.buffers(), *step.clips.named().values()]
    held = {tensor.untyped_storage().data_ptr() for tensor in tensors}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in held:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = step.forward()  # as long as it lives, no storage is used again
    total = sum(kept.values())
    del loss
    return total


def measure_peak_memory(step: Step) -> float:
    """Measure the most GiB that are held during a step: of a GPU, or else of this process.

    Where the system cannot forget an earlier peak, that one counts, too.
    """
    device = step.clock.device
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        with suppress(OSError):
            RESET_PEAK.write_text("5", encoding="utf-8")
    step()
    step.clock.wait()
    return [float("nan"), *get_peak_memory(device).values()][-1]


def profile_step(step: Step, steps: int = 1) -> dict[str, float]:
    """Measure which part of a step's time goes to products, to recurrence and to the rest.

    Recurrence are LSTMs and GRUs as wholes, with their products; the rest are elementwise
    operations, copies, sums and the optimizer, which wait for memory. Time between operations, in
    Python, does not count.
    """
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # it reports each profile on stderr
    device = step.clock.device
    activities = [ProfilerActivity.CPU]
    activities += [ProfilerActivity.CUDA] if device.type == "cuda" else []
    with warnings.catch_warnings(action="ignore"), profile(activities=activities) as found:
        for _ in range(steps):
            step()
        step.clock.wait()
    return share_time(found.events() or [], on_device=device.type == "cuda")


def share_time(events: Any, on_device: bool = False) -> dict[str, float]:
    """Share the time of profiled operations among products, recurrence and memory."""
    # Kernels of a GPU count for the operations that launched them.
    operations = [event for event in events if event.device_type.name == "CPU"]
    events = sorted(operations, key=lambda event: event.time_range.start)
    forward = [event for event in events if not _is_within(event, re.compile(BACKWARD))]
    # Of forward operations with one number, the last one has made the backward operation.
    recurrent = {event.sequence_nr: _is_within(event, RECURRENCE) for event in forward}

    seconds: Counter[str] = Counter(products=0, recurrence=0, memory=0)
    for event in events:
        own = event.self_device_time_total if on_device else event.self_cpu_time_total
        seconds[_classify(event, recurrent)] += own
    total = sum(seconds.values())
    return {name: value / total for name, value in seconds.items()} if total else {}


def _classify(event: Any, recurrent: dict[int, bool]) -> str:
    root = event
    while root.cpu_parent is not None:
        root = root.cpu_parent
    made = root.name.startswith(BACKWARD) and recurrent.get(root.sequence_nr, False)
    if made or _is_within(event, RECURRENCE):
        return "recurrence"
    return "products" if PRODUCT.search(event.name) else "memory"


def _is_within(event: Any, name: re.Pattern[str]) -> bool:
    """Whether an operation, or one that it is part of, has a name."""
    while event is not None:
        if name.search(event.name):
            return True
        event = event.cpu_parent
    return False
