"""Claims about the numbers that say whether training is healthy."""

import pytest
import torch
from conftest import build, events_of, toy_clips

from avfusion.dashboard import diagnostics
from avfusion.dashboard.diagnostics import get_gradient_norms, get_peak_memory

CPU = torch.device("cpu")


def test_each_part_has_the_norm_of_all_its_gradients():
    task, clips = build("lowrank"), toy_clips()
    optimizer, _ = task.build_optimizer(10)
    assert get_gradient_norms(task, optimizer) == {}
    task.loss(task(clips).logits, clips.label).backward()
    norms = get_gradient_norms(task, optimizer)
    parts = ("face_encoder", "audio_encoder", "attention", "fusion", "head")
    assert set(norms) == {f"train/gradient_norm_{part}" for part in parts}
    for part in parts:
        squares = sum(
            (weight.grad.double() ** 2).sum().item()
            for name, weight in task.network.named_parameters()
            if name.startswith(f"{part}.")
        )
        assert norms[f"train/gradient_norm_{part}"] == pytest.approx(squares**0.5, rel=1e-4)


def test_they_are_logged_as_often_as_the_trainer_logs(watched):
    events = events_of(watched)
    steps = [1, 3, 5, 7]  # every second of nine
    known = ["train/gradient_norm_head", "train/samples_per_second", *get_peak_memory(CPU)]
    for name in known:
        assert [event.step for event in events.Scalars(name)] == steps


def test_speed_is_positive_and_waiting_a_part_of_the_time(watched):
    events = events_of(watched)
    assert all(event.value > 0 for event in events.Scalars("train/samples_per_second"))
    assert all(0 <= event.value <= 1 for event in events.Scalars("train/loader_wait"))


@pytest.mark.skipif(
    not diagnostics.PROCESS_STATUS.is_file(), reason="only Linux says what was held"
)
def test_memory_is_more_than_torch_needs_and_never_falls():
    held = get_peak_memory(CPU)["train/memory_gib"]
    kept = torch.ones(2**25)  # an eighth of a GiB
    assert kept[-1] == 1
    assert get_peak_memory(CPU)["train/memory_gib"] >= held
    assert 0.1 < held < 1000


def test_elsewhere_than_on_linux_nothing_is_said_of_memory(monkeypatch, tmp_path):
    monkeypatch.setattr(diagnostics, "PROCESS_STATUS", tmp_path / "none")
    assert get_peak_memory(CPU) == {}
