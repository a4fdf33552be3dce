"""Claims about the confusion matrix."""

import io

import numpy as np
import torch
from conftest import events_of
from PIL import Image

from avfusion.dashboard import ConfusionMatrix
from avfusion.figures.predictions import confusion_figure


def test_counts_every_clip_with_a_label_once():
    logits, label = torch.randn(50, 4), torch.randint(-1, 4, (50,))
    expected = np.zeros((4, 4), int)
    for scores, true in zip(logits.numpy(), label.tolist(), strict=True):
        if true >= 0:
            expected[true, scores.argmax()] += 1
    assert np.array_equal(ConfusionMatrix().count(logits, label).numpy(), expected)


def test_the_figure_writes_counts_and_parts_of_the_true_class():
    counts = np.array([[3, 1], [0, 0]])
    left, right = [axes for axes in confusion_figure(counts, ["low", "high"]).axes if axes.texts]
    assert [text.get_text() for text in left.texts] == ["3", "1", "0", "0"]
    assert [text.get_text() for text in right.texts] == [".75", ".25", ".00", ".00"]
    assert [label.get_text() for label in left.get_yticklabels()] == ["low", "high"]


def test_many_classes_are_drawn_without_numbers():
    figure = confusion_figure(np.eye(60, dtype=int), [f"class {n}" for n in range(60)])
    assert not any(axes.texts for axes in figure.axes)


def test_it_is_drawn_in_every_drawn_epoch_and_for_the_test(watched):
    events = events_of(watched)
    assert [event.step for event in events.Images("val/confusion")] == [6, 9]
    (tested,) = events.Images("test/confusion")
    assert Image.open(io.BytesIO(tested.encoded_image_string)).size[0] > 500
