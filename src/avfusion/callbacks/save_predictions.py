"""Predictions of a test and of validation, written to the folder of a run."""

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avfusion.callbacks.resume import gather_objects
from avfusion.dashboard.last_outputs import LastOutputs
from avfusion.data.batch import Clips
from avfusion.evaluation.predictions import (
    FILE_NAME,
    VALIDATION_FILE_NAME,
    GlimpsePeaks,
    Predictions,
)
from avfusion.training.metrics.pointing import pointing


class SavePredictions(L.Callback):
    """Write ``predictions.npz``, or a file of another name, at the end of each test.

    What the network returns is kept on its device until then: a few numbers per clip, for which the
    device is never waited for. A file of an earlier test is removed as a test begins. Clips of all
    processes are in the file. After the test of a training, ``predict_validation`` lets it write
    ``val_predictions.npz``, too.
    """

    def __init__(self, folder: str, name: str = FILE_NAME) -> None:
        self.folder = Path(folder)
        self.name = name
        self.validates = False
        self.last = LastOutputs()
        self.batches: list[dict[str, Tensor]] = []

    def on_fit_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Remove the validation clips of an earlier training, which had other weights."""
        if trainer.is_global_zero:
            (self.folder / VALIDATION_FILE_NAME).unlink(missing_ok=True)

    def on_test_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Listen to the network."""
        if trainer.is_global_zero:
            (self.folder / self.name).unlink(missing_ok=True)
        self._listen(pl_module)

    def on_predict_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Listen to the network, where it answers the validation clips of a training."""
        if self.validates:
            self._listen(pl_module)

    def _listen(self, pl_module: Any) -> None:
        self.batches = []
        self.last.listen(pl_module.network)

    def on_test_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Clips, *_: Any
    ) -> None:
        """Keep the outputs of a batch."""
        assert self.last.scores is not None
        logits, glimpses = self.last.scores[:2]
        kept = {
            "rows": batch.row,
            "outputs": logits if logits.dtype == torch.float64 else logits.float(),
            "targets": batch.label,
        }
        if glimpses is not None:
            kept |= find_peaks(glimpses, batch.box)
        self.batches.append(kept)

    def on_predict_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Clips, *_: Any
    ) -> None:
        """Keep the outputs of a batch."""
        if self.validates:
            self.on_test_batch_end(trainer, pl_module, outputs, batch)

    def on_test_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the clips of all processes, each once, in the order of the store."""
        self._write(trainer, self.name)

    def on_predict_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the validation clips of a training."""
        if self.validates:
            self._write(trainer, VALIDATION_FILE_NAME)

    def predict(self, trainer: L.Trainer, task: L.LightningModule, data: Any) -> None:
        """Write ``val_predictions.npz`` of the weights that a task has, by one pass."""
        self.validates = True
        try:
            trainer.predict(task, datamodule=data.reading("val"), return_predictions=False)
        finally:
            self.validates = False

    def _write(self, trainer: L.Trainer, name: str) -> None:
        self.last.stop()
        own = {
            name: torch.cat([batch[name] for batch in self.batches]).cpu().numpy()
            for name in (self.batches[0] if self.batches else {})
        }
        parts = [part for part in gather_objects(own) if part]
        self.batches = []
        if not trainer.is_global_zero or not parts:
            return
        arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        rows, places = np.unique(arrays["rows"], return_index=True)
        arrays = {name: values[places] for name, values in arrays.items()} | {"rows": rows}
        glimpses = None
        if "peaks" in arrays:
            shape = arrays.pop("map_shape")[0]
            found = (arrays.pop(name) for name in GlimpsePeaks._fields[1:])
            glimpses = GlimpsePeaks(shape, *found)

        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        self.folder.mkdir(parents=True, exist_ok=True)
        Predictions(
            split=data.eval_split,
            store=str(data.path),
            labels=data.target.kind,
            modalities=list(data.kept),
            output_names=list(data.target.output_names),
            clip_ids=np.array(data.store.texts("clip_id"))[rows],
            subjects=np.array(data.store.texts("subject"))[rows],
            boxes=data.store.boxes[rows],
            glimpses=glimpses,
            **arrays,
        ).save(self.folder, name)


def predict_validation(trainer: L.Trainer, task: L.LightningModule, data: Any) -> None:
    """Write the predictions of validation where those of the test, another split, are written."""
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # a connector sets it
        if isinstance(callback, SavePredictions) and data.eval_split != "val":
            callback.predict(trainer, task, data)


def find_peaks(
    glimpses: Float[Tensor, "batch glimpses pictures rows columns"], box: Float[Tensor, "batch 4"]
) -> dict[str, Tensor]:
    """Find the largest weight of each glimpse, and what the pointing game says of each clip."""
    shape = glimpses.shape[2:]
    weights, place = glimpses.float().flatten(2).max(dim=-1)
    hit, mass = pointing(glimpses, box)
    unknown = box.isnan().any(dim=1)
    return {
        "map_shape": torch.tensor(shape).repeat(len(glimpses), 1),
        "peaks": torch.stack(torch.unravel_index(place, shape), dim=-1),
        "peak_weights": weights,
        "attention_hit": hit.masked_fill(unknown, torch.nan),
        "attention_mass": mass.float().masked_fill(unknown, torch.nan),
    }
