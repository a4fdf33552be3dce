"""Claims about the graph of a network's operations."""

from typing import NamedTuple

import pytest
import torch
from conftest import CONF, MODELS, build, load, toy_clips
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from avfusion.graph.operations import graph_of
from avfusion.graph.recorder import RECURRENT, unrolled
from avfusion.run.streams import streams_of

PARTS = [
    f"model/{group}={path.stem}"
    for group in ("face_encoder", "audio_encoder", "attention")
    for path in sorted((CONF / "model" / group).glob("*.yaml"))
]


def marks_of(part: str) -> list[pytest.MarkDecorator]:
    """What a test of this part needs."""
    return [pytest.mark.encoders] if part.endswith(("=timm", "=torchvision")) else []


def reached(graph, start: str) -> set[str]:
    """The operations on which one depends, itself among them."""
    inputs = {node.name: [name.partition(":")[0] for name in node.inputs] for node in graph}
    found, waiting = set(), [start]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += inputs[name]
    return found


@pytest.mark.parametrize(
    ("model", "part"),
    [
        *((model, None) for model in MODELS),
        *(pytest.param("lowrank", part, marks=marks_of(part)) for part in PARTS),
    ],
)
def test_every_network_leads_from_its_clips_to_its_scores(model, part):
    task = build(model, *([part] if part else []))
    clips, before = toy_clips(3), torch.get_rng_state()
    graph = graph_of(task.network, clips)
    assert torch.equal(torch.get_rng_state(), before)
    names = [node.name for node in graph]
    assert len(names) == len(set(names))
    known = reached(graph, "scores/logits")
    overrides = [f"model={model}", *([part] if part else [])]
    assert {f"clips/{name}" for name in streams_of(load("train", *overrides).model)} <= known
    tops = {name.partition("/")[0] for name in known}
    parts = {name for name, part in task.network.named_children() if [*part.parameters()]}
    assert parts - tops == set()
    assert next(node for node in graph if node.name == "scores/logits").shapes == [(3, 3)]


def test_the_network_is_left_as_it_was():
    task = build("lowrank").train()
    before = {name: value.clone() for name, value in task.state_dict().items()}
    graph_of(task.network, toy_clips(2))
    assert all(part.training for part in task.network.modules())
    assert all(not part._forward_hooks for part in task.network.modules())
    assert all(torch.equal(before[name], value) for name, value in task.state_dict().items())
    assert all(weight.requires_grad for weight in task.parameters())


class Scores(NamedTuple):
    logits: Tensor
    glimpses: Tensor | None


class Small(nn.Module):
    """A network small enough to write its graph by hand."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(75, 5), nn.ReLU())
        self.heads = nn.ModuleDict({"left": nn.Linear(5, 2), "right": nn.Linear(5, 2)})

    def forward(self, clips):
        body = self.body(clips.streams["mfcc"].sum(dim=1))
        left, right = self.heads["left"](body).chunk(2, dim=1)
        return Scores(torch.cat([right, left], dim=1) + self.heads["right"](body).T.T, None)


def test_the_graph_is_that_which_a_reader_would_draw():
    nodes = {node.name: node for node in graph_of(Small(), toy_clips(4, frames=12))}
    assert {name: node.inputs for name, node in nodes.items()} == {
        "clips/mfcc": [],
        "sum": ["clips/mfcc"],
        "body/Linear_0": ["sum"],
        "body/ReLU_1": ["body/Linear_0"],
        "left": ["body/ReLU_1"],
        "chunk": ["left"],
        "cat": ["chunk:1", "chunk"],
        "right": ["body/ReLU_1"],
        "add": ["cat", "right"],
        "scores/logits": ["add"],
    }
    assert nodes["clips/mfcc"].shapes == [(4, 12, 75)]
    assert nodes["chunk"].shapes == [(4, 1), (4, 1)]
    assert nodes["body/Linear_0"].kind == "linear"
    assert nodes["body/Linear_0"].weights == "weight [5, 75], bias [5]"


class Packed(nn.Module):
    """A network that needs to know lengths, and draws at random."""

    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(75, 4, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, clips):
        lengths = clips.lengths["mfcc"].cpu()
        packed = pack_padded_sequence(clips.streams["mfcc"], lengths, True, enforce_sorted=False)
        frames, _ = pad_packed_sequence(self.lstm(packed)[0], batch_first=True)
        return Scores(self.head(frames.mean(dim=1) + torch.randn(8)), None)


def test_a_network_that_looks_at_lengths_is_drawn_too_and_nothing_is_drawn_at_random():
    network, clips = Packed(), toy_clips(4)
    before = torch.get_rng_state()
    graph = graph_of(network, clips)
    assert torch.equal(torch.get_rng_state(), before)
    assert {"clips/mfcc", "clips/mfcc_length", "lstm"} <= {
        name.removesuffix("/lstm") for name in reached(graph, "scores/logits")
    }


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("options", [{}, {"num_layers": 3, "bidirectional": True}])
def test_recurrent_networks_are_given_the_shapes_that_they_would_compute(kind, options):
    network, audio = getattr(nn, kind)(7, 5, batch_first=True, **options), torch.randn(2, 6, 7)
    expected, states = network(audio)

    class Shortcut(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            called.append(func.__name__)
            call = unrolled if func.__name__ in RECURRENT else func
            return call(*args, **(kwargs or {}))

    called = []
    with Shortcut():
        found, last = network(audio)
    assert set(RECURRENT) & set(called)
    assert found.shape == expected.shape
    pairs = zip(last, states, strict=True)
    assert all(one.shape == other.shape for one, other in pairs)
