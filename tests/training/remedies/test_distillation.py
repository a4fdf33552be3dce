"""Claims about the distance from a teacher."""

import math

import pytest
import torch
from conftest import build, single_label, toy_clips

from avfusion.targets import MultiLabel
from avfusion.targets.continuous import Continuous
from avfusion.training.remedies import Distillation
from avfusion.training.remedies.distillation import measure_distance

TWO = {"output_names": ["a", "b"]}


def test_classes_are_compared_by_divergence_at_the_temperature():
    """By hand: at temperature 2 the probabilities are 1/2, 1/2 and 3/4, 1/4."""
    outputs, taught = torch.zeros(1, 2), torch.tensor([[2 * math.log(3), 0.0]])
    found = measure_distance(single_label("a", "b"), outputs, taught, 2.0)
    assert found.item() == pytest.approx(4 * (0.75 * math.log(1.5) + 0.25 * math.log(0.5)))
    assert measure_distance(single_label("a", "b"), taught, taught, 2.0).item() == 0


def test_decisions_are_compared_each_by_its_divergence():
    """By hand: the first decision as above, the second is the same on both sides."""
    outputs, taught = torch.zeros(1, 2), torch.tensor([[2 * math.log(3), 0.0]])
    found = measure_distance(MultiLabel(TWO), outputs, taught, 2.0)
    first = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert found.item() == pytest.approx(4 * first / 2, abs=1e-6)


def test_numbers_are_compared_by_squared_difference_without_temperature():
    outputs, taught = torch.tensor([[1.0, 2.0]]), torch.tensor([[0.0, 4.0]])
    assert measure_distance(Continuous(TWO), outputs, taught, 2.0).item() == (1 + 4) / 2


def test_the_gradient_is_of_one_size_at_any_temperature():
    """Hinton et al.: nearly, where logits are small and their mean is zero."""
    target, taught = single_label("a", "b"), torch.tensor([[0.01, -0.01]])
    sizes = []
    for temperature in (1.0, 10.0):
        outputs = torch.zeros(1, 2, requires_grad=True)
        measure_distance(target, outputs, taught, temperature).backward()
        sizes.append(outputs.grad.abs().sum().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=1e-2)


def test_a_teacher_takes_the_precision_of_the_clips():
    teacher, task = build("lowrank"), build("audio_only").double()
    remedy = Distillation(teacher.network, task.target, weight=1.0)
    clips = toy_clips(4)
    clips = clips._replace(streams={name: part.double() for name, part in clips.streams.items()})
    scores = task(clips)
    found = remedy(torch.zeros((), dtype=torch.double), scores, clips)
    assert found.isfinite() and found > 0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"temperature": 0.0}, "temperature must be positive"), ({"weight": 1.5}, r"in \[0, 1\]")],
)
def test_options_that_mean_nothing_are_refused(options, sentence):
    task = build("audio_only")
    with pytest.raises(ValueError, match=sentence):
        Distillation(task.network, task.target, **options)
