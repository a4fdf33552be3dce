"""Layout of the custom scalars: curves that belong together share a chart."""

import math
import re
from collections.abc import Sequence
from typing import Any

import lightning as L
from torch import nn

from avfusion.callbacks.gradient_blending import GradientBlending
from avfusion.callbacks.ogm_ge import OGMGE
from avfusion.dashboard.tensorboard_writer import get_writer
from avfusion.data.datamodule import FaceAudioDataModule

MAX_LINES = 8  # of a chart, as there are eight colors; more lines go to further charts
RECALL = "recall per class, validation"
PRECISION = "average precision per class, validation"
CONCORDANCE = "CCC per number, validation"
GRADIENTS = "gradient norm per part"
LEARNING_RATE = "learning rate"
ADVERSARY = "discriminator against generator"
ALIGNMENT = "discriminator of the modalities"
REMEDIES = "factors of gradients, and weights of losses"
ADVERSARIAL_TAGS = (
    "d_loss_real|d_loss_fake|g_loss|d_accuracy|gradient_norm_(imagination|discriminators)"
)
# The score that a chart needs, of all clips or of each class.
OVERALL = {
    "accuracy": "accuracy",
    "several classes": "subset_accuracy",
    "agreement": "ccc",
    "error": "rmse",
}
EACH = {RECALL: "accuracy", PRECISION: "average_precision", CONCORDANCE: "ccc"}

# Charts are regular expressions of tags.
LAYOUT = {
    "scores": {
        "loss": ["Multiline", ["^(train|val)/loss(_step|_epoch)?$"]],
        "accuracy": ["Multiline", ["^(train|val)/(accuracy|balanced_accuracy|macro_f1)$"]],
        "several classes": [
            "Multiline",
            ["^(train|val)/(subset_accuracy|mean_average_precision)$"],
        ],
        "agreement": ["Multiline", ["^(train|val)/(ccc|pcc)$"]],
        "error": ["Multiline", ["^(train|val)/(rmse|mae)$"]],
        RECALL: ["Multiline", ["^val/accuracy_"]],
        PRECISION: ["Multiline", ["^val/average_precision_"]],
        CONCORDANCE: ["Multiline", ["^val/ccc_"]],
    },
    "attention": {
        "attention on the speaker": ["Multiline", ["^(train|val)/attention_(hit|mass)$"]],
        "largest weight, similarity of glimpses": [
            "Multiline",
            ["^val/attention_(largest_weight|similarity)$"],
        ],
        "entropy of a glimpse (nats)": ["Multiline", ["^val/attention_entropy$"]],
    },
    "training": {
        GRADIENTS: ["Multiline", ["^train/gradient_norm_"]],
        LEARNING_RATE: ["Multiline", ["^train/learning_rate"]],
        ADVERSARY: ["Multiline", [f"^train/({ADVERSARIAL_TAGS})$"]],
        ALIGNMENT: ["Multiline", ["^train/modality_(loss|accuracy)$"]],
        REMEDIES: ["Multiline", ["^train/(ogm|blend)_"]],
    },
}


class ScalarLayout(L.Callback):
    """Lay out the CUSTOM SCALARS tab, without charts that the data would leave empty.

    A chart has at most ``MAX_LINES`` lines of a run: of many classes, parts or groups of
    parameters there are several charts.
    """

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the layout."""
        if not (writer := get_writer(trainer)):
            return
        data: FaceAudioDataModule = trainer.datamodule  # type: ignore[attr-defined]
        target = data.target
        empty = {
            **{title: score not in target.scores for title, score in OVERALL.items()},
            **{title: score not in target.class_scores for title, score in EACH.items()},
            "attention on the speaker": not data.description["boxes"],
        }
        discriminators = getattr(pl_module, "discriminators", nn.ModuleDict())
        empty |= {
            ADVERSARY: "face" not in discriminators,
            ALIGNMENT: "modality" not in discriminators,
            REMEDIES: not any(
                isinstance(callback, OGMGE | GradientBlending)
                for callback in trainer.callbacks  # type: ignore[attr-defined]  # a connector sets it
            ),
        }
        network = pl_module.get_submodule("network")
        beside = [
            ("discriminators", discriminators),
            ("remedies", pl_module.get_submodule("remedies")),
        ]
        groups = [group for optimizer in trainer.optimizers for group in optimizer.param_groups]
        tags = {
            **{
                title: [f"val/{score}_{name}" for name in target.output_names]
                for title, score in EACH.items()
            },
            GRADIENTS: [
                f"train/gradient_norm_{name}"
                for name, part in [*network.named_children(), *beside]
                if any(True for _ in part.parameters())
            ],
            LEARNING_RATE: [
                f"train/learning_rate/{group.get('name', f'pg{number}')}"
                for number, group in enumerate(groups, start=1)
            ],
        }
        layout: dict[str, dict[str, Any]] = {}

        for part, charts in LAYOUT.items():
            layout[part] = {}
            for title, chart in charts.items():
                if empty.get(title):
                    continue
                if len(tags.get(title, [])) <= MAX_LINES:
                    layout[part][title] = chart
                    continue
                for name, some in split_chart(title, tags[title]).items():
                    exactly = "|".join(map(re.escape, some))
                    layout[part][name] = ["Multiline", [f"^({exactly})$"]]

        writer.add_custom_scalars(layout)


def split_chart(title: str, tags: Sequence[str]) -> dict[str, list[str]]:
    """Charts of about as many lines each, none of more than ``MAX_LINES``."""
    charts = math.ceil(len(tags) / MAX_LINES)
    if charts < 2:
        return {title: list(tags)} if tags else {}
    edges = [len(tags) * number // charts for number in range(charts + 1)]
    return {
        f"{title}, {number + 1} of {charts}": list(tags[edges[number] : edges[number + 1]])
        for number in range(charts)
    }
