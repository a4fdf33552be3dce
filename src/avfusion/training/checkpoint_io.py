"""Reading checkpoints once, and writing them so that no half-written one replaces a whole one."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from avfusion.files import atomic_write


class AtomicCheckpointIO(TorchCheckpointIO):
    """Write beside the target, let it reach the disk, then put it into place.

    A checkpoint that was read before Lightning asks for it can be kept for that.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[Path, dict[str, Any]] = {}

    def keep(self, path: Path, checkpoint: dict[str, Any]) -> None:
        """Let the next load of a file return what it was read as; later ones read it again."""
        self.kept = {path: checkpoint}

    def load_checkpoint(self, path: str | Path, *given: Any, **options: Any) -> dict[str, Any]:
        """What was kept of a file, else load it."""
        kept, self.kept = self.kept.get(Path(path)), {}
        return super().load_checkpoint(path, *given, **options) if kept is None else kept

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Save a checkpoint as a file of torch."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target, sync=True) as partial:
            with partial.open("wb") as file:  # by its path, the name would be in the content
                torch.save(checkpoint, file)
