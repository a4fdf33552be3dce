"""What a network is made of."""

import logging

import lightning as L
from torch import nn

from avfusion.cost import parameters

log = logging.getLogger(__name__)


class Parts(L.Callback):
    """Log the parts of the network and their parameters as training begins."""

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Log a line per part."""
        if trainer.is_global_zero:
            network = pl_module.get_submodule("network")
            log.info("\n".join([f"{line(type(network).__name__, '', network)}", *lines(network)]))


def lines(network: nn.Module) -> list[str]:
    """Return a line per part that has parameters."""
    return [
        line(f"  {name}", type(part).__name__, part)
        for name, part in network.named_children()
        if parameters(part)
    ]


def line(name: str, kind: str, part: nn.Module) -> str:
    """Return name, kind and parameters of a part, and how many of those do not learn."""
    frozen = sum(p.numel() for p in part.parameters() if not p.requires_grad)
    note = f" ({frozen:,} frozen)" if frozen else ""
    return f"{name:18}{kind:24}{parameters(part):>12,} parameters{note}"
