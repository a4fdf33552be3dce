"""Curves that belong together, in one chart."""

import lightning as L

from avfusion.callbacks.board import board

# Charts are regular expressions of tags; those that match nothing stay empty.
LAYOUT = {
    "scores": {
        "loss": ["Multiline", ["^(train|val)/loss$"]],
        "accuracy": ["Multiline", ["^(train|val)/(accuracy|balanced_accuracy|macro_f1)$"]],
        "several classes": [
            "Multiline",
            ["^(train|val)/(subset_accuracy|mean_average_precision)$"],
        ],
        "recall per class, validation": ["Multiline", ["^val/accuracy_"]],
        "attention on the speaker": ["Multiline", ["^(train|val)/attention_(hit|mass)$"]],
    },
    "system": {
        "gradient norm per part": ["Multiline", ["^train/gradient_norm_"]],
        "learning rate": ["Multiline", ["^train/learning_rate"]],
    },
}


class ScalarLayout(L.Callback):
    """Lay out the CUSTOM SCALARS tab."""

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the layout."""
        if writer := board(trainer):
            writer.add_custom_scalars(LAYOUT)
