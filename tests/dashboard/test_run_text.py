"""Claims about what is written of a run in words, and how its charts are laid out."""

import re

from conftest import build_for, events_of
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.util import tensor_util

from avfusion.dashboard.run_text import MAX_CHARACTERS, _truncate
from avfusion.data.datamodule import FaceAudioDataModule


def text(events, tag):
    (event,) = events.Tensors(f"{tag}/text_summary")
    return tensor_util.make_ndarray(event.tensor_proto).item().decode()


def test_configuration_and_parts_are_written_as_they_are(watched, party_store):
    events = events_of(watched)
    assert text(events, "run/config.yaml") == "    seed: 0\n    name: <b>"
    parts = text(events, "run/model").splitlines()
    network = build_for(FaceAudioDataModule(str(party_store)), "lowrank").network
    weights = sum(weight.numel() for weight in network.parameters())
    assert parts[1].split() == [f"{weights:,}", "network:", "AttentionFusion"]
    assert any(part.endswith("  attention: ConcatAttention") for part in parts)


def test_long_texts_are_cut_and_say_so():
    assert (
        _truncate("a" * (MAX_CHARACTERS + 5))
        == "a" * MAX_CHARACTERS + "\n... and 5 characters more"
    )
    assert _truncate("a\nb" * (MAX_CHARACTERS // 3)) == "a\nb" * (MAX_CHARACTERS // 3)


def test_curves_that_belong_together_share_a_chart(watched):
    events = events_of(watched)
    (event,) = events.Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(tensor_util.make_ndarray(event.tensor_proto).item())
    charts = {chart.title: chart.multiline.tag for part in layout.category for chart in part.chart}
    tags = events.Tags()["scalars"]

    def curves(title):
        return {tag for tag in tags if any(re.match(pattern, tag) for pattern in charts[title])}

    assert curves("loss") == {"train/loss", "train/loss_step", "val/loss"}
    assert {"train/accuracy", "val/accuracy"} <= curves("accuracy")
    recalls = {tag for tag in tags if tag.startswith("val/accuracy_")}
    assert recalls and curves("recall per class, validation") == recalls
    assert "train/gradient_norm_head" in curves("gradient norm per part")
