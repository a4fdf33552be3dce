"""Claims about durations that are measured in turns."""

from types import SimpleNamespace

import pytest
import torch
from ticks import Ticks

from avfusion.benchmark.rounds import Clock, Spread, alternate


def test_every_round_visits_every_side_and_begins_with_another_one():
    clock, visits = Ticks(), []

    def visit(name, looks):
        def take():
            visits.append(name)
            marks = [clock.mark() for _ in range(looks + 1)]
            return {"part": sum(clock.seconds(*marks))}

        return take

    sides = {"a": visit("a", 1), "b": visit("b", 2), "c": visit("c", 5)}
    taken = alternate(sides, rounds=4, steps=2, warmup=1)
    assert "".join(visits) == "abc" + "aabbcc" + "bbccaa" + "ccaabb" + "aabbcc"
    seconds = {name: [one["part"] for one in parts] for name, parts in taken.items()}
    assert seconds == {"a": [1] * 8, "b": [2] * 8, "c": [5] * 8}  # without those that warm up


def test_a_spread_is_the_median_between_quartiles():
    assert Spread.of([0.004, 0.001, 0.002, 0.003, 0.1], 1000) == pytest.approx((3, 2, 4))
    assert Spread.of([0.5]) == (0.5, 0.5, 0.5)


def test_the_clock_of_a_cpu_goes_forward():
    clock = Clock(torch.device("cpu"))
    marks = [clock.mark() for _ in range(3)]
    first, second = clock.seconds(*marks)
    assert first >= 0 and second >= 0 and first + second == pytest.approx(marks[2] - marks[0])


def test_the_clock_of_a_gpu_records_events_and_waits_for_the_last(monkeypatch):
    events, stream = [], object()

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing
            events.append(self)

        def record(self, recorded_on):
            assert recorded_on is stream

        def synchronize(self):
            self.waited = True

        def elapsed_time(self, other):
            return 1000.0 * (events.index(other) - events.index(self))  # milliseconds

    pretended = SimpleNamespace(Event=Event, current_stream=lambda device: stream)
    monkeypatch.setattr(torch, "cuda", pretended)
    clock = Clock(torch.device("cuda"))
    assert clock.seconds(clock.mark(), clock.mark(), clock.mark()) == [1, 1]
    assert [hasattr(event, "waited") for event in events] == [False, False, True]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU that CUDA can use")
def test_the_clock_of_a_gpu_waits_for_its_work():
    clock = Clock(torch.device("cuda"))
    numbers = torch.randn(4096, 4096, device="cuda")
    numbers @ numbers  # which loads a library
    marks = [clock.mark()]
    for _ in range(20):
        numbers @ numbers
    marks.append(clock.mark())
    assert clock.seconds(*marks)[0] > 20 * 2 * 4096**3 / 5e15  # no GPU does so many FLOPs
