"""Claims about who is in which split."""

import random
from collections import Counter, defaultdict
from dataclasses import replace

import pytest

from avfusion.corpora import Recording
from avfusion.corpora.splits import (
    assign,
    check_plan,
    check_split_names,
    check_subjects,
    draw,
    shared_subjects,
)

PLAN = {"train": 0.7, "val": 0.1, "test": 0.2}


def clips(sizes):
    """Recordings of subjects, as many of each as is said."""
    return [
        Recording(f"{subject}_{take}", "label", subject, "train")
        for subject, size in sizes.items()
        for take in range(size)
    ]


UNEVEN = clips({f"s{number}": 1 + number % 7 for number in range(60)})


def splits_of_subjects(recordings):
    splits = defaultdict(set)
    for recording in recordings:
        splits[recording.subject].add(recording.split)
    return splits


def test_fractions_keep_the_clips_of_a_subject_together():
    assigned = assign(UNEVEN, PLAN, seed=0, by_subject=True)
    assert all(len(splits) == 1 for splits in splits_of_subjects(assigned).values())
    assert {clip.clip_id for clip in assigned} == {clip.clip_id for clip in UNEVEN}


def test_spellings_of_a_subject_are_kept_together():
    names = ("Ann Lee", " ann  lee", "ANN LEE ", "Ann\tLee")
    recordings = clips(dict.fromkeys(names, 3) | {f"s{number}": 3 for number in range(20)})
    found = {clip.split for clip in assign(recordings, PLAN, 0, True) if clip.subject in names}
    assert len(found) == 1


@pytest.mark.parametrize("seed", range(3))
def test_fractions_are_met_to_a_few_clips(seed):
    counts = Counter(clip.split for clip in assign(UNEVEN, PLAN, seed, by_subject=True))
    for split, share in PLAN.items():
        assert counts[split] == pytest.approx(share * len(UNEVEN), abs=4)


@pytest.mark.parametrize("seed", range(5))
def test_a_large_subject_does_not_overfill_its_split(seed):
    recordings = clips({"giant": 50} | {f"s{number}": 1 for number in range(50)})
    counts = Counter(c.split for c in assign(recordings, {"train": 0.5, "test": 0.5}, seed, True))
    assert counts == {"train": 50, "test": 50}


def test_the_same_seed_gives_the_same_splits_whatever_the_order_of_the_rows():
    one = splits_of_subjects(assign(UNEVEN, PLAN, seed=3, by_subject=True))
    again = splits_of_subjects(assign(UNEVEN[::-1], PLAN, seed=3, by_subject=True))
    other = splits_of_subjects(assign(UNEVEN, PLAN, seed=4, by_subject=True))
    assert one == again != other


def test_clips_are_dealt_out_one_by_one_where_subjects_may_be_shared():
    assigned = assign(clips({"only": 100}), PLAN, seed=0, by_subject=False)
    assert Counter(clip.split for clip in assigned) == {"train": 70, "val": 10, "test": 20}


def test_a_fraction_of_zero_gets_nothing():
    plan = {"train": 0.5, "val": 0.0, "test": 0.5}
    assert {clip.split for clip in assign(UNEVEN, plan, 0, True)} == {"train", "test"}


def test_ranges_of_rows_take_those_rows_and_leave_the_others_out():
    plan = {"train": [0, 10], "test": [20, 25]}
    assigned = assign(UNEVEN, plan, seed=0, by_subject=True)
    expected = [replace(clip, split="train") for clip in UNEVEN[:10]]
    assert assigned == expected + [replace(clip, split="test") for clip in UNEVEN[20:25]]


@pytest.mark.parametrize(
    ("plan", "value"),
    [
        ({"train": 0.7, "dev": 0.3}, "dev"),
        ({}, "nothing"),
        ({"train": 0.7, "test": 0.2}, "0.7"),
        ({"train": 1.2, "test": -0.2}, "-0.2"),
        ({"train": 0.7, "test": [0, 9]}, r"\[0, 9\]"),
        ({"train": [0, 10, 20]}, r"\[0, 10, 20\]"),
        ({"train": [0, 10], "test": [5, 20]}, r"\[5, 20\]"),
        ({"test": [30, 40], "train": [0, 35]}, r"\[0, 35\]"),
        ({"train": [10, 0]}, r"\[10, 0\]"),
        ({"train": [-5, 10]}, r"\[-5, 10\]"),
    ],
)
def test_a_bad_plan_is_refused_with_its_value(plan, value):
    with pytest.raises(ValueError, match=rf"corpus\.splits.*{value}"):
        check_plan(plan)


def leaky(first="Ann", second="Ann"):
    return [
        Recording("a", "label", first, "train"),
        Recording("b", "label", second, "test"),
        Recording("c", "label", "Bob", "train"),
        Recording("d", "label", "Cid", "test"),
    ]


@pytest.mark.parametrize("second", ["Ann", "ann", " Ann", "ANN\t"])
def test_a_subject_in_two_splits_is_refused_by_name_however_it_is_spelled(second):
    with pytest.raises(ValueError, match=r"1 subjects .* \(Ann\).*allow_subject_overlap=true"):
        check_subjects(leaky(second=second), allow_overlap=False)


def test_subjects_that_may_be_shared_are_returned():
    assert check_subjects(leaky(), allow_overlap=True) == ["Ann"]
    assert check_subjects(leaky(second="Dan"), allow_overlap=False) == []


def test_every_pair_of_splits_is_compared():
    pairs = [("train", "val"), ("train", "test"), ("val", "test")]
    recordings = [
        Recording(f"{number}{split}", "label", f"s{number}", split)
        for number, pair in enumerate(pairs)
        for split in pair
    ]
    assert shared_subjects(recordings) == ["s0", "s1", "s2"]


def test_splits_of_other_names_are_refused_and_counted():
    recordings = clips({"s": 3})
    recordings[1:] = [replace(clip, split="all") for clip in recordings[1:]]
    recordings.append(replace(recordings[0], split=""))
    with pytest.raises(ValueError, match=r"all \(2 clips\), none \(1 clips\): correct"):
        check_split_names(recordings)


def drawn_by_looking_at_all(sizes, plan, seed):
    """Deal as ``draw`` does, each time looking for empty splits among all that were dealt."""
    wanted = {split: share * sum(sizes.values()) for split, share in plan.items() if share}
    keys = sorted(sizes)
    random.Random(seed).shuffle(keys)
    keys.sort(key=lambda key: -sizes[key])
    splits = {}
    for number, key in enumerate(keys):
        empty = [split for split in wanted if split not in splits.values()]
        choices = empty if len(empty) == len(keys) - number else list(wanted)
        splits[key] = max(choices, key=lambda split: wanted[split])
        wanted[splits[key]] -= sizes[key]
    return splits


@pytest.mark.parametrize("count", [3, 4, 5, 40])
@pytest.mark.parametrize("plan", [PLAN, {"train": 0.98, "val": 0.01, "test": 0.01}])
def test_no_split_stays_empty_and_many_groups_are_dealt_as_few_are(count, plan):
    for seed in range(5):
        sizes = {f"s{n}": 1 + (n * 7 + seed) % 5 for n in range(count)}
        dealt = draw(sizes, plan, seed)
        assert list(dealt.items()) == list(drawn_by_looking_at_all(sizes, plan, seed).items())
        assert {*dealt.values()} == {*plan}


def test_a_hundred_thousand_groups_are_dealt_by_their_fractions():
    counts = Counter(draw({f"{n:06}": 1 for n in range(100_000)}, PLAN, seed=0).values())
    assert counts == {"train": 70_000, "val": 10_000, "test": 20_000}
