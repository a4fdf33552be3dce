"""Outputs of the last batch, for callbacks that look at them."""

from typing import Any

from torch import nn
from torch.utils.hooks import RemovableHandle

from avfusion.models.networks.scores import Scores


class LastOutputs:
    """Keep the scores of a network's last batch, between ``listen`` and ``stop``.

    They are those that the metrics count: no clip goes through the network twice, and no random
    number is drawn for a figure.
    """

    def __init__(self) -> None:
        self.scores: Scores | None = None
        self.hook: RemovableHandle | None = None

    def listen(self, network: nn.Module) -> None:
        """Begin to keep scores."""
        self.stop()
        self.hook = network.register_forward_hook(self.keep)

    def keep(self, network: nn.Module, given: Any, scores: Scores) -> None:
        """Keep the scores of a batch."""
        self.scores = scores

    def stop(self) -> None:
        """Leave the network as it was."""
        if self.hook is not None:
            self.hook.remove()
        self.hook = self.scores = None
