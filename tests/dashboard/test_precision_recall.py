"""Claims about the precision-recall curves."""

import numpy as np
import pytest
import torch
from conftest import events_of, single_label, split_by
from tensorboard.util import tensor_util

from avfusion.dashboard.precision_recall import THRESHOLDS, compute_curve, count_above_thresholds
from avfusion.data.store import Store


def test_the_curve_is_that_of_counting_clip_by_clip():
    probabilities, label = torch.rand(40, 3).softmax(dim=1), torch.randint(-1, 3, (40,))
    true, false = count_above_thresholds(probabilities, single_label(*"abc").indicators(label))
    thresholds = np.linspace(0, 1, THRESHOLDS)
    for name in range(3):
        curve = compute_curve(true[name], false[name])
        for place in (0, 40, 50, 60, 126):
            counts = dict.fromkeys(("tp", "fp", "tn", "fn"), 0)
            for row, one in zip(probabilities.double().numpy(), label.tolist(), strict=True):
                if one >= 0:
                    above, own = bool(row[name] >= thresholds[place]), one == name
                    counts[("f", "t")[above == own] + ("n", "p")[above]] += 1
            ours = [int(part[place]) for part in curve[:4]]
            assert ours == [counts[key] for key in ("tp", "fp", "tn", "fn")]
            precision = counts["tp"] / max(counts["tp"] + counts["fp"], 1)
            assert float(curve.precision[place]) == pytest.approx(precision)
            recall = counts["tp"] / (counts["tp"] + counts["fn"])
            assert float(curve.recall[place]) == pytest.approx(recall)


def test_there_is_a_curve_for_each_class_that_occurs_and_it_starts_with_every_clip(
    watched, party_store
):
    store, events = Store(party_store), events_of(watched)
    for stage, drawn in (("val", 2), ("test", 1)):
        labels = store.labels.texts(split_by(store).rows(stage))
        tags = {tag for tag in events.Tags()["tensors"] if tag.startswith(f"{stage}_precision")}
        assert tags == {f"{stage}_precision_recall/{label}" for label in labels}
        for tag in tags:
            curves = events.Tensors(tag)
            assert len(curves) == drawn
            counts = tensor_util.make_ndarray(curves[-1].tensor_proto)
            assert counts.shape == (6, THRESHOLDS)
            own = labels.count(tag.partition("/")[2])
            assert counts[:4, 0].tolist() == [own, len(labels) - own, 0, 0]


def test_the_tab_knows_them_as_its_own(watched):
    events = events_of(watched)
    tag = next(tag for tag in events.Tags()["tensors"] if tag.startswith("val_precision"))
    assert events.SummaryMetadata(tag).plugin_data.plugin_name == "pr_curves"
