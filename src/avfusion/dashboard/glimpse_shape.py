"""Shape of glimpses: entropy, largest weight, and similarity of two."""

from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from avfusion.dashboard.last_outputs import LastOutputs
from avfusion.data.batch import Clips
from avfusion.models.attention.entropy import mean_entropy


class GlimpseShape(L.Callback):
    """Log how the glimpses of the validation clips look, each epoch.

    ``val/attention_entropy`` is that of a glimpse in nats: zero where all of it lies in one cell,
    the logarithm of the number of cells where it is the same in all.
    ``val/attention_largest_weight`` is that of its largest cell, ``val/attention_similarity`` the
    cosine between two glimpses of a clip: one where they are the same. Means over clips and
    glimpses; one glimpse alone has no similarity.
    """

    def __init__(self) -> None:
        self.last = LastOutputs()
        self.sums = torch.zeros(0)  # of clips: entropy, largest weight, similarity, number, pairs

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Listen to the network."""
        self.sums = torch.zeros(5, device=pl_module.device)
        self.last.listen(pl_module.network)

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Clips, *_: Any
    ) -> None:
        """Count the glimpses of a batch."""
        assert self.last.scores is not None
        if self.last.scores.glimpses is not None:
            self.sums += sum_statistics(self.last.scores.glimpses)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log the means over all clips and processes, and leave the network alone."""
        self.last.stop()
        entropy, largest, similarity, clips, pairs = trainer.strategy.reduce(
            self.sums, reduce_op="sum"
        )
        if clips:
            means = {
                "val/attention_entropy": entropy / clips,
                "val/attention_largest_weight": largest / clips,
            }
            alike = {"val/attention_similarity": similarity / pairs} if pairs else {}
            pl_module.log_dict(means | alike)


def sum_statistics(glimpses: Float[Tensor, "batch glimpses *map"]) -> Float[Tensor, "5"]:
    """Sums over clips of what is logged, the clips, and those with several glimpses."""
    weights = glimpses.flatten(2).float()
    clips, count = weights.shape[:2]
    similarity, pairs = weights.new_zeros(()), 0
    if count > 1:
        pairs = clips
        whole = F.normalize(weights, dim=-1).sum(dim=1)  # its square: of all pairs, and of each
        similarity = ((whole.square().sum(dim=-1) - count) / (count * (count - 1))).sum()

    entropy, largest = mean_entropy(weights) * clips, weights.amax(dim=-1).mean() * clips

    return torch.stack([entropy, largest, similarity, *weights.new_tensor([clips, pairs])])
