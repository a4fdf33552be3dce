"""Measurement of steps, loops and reading, all in turns, and what follows from them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf

from avfusion.benchmark.loops import BARE, make_loops
from avfusion.benchmark.rounds import Clock, Parts, Spread, alternate
from avfusion.benchmark.sides import PRECISIONS, Side, read_precision
from avfusion.benchmark.step import (
    Step,
    build_task,
    measure_activations,
    measure_peak_memory,
    profile_step,
)
from avfusion.benchmark.synthetic import Size, write_store
from avfusion.dashboard.diagnostics import GIB
from avfusion.data.checks import check_streams
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.features.clip import WAVEFORM, Stream
from avfusion.features.face import FRAMES
from avfusion.models.cost import StepCost
from avfusion.run.build import build_data, build_trainer
from avfusion.run.checks import check_task
from avfusion.run.streams import find_streams

PRODUCT_SIZE = {"cpu": 2048, "cuda": 8192}  # rows of a square matrix
STORE, GATHER = "store", "numpy gather"
MIB = 2**20
MAX_PROFILED_STEPS = 10


class Roofline(NamedTuple):
    """FLOPs and bytes per second that a device is said to reach."""

    flops: float
    bytes: float

    def predict(self, cost: StepCost) -> float:
        """Predict the seconds of a step: it takes no less than its arithmetic or its traffic."""
        return max(cost.flops / self.flops, cost.traffic / self.bytes)


@dataclass(frozen=True)
class StepResult:
    """One side at one size; times are in milliseconds, shares are parts of one.

    ``streams`` are shapes of what the network reads; ``frames`` and ``map_size`` are as given.
    ``relative`` compares the step with that of the first side. ``gigaflop`` is the counted cost of
    forward and backward pass, ``share_of_product`` its rate in the whole step over the rate of the
    matrix product in the same precision, measured in the same rounds. ``time_shares`` divide the
    time of step and reading: products, recurrence and memory as profiled, reading as measured;
    ``bound_by`` is the largest. ``predicted`` is no measurement, but the roofline of a device.
    """

    side: str
    precision: str
    is_compiled: bool
    threads: int
    streams: dict[str, list[int]]
    batch_size: int
    frames: int | None
    map_size: int | None
    step: Spread
    forward: Spread
    backward: Spread
    optimizer: Spread
    relative: float
    clips_per_second: float
    gigaflop: float
    gigaflop_per_second: float
    share_of_product: float
    map_mib: float
    activations_mib: float | None
    peak_memory_mib: float
    time_shares: dict[str, float]
    bound_by: str
    predicted: float | None


@dataclass(frozen=True)
class ReadingResult:
    """Reading a batch of a store, and copying the same rows with numpy; in milliseconds."""

    batch_size: int
    frames: int | None
    map_size: int | None
    mib: float
    store: Spread
    gather: Spread
    relative: float


@dataclass(frozen=True)
class LoopResult:
    """One loop over an epoch, in milliseconds, beside the bare one."""

    loop: str
    precision: str
    batch_size: int
    steps: int
    epochs: int
    epoch: Spread
    relative: float


@dataclass(frozen=True)
class Results:
    """Everything that one run has measured; rates of the product are GFLOP/s by precision."""

    product_size: int
    product: dict[str, Spread]
    steps: list[StepResult]
    reading: list[ReadingResult]
    loops: list[LoopResult]


def measure(cfg: DictConfig, sides: Sequence[Side], device: torch.device) -> Results:
    """Measure all sides at all sizes, then the loops over an epoch."""
    clock, settings = Clock(device), cfg.benchmark
    streams = describe_streams(cfg, sides)
    rates: dict[str, list[float]] = {side.precision: [] for side in sides}
    products = {
        precision: MatrixProduct(find_product_size(cfg, device), precision, clock)
        for precision in rates
    }

    steps: list[StepResult] = []
    reading: list[ReadingResult] = []
    for size in list_sizes(cfg):
        cell = measure_size(cfg, sides, size, streams, products, clock)
        steps += cell.steps
        reading.append(cell.reading)
        for precision, values in cell.rates.items():
            rates[precision] += values

    loops: list[LoopResult] = []
    if settings.epochs:
        precision = read_precision(cfg)
        side = Side(sides[0].name, cfg, precision)
        size = list_sizes(cfg)[0]
        loops, more = measure_loops(side, size, streams, products[precision], clock)
        rates[precision] += more

    return Results(
        product_size=next(iter(products.values())).size,
        product={name: Spread.of(values, 1e-9) for name, values in rates.items()},
        steps=steps,
        reading=reading,
        loops=loops,
    )


def find_device(cfg: DictConfig) -> torch.device:
    """Find the device that training would take, or refuse several processes."""
    trainer = build_trainer(cfg)
    if trainer.world_size > 1:
        raise ValueError(
            f"A benchmark measures one process, got {trainer.world_size}: set trainer.devices=1."
        )
    return trainer.strategy.root_device


def check_sides(cfg: DictConfig, sides: Sequence[Side]) -> None:
    """Build every side once, so that wrong values are refused before anything is measured."""
    read_roofline(cfg)
    size = list_sizes(cfg)[0]
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        open_data = make_data_opener(
            Path(folder), cfg, size, describe_streams(cfg, sides), batches=1
        )
        for side in sides:
            check_task(build_task(side, open_data(side)))


def describe_streams(cfg: DictConfig, sides: Sequence[Side]) -> dict[str, Stream]:
    """Describe what sides read, and dashboards show, of the given data or of the configuration."""
    read = {name for side in sides for name in find_streams(side.cfg.model)}
    if "_target_" in cfg.data:
        streams = build_data(cfg).store.streams
        check_streams(sorted(read), streams, f"The store in {cfg.data.store}")
    else:
        plain: Any = OmegaConf.to_container(cfg.description.streams, resolve=True)
        streams = {name: Stream.from_plain(values) for name, values in plain.items()}
        for name in sorted(read - set(streams)):
            raise ValueError(
                f"The network reads {name}, whose shape is not known: describe it, as in "
                f"'+description.streams.{name}={{modality: audio, kind: sequence, shape: [49, 40], "
                "dtype: float32}', or give a store that has it, data=store data.store=<store>."
            )
    return {name: one for name, one in streams.items() if name in {*read, FRAMES, WAVEFORM}}


def list_sizes(cfg: DictConfig) -> list[Size]:
    """List the sizes of a run: all combinations of the given ones."""
    settings = cfg.benchmark
    if not settings.batch_size:
        raise ValueError(
            "benchmark.batch_size=[] names no size: give one or more, as in "
            "benchmark.batch_size=[8,32]."
        )
    return [
        Size(*one)
        for one in product(
            settings.batch_size, settings.frames or [None], settings.map_size or [None]
        )
    ]


def find_product_size(cfg: DictConfig, device: torch.device) -> int:
    """Find how many rows the multiplied matrices have."""
    given = cfg.benchmark.product_size
    return given or PRODUCT_SIZE.get(device.type, PRODUCT_SIZE["cpu"])


def read_roofline(cfg: DictConfig) -> Roofline | None:
    """Read the rates of a device for which a step is predicted, or refuse them."""
    given = cfg.benchmark.roofline
    if given is None:
        return None
    rates = [given.get(name) for name in Roofline._fields]
    if set(given) != set(Roofline._fields) or not all(rate and rate > 0 for rate in rates):
        raise ValueError(
            f"benchmark.roofline must name FLOPs and bytes per second above 0, as in "
            f"{{flops: 67e12, bytes: 4.8e12}}, got {given}."
        )
    return Roofline(*rates)


class MatrixProduct:
    """A product of two square matrices, whose rate the FLOPs of a step are compared with."""

    def __init__(self, size: int, precision: str, clock: Clock) -> None:
        dtype = PRECISIONS[precision] or torch.float32
        self.size = size
        self.clock = clock
        self.left = torch.randn(size, size, device=clock.device).to(dtype)
        self.right = torch.randn(size, size, device=clock.device).to(dtype)
        self.out = torch.empty_like(self.left)

    def __call__(self) -> Parts:
        """Multiply once."""
        began = self.clock.mark()
        torch.mm(self.left, self.right, out=self.out)
        return {"product": self.clock.seconds(began, self.clock.mark())[0]}

    @property
    def flops(self) -> int:
        """Multiplications and additions of one product."""
        return 2 * self.size**3


class Cell(NamedTuple):
    """What was measured at one size; ``rates`` of the product in FLOPs per second."""

    steps: list[StepResult]
    reading: ReadingResult
    rates: dict[str, list[float]]


def measure_size(
    cfg: DictConfig,
    sides: Sequence[Side],
    size: Size,
    streams: Mapping[str, Stream],
    products: Mapping[str, MatrixProduct],
    clock: Clock,
) -> Cell:
    """Measure all sides at one size, with reading and products, in turns."""
    settings = cfg.benchmark
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        open_data = make_data_opener(Path(folder), cfg, size, streams, batches=2)
        steps = {side.name: Step(side, open_data(side), clock, cfg.seed) for side in sides}
        readers = make_readers(open_data(sides[0]))
        named: dict[str, Callable[[], Parts]] = {
            f"product {name}": one for name, one in products.items()
        }
        visited = named | steps | readers
        taken = alternate(visited, settings.rounds, settings.steps, settings.warmup)

    rates = {
        name: [one.flops / parts["product"] for parts in taken[f"product {name}"]]
        for name, one in products.items()
    }
    read = {name: Spread.of(_totals(taken[name])) for name in readers}
    reading = ReadingResult(
        *size,
        mib=readers[STORE].bytes / MIB,
        store=_milliseconds(_totals(taken[STORE])),
        gather=_milliseconds(_totals(taken[GATHER])),
        relative=read[STORE].median / read[GATHER].median,
    )

    roofline = read_roofline(cfg)
    reference = Spread.of(_totals(taken[sides[0].name])).median
    results = [
        summarize_step(
            side,
            size,
            steps[side.name],
            taken[side.name],
            reference,
            Spread.of(rates[side.precision]).median,
            read[STORE].median,
            roofline,
        )
        for side in sides
    ]
    return Cell(results, reading, rates)


def summarize_step(
    side: Side,
    size: Size,
    step: Step,
    taken: Sequence[Parts],
    reference: float,
    product_rate: float,
    reading: float,
    roofline: Roofline | None,
) -> StepResult:
    """Summarize the steps that one side has taken, and look where their time goes."""
    totals = _totals(taken)
    seconds = Spread.of(totals).median
    rate = step.cost.flops / seconds
    profiled = min(MAX_PROFILED_STEPS, 1 + int(1 / seconds))  # about a second of them
    shares = share_with_reading(profile_step(step, profiled), seconds, reading)
    maps = [one for one in step.clips.streams.values() if one.ndim == 5]
    return StepResult(
        side.name,
        side.precision,
        side.is_compiled,
        side.threads or torch.get_num_threads(),
        {name: list(values.shape) for name, values in step.clips.streams.items()},
        *size,
        step=_milliseconds(totals),
        forward=_milliseconds([parts["forward"] for parts in taken]),
        backward=_milliseconds([parts["backward"] for parts in taken]),
        optimizer=_milliseconds([parts["optimizer"] for parts in taken]),
        relative=seconds / reference,
        clips_per_second=size.batch_size / seconds,
        gigaflop=step.cost.flops / 1e9,
        gigaflop_per_second=rate / 1e9,
        share_of_product=rate / product_rate,
        map_mib=sum(one.nbytes for one in maps) / MIB,
        activations_mib=None if side.is_compiled else measure_activations(step) / MIB,
        peak_memory_mib=measure_peak_memory(step) * GIB / MIB,
        time_shares=shares,
        bound_by=max(shares, key=shares.__getitem__),
        predicted=None if roofline is None else 1000 * roofline.predict(step.cost),
    )


def share_with_reading(
    profiled: Mapping[str, float], step: float, reading: float
) -> dict[str, float]:
    """Add reading to the shares of a step's time, given the seconds of both."""
    whole = step + reading
    shares = {name: share * step / whole for name, share in profiled.items()}
    return shares | {"reading": reading / whole}


