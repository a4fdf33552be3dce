import math

import pytest
import torch

from avfusion.training.optimizer import constant_schedule, cosine_schedule


def optimizer() -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=2.0)


def rates(schedule, steps: int) -> list[float]:
    """The learning rate of each step, and that after the last."""
    seen = []
    for _ in range(steps + 1):
        seen.append(schedule.get_last_lr()[0])
        schedule.optimizer.step()
        schedule.step()
    return seen


def test_rises_linearly_then_falls_to_zero_along_a_cosine():
    seen = rates(cosine_schedule(optimizer(), 50, warmup=0.2), 50)
    assert seen[:10] == pytest.approx([0.2 * step for step in range(1, 11)])
    assert seen[10:] == pytest.approx([1 + math.cos(math.pi * k / 40) for k in range(41)])
    assert seen[-1] == 0


@pytest.mark.parametrize("steps", [1, 2, 3, 7])
@pytest.mark.parametrize("warmup", [0, 0.5, 0.99])
def test_short_schedules_are_positive_at_every_step_and_reach_the_full_rate(steps, warmup):
    seen = rates(cosine_schedule(optimizer(), steps, warmup), steps)
    assert all(0 < rate <= 2 for rate in seen[:-1])
    assert max(seen[:-1]) == 2


def test_steps_beyond_the_last_stay_at_zero():
    assert rates(cosine_schedule(optimizer(), 5, warmup=0), 9)[5:] == [0] * 5


def test_the_constant_schedule_keeps_the_learning_rate():
    assert set(rates(constant_schedule(optimizer(), 5), 9)) == {2.0}


def test_a_restored_schedule_goes_on_where_it_was():
    whole = rates(cosine_schedule(optimizer(), 20, warmup=0.3), 20)
    first, later = (cosine_schedule(optimizer(), 20, warmup=0.3) for _ in range(2))
    rates(first, 7)
    later.load_state_dict(first.state_dict())
    later.optimizer.load_state_dict(first.optimizer.state_dict())
    assert rates(later, 12) == pytest.approx(whole[8:])


@pytest.mark.parametrize("warmup", [-0.1, 1, 5])
def test_warmup_outside_its_range_is_refused(warmup):
    with pytest.raises(ValueError, match=rf"scheduler\.warmup must lie in \[0, 1\), got {warmup}"):
        cosine_schedule(optimizer(), 10, warmup)
