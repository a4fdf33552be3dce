"""Claims about clips of one class each."""

import numpy as np
import torch
from conftest import single_label

TARGET = single_label("sad", "angry", "calm")


def test_a_label_is_the_number_of_its_class():
    found = TARGET.encode(["calm", "sad", "Sad", "angry", ""])
    assert found.dtype == np.int64 and found.tolist() == [2, 0, -1, 1, -1]


def test_a_bar_is_part_of_a_name():
    assert TARGET.classes_of("a|b") == ["a|b"]
    assert single_label("a|b", "c").encode(["a|b"]).tolist() == [0]


def test_probabilities_are_the_exponentials_of_the_outputs_over_their_sum():
    outputs = torch.tensor([[0.0, 0.0, 0.0], [1.0, 2.0, 3.0]])
    by_hand = np.exp([1.0, 2.0, 3.0]) / np.exp([1.0, 2.0, 3.0]).sum()
    found = TARGET.predict(outputs).double().numpy()
    np.testing.assert_allclose(found, [[1 / 3] * 3, by_hand], rtol=1e-6)


def test_the_likeliest_class_is_said_however_unlikely_it_is():
    said = TARGET.decide(torch.tensor([0.25, 0.375, 0.375]))
    assert (said.label, said.parts) == ("angry", {"angry": 0.375})