def make_data_opener(
    folder: Path, cfg: DictConfig, size: Size, streams: Mapping[str, Stream], batches: int
) -> Callable[[Side], FaceAudioDataModule]:
    """Write a store with so many training batches, and let each side open it."""
    resized = {name: size.resize(stream) for name, stream in streams.items()}
    few = size.batch_size
    clips = {"train": batches * few, "val": few, "test": few}
    root = write_store(folder / "store", resized, cfg.description.outputs, clips)

    def open_data(side: Side) -> FaceAudioDataModule:
        names = find_streams(side.cfg.model)
        data = FaceAudioDataModule(
            str(root),
            batch_size=few,
            streams=names,
            seed=cfg.seed,
            allow_untrained_classes=True,  # of small batches
        )
        data.prepare_data()
        return data

    return open_data


class Reader:
    """Reading of one batch; ``bytes`` are those of the streams."""

    def __init__(self, read: Callable[[], list[int]]) -> None:
        self.read = read
        self.bytes = sum(read())

    def __call__(self) -> Parts:
        """Read once."""
        clock = Clock(torch.device("cpu"))
        began = clock.mark()
        self.read()
        return {"read": clock.seconds(began, clock.mark())[0]}


def make_readers(data: FaceAudioDataModule) -> dict[str, Reader]:
    """Make readers of one batch, of random clips: the store's own, and numpy's, of the same rows.

    numpy copies from arrays in memory.
    """
    dataset = data.dataset("train")
    generator = np.random.default_rng(0)
    positions = np.sort(generator.permutation(len(dataset))[: data.batch_size])
    rows = dataset.rows[positions]
    arrays = [np.array(data.store.shards(name)[0]) for name in data.streams]

    def read_store() -> list[int]:
        clips = dataset.__getitems__(positions.tolist())
        return [stream.nbytes for stream in clips.streams.values()]

    def gather() -> list[int]:
        return [array.take(rows, axis=0, mode="clip").nbytes for array in arrays]

    return {STORE: Reader(read_store), GATHER: Reader(gather)}


def measure_loops(
    side: Side, size: Size, streams: Mapping[str, Stream], multiply: MatrixProduct, clock: Clock
) -> tuple[list[LoopResult], list[float]]:
    """Measure loops over an epoch in turns, and the rates of the product among them."""
    settings = side.cfg.benchmark
    with TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        open_data = make_data_opener(Path(folder), side.cfg, size, streams, settings.loop_batches)
        loops = make_loops(side, partial(open_data, side), clock, settings.epochs)
        taken = alternate({"product": multiply} | loops, settings.loop_rounds)

    rates = [multiply.flops / parts["product"] for parts in taken["product"]]
    epochs = {name: _totals(taken[name]) for name in loops}
    reference = Spread.of(epochs[BARE]).median
    results = [
        LoopResult(
            name,
            side.precision,
            size.batch_size,
            settings.loop_batches,
            settings.epochs,
            _milliseconds(seconds),
            Spread.of(seconds).median / reference,
        )
        for name, seconds in epochs.items()
    ]
    return results, rates


def _totals(taken: Sequence[Parts]) -> list[float]:
    return [sum(parts.values()) for parts in taken]


def _milliseconds(seconds: Sequence[float]) -> Spread:
    return Spread.of(seconds, 1000)
