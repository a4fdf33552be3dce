"""Claims about what a benchmark makes of its measurements."""

import json
from io import StringIO
from types import SimpleNamespace

import pytest
import torch
from conftest import CONF, MODELS
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from rich.console import Console
from ticks import TINY, Ticks
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from avfusion.benchmark import measure as measuring
from avfusion.benchmark.measure import (
    Roofline,
    describe_streams,
    list_sizes,
    make_data_opener,
    measure,
    share_with_reading,
)
from avfusion.benchmark.sides import Side, compose_side, list_sides
from avfusion.benchmark.step import Step, share_time
from avfusion.benchmark.synthetic import Size, write_store
from avfusion.benchmark.tables import UNITS, print_results, to_plain, write_results
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.store import Store
from avfusion.features.clip import Stream
from avfusion.figures.growth import growth_figure, list_growing
from avfusion.models.cost import StepCost

SMALL = """
description.streams.face_map.shape=[1,4,2,2] description.streams.frames.shape=[1,32,32,3]
description.streams.mfcc.shape=[5,7] description.streams.waveform.shape=[50]
"""
ROOFLINE = "benchmark.roofline={flops: 1e12, bytes: 1e9}"


@pytest.fixture
def composing():
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield
    GlobalHydra.instance().clear()


@pytest.fixture(scope="module")
def measured():
    """Sides and results of a run whose clock counts how often it is looked at."""
    given = [*TINY.split(), ROOFLINE]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(measuring, "Clock", Ticks)
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose_side(given)
            sides = list_sides(cfg, "lowrank", given)
        yield sides, measure(cfg, sides, torch.device("cpu"))


def test_each_side_is_measured_at_each_size(measured):
    sides, results = measured
    assert [side.name for side in sides] == ["lowrank", "lowrank bf16-mixed", "tiled@1"]
    found = [(one.side, one.precision, one.batch_size, one.map_size) for one in results.steps]
    expected = [(side.name, side.precision, 3, size) for size in (2, 3) for side in sides]
    assert found == expected
    assert list(results.product) == ["32-true", "bf16-mixed"]
    shapes = [[3, 1, 4, size, size] for size in (2, 3) for _ in sides]
    assert [one.streams["face_map"] for one in results.steps] == shapes
    assert [side.threads for side in sides] == [None, None, 1]


def test_rates_and_shares_follow_from_flops_and_seconds(measured):
    _, results = measured
    # Between two looks at the clock passes a second: a product takes one, a step three.
    for rate in results.product.values():
        assert rate == pytest.approx([2 * 16**3 / 1e9] * 3)
    for one in results.steps:
        assert one.step == pytest.approx([3000] * 3)  # milliseconds
        assert [one.forward.median, one.backward.median, one.optimizer.median] == [1000] * 3
        assert one.clips_per_second == 1 and one.relative == 1
        assert one.gigaflop_per_second == pytest.approx(one.gigaflop / 3)
        share = one.gigaflop_per_second / (2 * 16**3 / 1e9)
        assert one.share_of_product == pytest.approx(share)
        assert one.map_mib * 2**20 == 3 * 4 * one.map_size**2 * 4
        assert one.peak_memory_mib > 10 and one.activations_mib > 0
        assert sum(one.time_shares.values()) == pytest.approx(1)
        assert one.time_shares["reading"] == 0.25  # a second beside three
        assert one.bound_by == max(one.time_shares, key=one.time_shares.get)
    plain, _, tiled = results.steps[:3]
    # The audio vector of 16 numbers is multiplied at each of four positions instead of once, in
    # the forward pass and for two gradients; that of the map of 4 channels is computed, too.
    more = 2 * 3 * 6 * (3 * 16 * (4 - 1) + 4 * 4)
    assert (tiled.gigaflop - plain.gigaflop) * 1e9 == pytest.approx(more)


def test_reading_is_measured_beside_a_copy_of_the_same_bytes(measured):
    for one, size in zip(measured[1].reading, (2, 3), strict=True):
        assert one.mib * 2**20 == 3 * 4 * (4 * size**2 + 5 * 7)
        assert one.relative == 1 and one.store == one.gather


def test_the_slower_of_arithmetic_and_traffic_is_predicted():
    assert Roofline(flops=2e12, bytes=1e9).predict(StepCost(10**12, 10**8)) == 0.5
    assert Roofline(flops=2e12, bytes=1e9).predict(StepCost(10**12, 10**9)) == 1


def test_json_has_units_and_every_result(measured, tmp_path):
    sides, results = measured
    environment = {"device": "CPU", "threads": 1, "torch": "2", "commit": "a", "changed": False}
    file = write_results(tmp_path, results, environment)
    content = json.loads(file.read_text())
    assert set(content) == {"environment", "units", *to_plain(results)}
    assert set(UNITS) - {"times"} <= set(content["steps"][0])
    assert set(content["steps"][0]["step"]) == {"median", "low", "high"}
    assert len(content["steps"]) == 2 * len(sides) and content["loops"] == []
    assert content["product_size"] == 16

    text = (tmp_path / "benchmark.md").read_text()
    assert all(side.name in text for side in sides)
    assert "| predicted step, ms" in text and "| step, ms" in text
    shown = StringIO()
    print_results(results, environment, Console(file=shown, width=200))
    assert "batch 3, map 2 x 2" in shown.getvalue() and "|" not in shown.getvalue()
    assert "face_map 3 x 1 x 4 x 2 x 2" in text.replace("mfcc 3 x 5 x 7", "")


