"""What the network computes, part within part."""

import lightning as L
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.compat.proto.node_def_pb2 import NodeDef
from torch import nn

from avfusion.dashboard.tensorboard_writer import board
from avfusion.data.batch import Clips
from avfusion.graph.operations import graph_of
from avfusion.graph.recorder import Node


class NetworkGraph(L.Callback):
    """Write the graph of the network, with the shapes that the first training batch has in it."""

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Clips, batch_idx: int
    ) -> None:
        """Write once; a run that goes on has its first batch behind it."""
        writer = board(trainer) if trainer.global_step == 0 and batch_idx == 0 else None
        if writer is None:
            return
        network = pl_module.network
        assert isinstance(network, nn.Module)
        graph = GraphDef(node=[node_def(node) for node in graph_of(network, batch)])
        graph.versions.producer = 22  # of the format
        writer._get_file_writer().add_event(Event(graph_def=graph.SerializeToString()))


def node_def(node: Node) -> NodeDef:
    """Return an operation as the tab reads it: shapes are written on its edges."""
    written = NodeDef(name=node.name, op=node.kind, input=node.inputs)
    for shape in node.shapes:
        known = written.attr["_output_shapes"].list.shape.add()
        for size in shape:
            known.dim.add(size=size)
    if node.weights:
        written.attr["weights"].s = node.weights.encode()
    return written
