"""What a network computes, as a graph of its operations."""

import copy
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn

from avfusion.data.batch import Clips
from avfusion.graph.recorder import Node, Recorder


def graph_of(network: nn.Module, clips: Clips) -> list[Node]:
    """Return the operations that score clips in evaluation, from ``clips/`` to ``scores/``.

    They are recorded with a copy that has no weights, where nothing is computed; a network that
    looks at values, such as lengths to pack sequences, really runs. Nothing random is drawn.
    """
    weights = [*network.parameters(), *network.buffers()]
    ghosts = [nn.Parameter(torch.empty_like(one, device="meta"), False) for one in weights]
    try:
        memory: dict[int, Any] = dict(zip(map(id, weights), ghosts, strict=True))
        return record(copy.deepcopy(network, memory), clips.map(lambda part: part.to("meta")))
    except RuntimeError:
        with torch.random.fork_rng(devices=[]):
            return record(copy.deepcopy(network).cpu(), clips.map(Tensor.cpu))


def record(network: nn.Module, clips: Clips) -> list[Node]:
    """Return the operations of a network that is not needed afterwards."""
    recorder = Recorder(network.eval())
    for name, part in clips.named().items():
        recorder.add(f"clips/{name}", "clips", [], [part])
    with torch.no_grad(), recorder:
        scores = network(clips)
    for field, part in zip(scores._fields, scores, strict=True):
        if part is not None:
            recorder.add(f"scores/{field}", "scores", [part], [part])
    used = {name.partition(":")[0] for node in recorder.nodes for name in node.inputs}
    return shortened([node for node in recorder.nodes if node.kind != "clips" or node.name in used])


def shortened(nodes: list[Node]) -> list[Node]:
    """Let a part that is but one operation be that operation."""
    within = Counter(parent for node in nodes for parent in parents(node))
    names = {
        node.name: next((one for one in parents(node) if within[one] == 1), node.name)
        for node in nodes
    }

    def name(of: str) -> str:
        node, colon, port = of.partition(":")
        return names[node] + colon + port

    return [
        node._replace(name=names[node.name], inputs=[name(one) for one in node.inputs])
        for node in nodes
    ]


def parents(node: Node) -> list[str]:
    """Return the parts that hold an operation, the largest first."""
    if node.kind in ("clips", "scores"):
        return []
    parts = node.name.split("/")[:-1]
    return ["/".join(parts[: end + 1]) for end in range(len(parts))]
