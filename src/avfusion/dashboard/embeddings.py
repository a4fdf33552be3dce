"""Embeddings of tested clips, for the projector of TensorBoard."""

from typing import Any

import lightning as L
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from avfusion.dashboard.tensorboard_writer import get_writer
from avfusion.data.batch import Clips

VECTOR_NAMES = {"attention": "face", "audio_encoder": "audio", "fusion": "fused"}
METADATA_HEADER = ["label", "subject", "clip_id"]


class Embeddings(L.Callback):
    """Write the vectors of tested clips, with class, subject and a thumbnail each.

    ``face`` is what attention collects, ``audio`` what the audio encoder hears, ``fused`` what both
    become; a network without one of these parts has no such vector. Of the first ``clips`` clips
    that the first process tests; 0: of none.
    """

    def __init__(self, clips: int = 500, thumbnail: int = 32) -> None:
        if clips < 0 or thumbnail < 1:
            raise ValueError(
                "callbacks.embeddings.clips must be at least 0 and thumbnail at least 1 pixel, got "
                f"{clips} and {thumbnail}."
            )

        self.clips = clips
        self.thumbnail = thumbnail
        self.hooks: list[RemovableHandle] = []
        self.vectors: dict[str, list[Tensor]] = {}
        self.pictures: list[Tensor] = []
        self.rows: list[int] = []

    def on_test_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Listen to the parts."""
        self.vectors, self.pictures, self.rows = {}, [], []
        if get_writer(trainer) is None or not self.clips:
            return
        for part, module in pl_module.network.named_children():
            if part in VECTOR_NAMES:
                self.vectors[VECTOR_NAMES[part]] = []
                self.hooks.append(module.register_forward_hook(self.keep(VECTOR_NAMES[part])))

    def keep(self, name: str) -> Any:
        """Hook that keeps the vector among what a part returns."""

        def hook(module: nn.Module, given: Any, returned: Any) -> None:
            if isinstance(returned, tuple):  # tokens before the vector, or weights behind it
                returned = returned[1 if name == "audio" else 0]
            self.vectors[name].append(returned.float().cpu())

        return hook

    def on_test_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Clips, *_: Any
    ) -> None:
        """Keep the pictures, and hear no more than what is asked for."""
        if self.hooks:
            size = (self.thumbnail, self.thumbnail)
            self.rows += batch.row.tolist()
            data: Any = trainer.datamodule  # type: ignore[attr-defined]
            first = data.shown(batch, "face")[:, 0]
            self.pictures.append(F.interpolate(first, size, mode="area"))
            if len(self.rows) >= self.clips:
                self.stop()

    def stop(self) -> None:
        """Leave the network as it was."""
        while self.hooks:
            self.hooks.pop().remove()

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write what was kept."""
        self.stop()
        writer = get_writer(trainer)
        if writer is None or not self.rows:
            return
        records = trainer.datamodule.store.records(self.rows[: self.clips])  # type: ignore[attr-defined]
        names = [[record.label_text, record.subject, record.clip_id] for record in records]
        pictures = torch.cat(self.pictures)[: self.clips]

        for name, vectors in self.vectors.items():
            vector = torch.cat(vectors)[: self.clips]
            writer.add_embedding(
                vector, names, pictures, trainer.global_step, name, metadata_header=METADATA_HEADER
            )