def test_growth_is_drawn_over_each_size_that_varies(measured):
    steps = measured[1].steps
    assert list_growing(steps) == ["map_size"]
    figure = growth_figure(steps)
    (panel,) = figure.axes
    assert panel.get_xlabel() == "rows of the face map"
    figure.draw_without_rendering()
    labels = [label.get_text() for label in panel.get_yticklabels(which="both")]
    assert "2000" in labels and not any("$" in label for label in labels)
    assert [list(line[0].get_xdata()) for line in panel.containers] == [[2, 3]] * 3


def test_time_is_shared_among_products_recurrence_and_the_rest():
    lstm, linear = torch.nn.LSTM(4, 4), torch.nn.Linear(4, 4)
    with profile(activities=[ProfilerActivity.CPU]) as found:
        (linear(lstm(torch.randn(5, 3, 4))[0]) * 2).sum().backward()
    shares = share_time(found.events())
    assert list(shares) == ["products", "recurrence", "memory"]
    assert all(shares.values()) and sum(shares.values()) == pytest.approx(1)

    gru = torch.nn.GRU(4, 4)  # on a CPU many small operations
    with profile(activities=[ProfilerActivity.CPU]) as found:
        gru(torch.randn(50, 3, 4))[0].sum().backward()
    assert share_time(found.events())["products"] < 0.05


def test_the_time_of_a_gpu_is_that_of_the_operations_that_gave_it_work():
    def operation(name, device_time, start, parent=None, device=DeviceType.CPU):
        return SimpleNamespace(
            name=name,
            self_device_time_total=device_time,
            device_type=device,
            cpu_parent=parent,
            sequence_nr=start,
            time_range=SimpleNamespace(start=start),
        )

    lstm = operation("aten::lstm", 0, 0)
    back = operation("autograd::engine::evaluate_function: CudnnRnnBackward0", 0, 0)
    events = [
        lstm,
        operation("aten::_cudnn_rnn", 30, 1, lstm),
        operation("aten::addmm", 20, 2),
        operation("ampere_sgemm", 20, 2, device=DeviceType.CUDA),
        operation("aten::relu", 10, 3),
        back,
        operation("aten::_cudnn_rnn_backward", 40, 4, back),
    ]
    expected = {"products": 0.2, "recurrence": 0.7, "memory": 0.1}
    assert share_time(events, on_device=True) == pytest.approx(expected)


def test_reading_has_its_share_beside_those_of_the_step():
    assert share_with_reading({"products": 0.5, "memory": 0.5}, step=3, reading=1) == {
        "products": 0.375,
        "memory": 0.375,
        "reading": 0.25,
    }


def test_a_synthetic_store_holds_clips_of_the_size_that_is_asked_for(tmp_path):
    streams = {
        "frames": Stream("face", "pictures", (2, 16, 16, 3), "uint8"),
        "face_map": Stream("face", "maps", (1, 4, 2, 2), "float16"),
        "mfcc": Stream("audio", "sequence", (5, 7), "float32"),
        "vector": Stream("audio", "vector", (6,), "float32"),
    }
    size = Size(batch_size=3, frames=9, map_size=5)
    resized = {name: size.resize(stream) for name, stream in streams.items()}
    root = write_store(tmp_path / "store", resized, 2, {"train": 4, "val": 1, "test": 1})
    data = FaceAudioDataModule(str(root), batch_size=3, streams=list(streams))
    batch = next(iter(data.loader("train")))
    shapes = {name: tuple(values.shape) for name, values in batch.streams.items()}
    assert shapes == {
        "frames": (3, 2, 3, 40, 40),
        "face_map": (3, 1, 4, 5, 5),
        "mfcc": (3, 9, 7),
        "vector": (3, 6),
    }
    assert batch.lengths["mfcc"].tolist() == [9] * 3
    assert (
        data.description["outputs"] == 2 and len(data.description["streams"]["mfcc"]["mean"]) == 7
    )
    assert batch.streams["frames"].float().std() > 60  # noise


@pytest.mark.parametrize("model", MODELS)
def test_every_model_takes_a_step_that_has_a_cost(model, composing, tmp_path):
    cfg = compose_side([f"model={model}", "data.batch_size=2", *SMALL.split()])
    side = Side(model, cfg)
    opened = make_data_opener(tmp_path, cfg, Size(2), describe_streams(cfg, [side]), batches=1)(
        side
    )
    step = Step(side, opened, Ticks())
    first = step.task.network.state_dict()
    first = {name: values.clone() for name, values in first.items()}
    assert step() == {"forward": 1, "backward": 1, "optimizer": 1}
    changed = [n for n, v in step.task.network.state_dict().items() if not torch.equal(v, first[n])]
    assert changed and step.cost.flops > 1000 and step.cost.traffic > 1000


def test_the_shapes_of_a_store_are_those_of_its_clips(party_store, composing):
    cfg = compose_side(["data=store", f"data.store={party_store}"])
    assert cfg.model.network.face_encoder.stream == "frames"  # it has no face maps
    streams = Store(party_store).streams
    assert describe_streams(cfg, [Side("lowrank", cfg)]) == streams
    given = ["data=store", f"data.store={party_store}", "benchmark.frames=[4,8]"]
    assert list_sizes(compose_side(given)) == [Size(32, 4), Size(32, 8)]


def test_face_maps_take_the_place_of_a_face_encoder_that_nobody_chose(composing):
    assert compose_side([]).model.network.face_encoder.stream == "face_map"
    chosen = ["model/face_encoder=convnet"]
    assert compose_side(chosen).model.network.face_encoder.stream == "frames"
    assert "face_encoder" not in compose_side(["model=audio_only"]).model.network
    own = ["model=concat", "model.network.head.hidden_dim=7", "optimizer.lr=0.5"]
    other = compose_side(own, model="film")
    assert other.model.network.head.hidden_dim == 400 and other.optimizer.lr == 0.5
    assert compose("benchmark").compile is False
