"""Claims about the order of clips."""

from itertools import chain

import pytest
import torch

from avfusion.data.dataset import ClipSampler


def ranks(clips, count, shuffle=False, epoch=0, seed=0):
    orders = [ClipSampler(clips, shuffle, seed, rank, count) for rank in range(count)]
    for order in orders:
        order.set_epoch(epoch)
    assert [len(order) for order in orders] == [len(list(order)) for order in orders]
    return [list(order) for order in orders]


@pytest.mark.parametrize("clips", [0, 1, 3, 7, 12])
@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_every_clip_is_read_exactly_once_over_all_processes(clips, count):
    assert sorted(chain(*ranks(clips, count))) == list(range(clips))


def test_without_shuffling_the_order_is_that_of_the_split():
    assert ranks(5, 1, epoch=3) == [[0, 1, 2, 3, 4]]


@pytest.mark.parametrize("clips", [2, 7, 12, 13])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_shuffled_processes_take_as_many_steps_and_share_no_clip(clips, count):
    shares = ranks(clips, count, shuffle=True)
    read = list(chain(*shares))
    assert {len(share) for share in shares} == {clips // count}
    assert len(set(read)) == len(read) and set(read) <= set(range(clips))


def test_other_clips_are_left_out_in_other_epochs():
    left_out = [set(range(7)) - set(chain(*ranks(7, 3, True, epoch))) for epoch in range(20)]
    assert all(len(clips) == 1 for clips in left_out) and set.union(*left_out) == set(range(7))


def test_the_order_depends_on_seed_and_epoch_alone():
    first = ranks(50, 1, shuffle=True, epoch=2, seed=5)
    torch.manual_seed(99)
    torch.rand(3)
    assert ranks(50, 1, shuffle=True, epoch=2, seed=5) == first
    assert ranks(50, 1, shuffle=True, epoch=3, seed=5) != first
    assert ranks(50, 1, shuffle=True, epoch=2, seed=6) != first


def test_processes_share_one_order_of_the_clips():
    (alone,) = ranks(12, 1, shuffle=True, epoch=1)
    assert ranks(12, 3, shuffle=True, epoch=1) == [alone[rank::3] for rank in range(3)]


def test_no_seed_has_the_order_of_another_in_a_later_epoch():
    orders = [tuple(ranks(30, 1, True, epoch, seed)[0]) for seed in range(5) for epoch in range(20)]
    assert len(set(orders)) == 100


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3), (3, 2), (4, 4)])
def test_another_number_of_processes_goes_on_with_the_clips_that_are_left(shuffle, before, after):
    first = [ClipSampler(36, shuffle, 0, rank, before) for rank in range(before)]
    read = [list(order)[:3] for order in first]  # three clips each
    orders = [ClipSampler(36, shuffle, 0, rank, after) for rank in range(after)]
    for order in orders:
        order.start = 3 * before
    left = [list(order) for order in orders]
    assert set(chain(*read)).isdisjoint(chain(*left))
    lost = 36 - 3 * before - len(list(chain(*left)))
    assert lost == ((36 - 3 * before) % after if shuffle else 0)
    assert len({len(share) for share in left}) == 1 or not shuffle
