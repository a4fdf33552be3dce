"""Figures of the same few validation clips over training, with their sound and predictions."""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor

from avfusion.corpora.labels import ClassesOf
from avfusion.dashboard.last_outputs import LastOutputs
from avfusion.dashboard.media_loggers import media_loggers
from avfusion.dashboard.tensorboard_writer import check_epochs, is_due
from avfusion.data.batch import Clips
from avfusion.data.store import Store
from avfusion.figures.clip import clip_figure, clip_view, read_sound
from avfusion.targets import Target


class ClipImages(L.Callback):
    """Draw some validation clips of each class with what the network saw in them, every n epochs.

    ``seed`` chooses the clips, the same in each epoch, of those that the first process validates.
    Their sounds are kept once.
    """

    def __init__(self, clips_per_class: int = 1, every_n_epochs: int = 8, seed: int = 0) -> None:
        if clips_per_class < 1:
            raise ValueError(
                f"callbacks.clip_images.clips_per_class must be at least 1, got {clips_per_class}."
            )

        self.every_n_epochs = check_epochs(every_n_epochs, "clip_images")
        self.clips_per_class = clips_per_class
        self.seed = seed
        self.last = LastOutputs()
        self.tags: dict[int, str] = {}  # of the chosen rows
        self.sounded = False

    def on_validation_epoch_start(self, trainer: L.Trainer, pl_module: Any) -> None:
        """Listen to the network where this epoch is drawn."""
        found = media_loggers(trainer) if is_due(trainer, self.every_n_epochs) else []
        if not found:
            return
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        if not self.tags:
            seen = int(trainer.num_val_batches[0]) * data.batch_size
            rows = data.splits.rows("val")[:: trainer.world_size][:seen].tolist()
            labels = data.store.labels.texts(rows)
            self.tags = choose_clips(
                rows, labels, self.clips_per_class, self.seed, data.target.classes_of
            )

        if not self.sounded:
            heard = {row: tag for row, tag in self.tags.items() if data.store.has_audio[row]}
            for row, tag in heard.items():
                for logger in found:
                    logger.sound(f"sounds/{tag}", read_sound(data.store, row), trainer.global_step)
            self.sounded = True

        self.last.listen(pl_module.network)

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Clips, *_: Any
    ) -> None:
        """Draw the chosen clips of a batch."""
        if self.last.scores is None:
            return
        logits, glimpses = self.last.scores[:2]
        chosen = [clip for clip, row in enumerate(batch.row.tolist()) if row in self.tags]
        for clip in chosen:
            where = None if glimpses is None else glimpses[clip].float().cpu()
            target: Target = pl_module.target  # type: ignore[assignment]
            prediction = target.predict(logits[clip]).cpu()
            self.draw(trainer, int(batch.row[clip]), prediction, where)

    def draw(
        self, trainer: L.Trainer, row: int, prediction: Tensor, glimpses: Tensor | None
    ) -> None:
        """Draw one clip."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        store: Store = data.store
        figure = clip_figure(clip_view(store, row, prediction, glimpses, data.target))
        for logger in media_loggers(trainer):
            logger.figure(f"clips/{self.tags[row]}", figure, trainer.global_step)

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Leave the network alone."""
        self.last.stop()


def choose_clips(
    rows: Sequence[int], labels: Sequence[str], each: int, seed: int, classes_of: ClassesOf
) -> dict[int, str]:
    """Choose some rows of each class by seed, and name them; a row is chosen once."""
    generator = torch.Generator().manual_seed(seed)  # training's own stays as it is
    found: defaultdict[str, list[int]] = defaultdict(list)
    for position in torch.randperm(len(rows), generator=generator).tolist():
        classes = classes_of(labels[position])
        missing = [name for name in classes if len(found[name]) < each]
        if missing:
            found[missing[0]].append(rows[position])

    return {
        row: f"{label or 'unlabeled'}_{number}"
        for label, chosen in found.items()
        for number, row in enumerate(sorted(chosen), start=1)
    }
