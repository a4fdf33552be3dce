"""Reading checkpoints once, and writing them so that no half-written one replaces a whole one."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from torch import distributed

from avfusion.files import atomic_write


def is_elsewhere(path: Path) -> bool:
    """Whether some processes of a training lack a file that the first one has."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return False
    there: list[bool] = [False] * distributed.get_world_size()
    distributed.all_gather_object(there, path.is_file())
    return there[0] and not all(there)


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
        """What was kept of a file, else load it: where only the first machine has it, from there.

        Processes load together, so that machines need no disk in common.
        """
        kept, self.kept = self.kept.get(Path(path)), {}
        if kept is not None:
            return kept
        if not is_elsewhere(Path(path)):
            return super().load_checkpoint(path, *given, **options)

        is_first = distributed.get_rank() == 0
        sent = [super().load_checkpoint(path, *given, **options) if is_first else None]
        distributed.broadcast_object_list(sent, src=0)
        assert sent[0] is not None
        return sent[0]

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None
    ) -> None:
        """Save a checkpoint as a file of torch."""
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(target, sync=True) as partial:
            with partial.open("wb") as file:  # by its path, the name would be in the content
                torch.save(checkpoint, file)
