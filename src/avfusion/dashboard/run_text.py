"""Texts of a run: configuration, provenance, the parts of the model."""

from collections.abc import Sequence
from pathlib import Path

import lightning as L
from torch import nn

from avfusion.dashboard.media_loggers import media_loggers
from avfusion.models.cost import count_parameters

MAX_CHARACTERS = 50_000  # characters: a long difference to the commit has its own file
MAX_DEPTH = 3  # parts within parts within parts


class RunText(L.Callback):
    """Write the files that say where a run comes from, and the parts of the model."""

    def __init__(
        self, files: Sequence[str] = ("config.yaml", "provenance.json", "git.diff")
    ) -> None:
        self.files = files

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write what is there."""
        found = media_loggers(trainer)
        if not found:
            return
        texts = {"model": outline(pl_module.get_submodule("network"))}
        for name in self.files:
            path = Path(trainer.default_root_dir) / name
            if path.is_file():
                texts[name] = path.read_text(encoding="utf-8", errors="replace")

        for name, text in texts.items():
            for logger in found:
                logger.text(f"run/{name}", _truncate(text), trainer.global_step)


def outline(network: nn.Module) -> str:
    """Line for each part of a network: its parameters, its name and what it is."""
    lines = [f"{'parameters':>12}  part"]
    for path, part in network.named_modules(prefix="network"):
        *parents, name = path.split(".")
        if len(parents) <= MAX_DEPTH:
            indent = "  " * len(parents)
            lines.append(f"{count_parameters(part):12,}  {indent}{name}: {type(part).__name__}")

    return "\n".join(lines)


def _truncate(text: str) -> str:
    """Cut a text that is very long."""
    left_out = len(text) - MAX_CHARACTERS
    return text if left_out <= 0 else f"{text[:MAX_CHARACTERS]}\n... and {left_out} characters more"
