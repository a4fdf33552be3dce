"""Tables of a benchmark for the terminal and as Markdown, and its JSON."""

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.box import MARKDOWN, SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from avfusion.benchmark.measure import LoopResult, ReadingResult, Results, StepResult
from avfusion.benchmark.rounds import Spread
from avfusion.run.provenance import FILE as PROVENANCE

UNITS = {
    "times": "milliseconds; of repeated measurements the median, and the quartiles low and high",
    "gigaflop": "1e9 multiplications and additions of products and convolutions in the forward and "
    "backward pass of a batch; elementwise operations and the optimizer do not count",
    "share_of_product": "gigaflop per second of the whole step over that of the matrix product of "
    "the same precision, measured in the same rounds",
    "time_shares": "parts of the time of step and reading: products (of matrices, convolutions), "
    "recurrence (LSTMs and GRUs, with their products), memory (elementwise operations, copies, "
    "sums, optimizer) by a profile of up to ten steps, reading of a batch as measured",
    "bound_by": "the largest of time_shares",
    "activations_mib": "kept by the forward pass for the backward pass, beside weights and batch",
    "peak_memory_mib": "during a step: what torch has allocated on a GPU, or else what the process "
    "holds, with all sides in it",
    "predicted": "no measurement: the larger of FLOPs and of traffic without caches, each over the "
    "rate that benchmark.roofline gives, without the optimizer",
}
WIDTH = 10_000  # of a table in a file, which is never wrapped
CPU_INFO = Path("/proc/cpuinfo")  # of Linux; elsewhere the name of the architecture has to do


def describe_environment(folder: Path, device: torch.device) -> dict[str, Any]:
    """Describe device, threads and code of a run, whose provenance is in its folder."""
    git = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))["git"]
    return {
        "device": _name_device(device),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "commit": git["commit"],
        "changed": git["dirty"],
    }


def _name_device(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type != "cpu":
        return str(device)
    lines = CPU_INFO.read_text(encoding="utf-8").splitlines() if CPU_INFO.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = names[0] if names else platform.machine()
    return f"{name}, {torch.backends.cpu.get_cpu_capability()}"


def write_results(folder: Path, results: Results, environment: dict[str, Any]) -> Path:
    """Write benchmark.json, and the tables as benchmark.md."""
    content = {"environment": environment, "units": UNITS, **to_plain(results)}
    (folder / "benchmark.json").write_text(json.dumps(content, indent=1), encoding="utf-8")
    with (folder / "benchmark.md").open("w", encoding="utf-8") as file:
        print_results(results, environment, Console(file=file, width=WIDTH), MARKDOWN)
    return folder / "benchmark.json"


def to_plain(results: Results) -> dict[str, Any]:
    """Convert results to plain containers, each spread to a mapping."""

    def convert(value: Any) -> Any:
        if isinstance(value, Spread):
            return value._asdict()
        if isinstance(value, dict):
            return {name: convert(one) for name, one in value.items()}
        return [convert(one) for one in value] if isinstance(value, list) else value

    plain: dict[str, Any] = convert(asdict(results))
    return plain


def print_results(
    results: Results, environment: dict[str, Any], console: Console, box: Any = SIMPLE_HEAD
) -> None:
    """Print the environment, a table of sides for each size, of reading and of loops."""
    for name, value in environment.items():
        console.print(f"{name}: {value}  ", highlight=False)  # blanks: a line of Markdown ends
    for precision, rate in results.product.items():
        n = results.product_size
        console.print(
            f"Matrix product, {n} x {n}, {precision}: {format_spread(rate)} GFLOP/s  ",
            highlight=False,
        )

    for size in dict.fromkeys(map(_name_size, results.steps)):
        steps = [one for one in results.steps if _name_size(one) == size]
        shapes = (f"{n} {' x '.join(map(str, shape))}" for n, shape in steps[0].streams.items())
        console.print(f"\n{', '.join(shapes)}\n", highlight=False)
        console.print(_make_step_table(steps, box))
    console.print()
    console.print(_make_reading_table(results.reading, box))
    if results.loops:
        console.print()
        console.print(_make_loop_table(results.loops, box))


def format_spread(spread: Spread) -> str:
    """Write a median with its quartiles."""
    return f"{_round(spread.median)} ({_round(spread.low)} to {_round(spread.high)})"


def _round(value: float | None) -> str:
    """Write three digits, at least those before the point."""
    if value is None or value != value:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _name_size(one: StepResult | ReadingResult) -> str:
    """Name what was given of a size."""
    parts = [f"batch {one.batch_size}"]
    parts += [f"{one.frames} frames"] if one.frames is not None else []
    parts += [f"map {one.map_size} x {one.map_size}"] if one.map_size is not None else []
    return ", ".join(parts)


def _make_step_table(steps: Sequence[StepResult], box: Any) -> Table:
    """Make a table with a column for each side at one size."""
    rows: dict[str, list[str]] = {
        "step, ms": [_round(one.step.median) for one in steps],
        "its quartiles, ms": [f"{_round(s.step.low)} to {_round(s.step.high)}" for s in steps],
        "forward, ms": [_round(one.forward.median) for one in steps],
        "backward, ms": [_round(one.backward.median) for one in steps],
        "optimizer, ms": [_round(one.optimizer.median) for one in steps],
        f"step / {steps[0].side}": [_round(one.relative) for one in steps],
        "clips per second": [_round(one.clips_per_second) for one in steps],
        "GFLOP, counted": [_round(one.gigaflop) for one in steps],
        "GFLOP/s": [_round(one.gigaflop_per_second) for one in steps],
        "share of product's rate": [_round(one.share_of_product) for one in steps],
        "face maps, MiB": [_round(one.map_mib) for one in steps],
        "activations, MiB": [_round(one.activations_mib) for one in steps],
        "peak memory, MiB": [_round(one.peak_memory_mib) for one in steps],
    }
    for name in steps[0].time_shares:
        rows[f"time: {name}"] = [f"{one.time_shares.get(name, 0):.0%}" for one in steps]
    rows["bound by"] = [one.bound_by for one in steps]
    if steps[0].predicted is not None:
        rows["predicted step, ms"] = [_round(one.predicted) for one in steps]
    body = [[name, *cells] for name, cells in rows.items()]
    return _make_table([_name_size(steps[0]), *(one.side for one in steps)], body, box)


def _make_reading_table(reading: Sequence[ReadingResult], box: Any) -> Table:
    header = ["reading a batch", "MiB", "store, ms", "numpy gather, ms", "store / gather"]
    body = [
        [
            _name_size(one),
            _round(one.mib),
            format_spread(one.store),
            format_spread(one.gather),
            _round(one.relative),
        ]
        for one in reading
    ]
    return _make_table(header, body, box)


def _make_loop_table(loops: Sequence[LoopResult], box: Any) -> Table:
    header = [f"an epoch of {loops[0].steps} steps", "ms (quartiles)", "/ bare loop"]
    body = [[one.loop, format_spread(one.epoch), f"{one.relative:.3f}"] for one in loops]
    return _make_table(header, body, box)


def _make_table(header: Sequence[str], body: Sequence[Sequence[str]], box: Any) -> Table:
    table = Table(box=box)
    table.add_column(header[0], no_wrap=True)
    for name in header[1:]:
        table.add_column(name, overflow="fold")
    for row in body:
        table.add_row(*row)
    return table
