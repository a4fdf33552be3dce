"""Curves that belong together, in one chart."""

import lightning as L

from avfusion.callbacks.board import board
from avfusion.data.datamodule import FaceAudioDataModule

# Charts are regular expressions of tags.
LAYOUT = {
    "scores": {
        "loss": ["Multiline", ["^(train|val)/loss$"]],
        "accuracy": ["Multiline", ["^(train|val)/(accuracy|balanced_accuracy|macro_f1)$"]],
        "several classes": [
            "Multiline",
            ["^(train|val)/(subset_accuracy|mean_average_precision)$"],
        ],
        "recall per class, validation": ["Multiline", ["^val/accuracy_"]],
    },
    "attention": {
        "attention on the speaker": ["Multiline", ["^(train|val)/attention_(hit|mass)$"]],
        "largest weight, similarity of glimpses": [
            "Multiline",
            ["^attention/(largest_weight|similarity)$"],
        ],
        "entropy of a glimpse (nats)": ["Multiline", ["^attention/entropy$"]],
    },
    "system": {
        "gradient norm per part": ["Multiline", ["^train/gradient_norm_"]],
        "learning rate": ["Multiline", ["^train/learning_rate"]],
    },
}


class ScalarLayout(L.Callback):
    """Lay out the CUSTOM SCALARS tab, without charts that the data would leave empty."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the layout."""
        if not (writer := board(trainer)):
            return
        data: FaceAudioDataModule = trainer.datamodule  # type: ignore[attr-defined]
        empty = {
            "several classes": not data.multilabel,
            "attention on the speaker": not data.description["boxes"],
        }
        layout = {
            group: {title: chart for title, chart in charts.items() if not empty.get(title)}
            for group, charts in LAYOUT.items()
        }
        writer.add_custom_scalars(layout)
