"""Claims about which clips are for training, validation and test."""

import hashlib
import random
from collections import Counter, defaultdict

import numpy as np
import pyarrow as pa
import pytest
from conftest import clip_record, indexed, split_by

from avfusion.corpora import SPLITS
from avfusion.data.splits import Column, Folds, Fractions, Ranges, draw_groups, make_plan
from avfusion.data.store import Store

PLAN = {"train": 0.7, "val": 0.1, "test": 0.2}


@pytest.fixture
def clips_of(tmp_path):
    """A store of subjects, with as many clips of each as is said."""

    def clips_of(sizes, **known):
        names = [(subject, take) for subject, size in sizes.items() for take in range(size)]
        made = (clip_record(f"{s}_{take}", subject=s, split="", **known) for s, take in names)
        return indexed(tmp_path / f"store{len(list(tmp_path.iterdir()))}", made)

    return clips_of


@pytest.fixture
def uneven(clips_of):
    """The store of 60 subjects of one to seven clips each."""
    return clips_of({f"s{number}": 1 + number % 7 for number in range(60)})


def by_subject(store, splits):
    """Return the splits in which each subject has clips."""
    found = defaultdict(set)
    for subject, number in zip(store.texts("subject"), splits.numbers.tolist(), strict=True):
        found[subject].add(SPLITS[number] if number >= 0 else None)
    return dict(found)


def named(store, splits):
    """Return the clips of each split."""
    ids = store.texts("clip_id")
    return {name: [ids[row] for row in splits.rows(name).tolist()] for name in SPLITS}


def test_fractions_keep_the_clips_of_a_subject_together(uneven):
    splits = split_by(uneven, PLAN)
    assert all(len(found) == 1 for found in by_subject(uneven, splits).values())
    assert sum(splits.counts().values()) == len(uneven)


def test_spellings_of_a_subject_are_kept_together(clips_of):
    names = ("Ann Lee", " ann  lee", "ANN LEE ", "Ann\tLee")
    store = clips_of(dict.fromkeys(names, 3) | {f"s{number}": 3 for number in range(20)})
    for plan, fold in ((PLAN, None), ({"folds": 4}, 2)):
        found = by_subject(store, split_by(store, plan, fold))
        assert len(set.union(*(found[name] for name in names))) == 1


@pytest.mark.parametrize("seed", range(3))
def test_fractions_are_met_to_a_few_clips(uneven, seed):
    counts = split_by(uneven, PLAN, seed=seed).counts()
    for split, share in PLAN.items():
        assert counts[split] == pytest.approx(share * len(uneven), abs=4)


@pytest.mark.parametrize("seed", range(5))
def test_a_large_subject_does_not_overfill_its_split(clips_of, seed):
    store = clips_of({"giant": 50} | {f"s{number}": 1 for number in range(50)})
    counts = split_by(store, {"train": 0.5, "test": 0.5}, seed=seed).counts()
    assert counts == {"train": 50, "val": 0, "test": 50}


def test_the_same_seed_gives_the_same_splits_whatever_the_order_of_the_rows(uneven, tmp_path):
    other = indexed(tmp_path / "reversed", uneven.records(range(len(uneven))[::-1]))
    one, again = (by_subject(store, split_by(store, PLAN, seed=3)) for store in (uneven, other))
    assert one == again != by_subject(uneven, split_by(uneven, PLAN, seed=4))


def test_clips_are_dealt_out_one_by_one_where_subjects_may_be_shared_or_are_unknown(clips_of):
    for subject, apart in (("only", False), ("", True)):
        store = clips_of({subject: 100})
        counts = split_by(store, PLAN, by_subject=apart).counts()
        assert counts == {"train": 70, "val": 10, "test": 20}


def test_a_fraction_of_zero_gets_nothing(uneven):
    counts = split_by(uneven, {"train": 0.5, "val": 0.0, "test": 0.5}).counts()
    assert counts["val"] == 0 and counts["train"] + counts["test"] == len(uneven)


def test_all_clips_may_be_for_the_test(uneven):
    assert split_by(uneven, {"test": 1}).counts() == {"train": 0, "val": 0, "test": len(uneven)}


def test_ranges_take_rows_and_a_split_without_one_keeps_what_the_corpus_gives_it(tmp_path):
    own = ["train"] * 8 + ["val"] * 2 + ["test"] * 3
    store = indexed(tmp_path, (clip_record(f"c{n}", split=s) for n, s in enumerate(own)))
    splits = split_by(store, {"train": [0, 6], "val": [6, 9]})
    assert [splits.rows(name).tolist() for name in SPLITS] == [
        [0, 1, 2, 3, 4, 5],
        [6, 7, 8],
        [10, 11, 12],  # and row 9, of the corpus' own val, is left out
    ]
    assert split_by(store, {"test": [7, 13]}).rows("train").tolist() == list(range(7))


def test_the_column_is_the_default_and_leaves_out_nothing(recordings_store):
    store = Store(recordings_store)
    expected = {"train": list(range(16)), "val": [16, 17, 18, 19], "test": [20, 21, 22, 23]}
    for spelling in (None, "column"):
        splits = split_by(store, spelling)
        assert {name: splits.rows(name).tolist() for name in SPLITS} == expected
        assert splits.record == {"plan": "column"} and splits.plan == "column"


def test_where_the_corpus_has_no_splits_plans_are_told(clips_of):
    store = clips_of({"a": 2})
    with pytest.raises(ValueError, match=rf"{store.root} assigns no clip .*train: 0\.7.*folds: 5"):
        split_by(store)


def test_each_subject_is_tested_on_in_one_fold_and_the_next_fold_is_to_validate_on(clips_of):
    """Six subjects of one to six clips, in three folds of seven clips each."""
    store = clips_of({f"s{number}": number for number in range(1, 7)})
    tested, validated = [], []
    for fold in range(3):
        splits = split_by(store, {"folds": 3}, fold)
        assert splits.counts() == {"train": 7, "val": 7, "test": 7}
        found = by_subject(store, splits)
        tested.append({name for name, where in found.items() if where == {"test"}})
        validated.append({name for name, where in found.items() if where == {"val"}})
    # The largest go first, each to a fold of its own; then each to the one that lacks most.
    assert {frozenset(fold) for fold in tested} == {
        frozenset({"s6", "s1"}),
        frozenset({"s5", "s2"}),
        frozenset({"s4", "s3"}),
    }
    assert validated == [tested[1], tested[2], tested[0]]


def test_folds_are_those_of_their_seed(uneven):
    one, same, other = (
        split_by(uneven, {"folds": 5}, 0, seed=seed).numbers.tolist() for seed in (1, 1, 2)
    )
    assert one == same != other


@pytest.mark.parametrize("spelling", ["subjects", {"folds": "subject"}])
def test_one_subject_is_left_out_and_the_next_one_by_name_is_to_validate_on(clips_of, spelling):
    store = clips_of({"s10": 2, "s2": 1, "S1": 3, "s1 ": 1})
    for fold, tested, validated in ((0, {"S1", "s1 "}, {"s2"}), ("s10", {"s10"}, {"S1", "s1 "})):
        found = by_subject(store, split_by(store, spelling, fold))
        assert {name for name, where in found.items() if where == {"test"}} == tested
        assert {name for name, where in found.items() if where == {"val"}} == validated
        assert len(found) == 4


@pytest.mark.parametrize("spelling", ["sessions", {"folds": "session"}])
def test_sessions_are_left_out_one_by_one(tmp_path, spelling):
    sessions = ["Ses01", "Ses02", "Ses03", "Ses02", "Ses04"]
    store = indexed(
        tmp_path, (clip_record(f"c{n}", session=name) for n, name in enumerate(sessions))
    )
    expected = {"train": ["c2", "c4"], "val": ["c1", "c3"], "test": ["c0"]}
    for fold in (0, "Ses01", "ses01"):
        assert named(store, split_by(store, spelling, fold)) == expected


def test_folds_whose_names_are_numbers_are_chosen_by_those(tmp_path):
    store = indexed(tmp_path, (clip_record(f"c{n}", session=f"{n:02}") for n in range(1, 5)))
    assert named(store, split_by(store, "sessions", 1))["test"] == ["c1"]
    assert named(store, split_by(store, "sessions", "04"))["test"] == ["c4"]
    with pytest.raises(ValueError, match=r"data\.fold=0 is no fold of .*: choose one of 01, 02,"):
        split_by(store, "sessions", 0)


def test_clips_without_a_session_are_counted(tmp_path):
    clips = (clip_record(f"c{n}", session="" if n < 2 else "x") for n in range(5))
    with pytest.raises(ValueError, match=r"2 of the 5 clips .* no session: .*corpus\.columns\.ses"):
        split_by(indexed(tmp_path, clips), "sessions", 0)


def test_a_part_of_the_other_folds_may_be_to_validate_on_by_subject(clips_of):
    store = clips_of({f"s{number}": 2 for number in range(10)})
    splits = split_by(store, {"folds": "subject", "val": 1 / 3}, "s4")
    assert splits.counts() == {"train": 12, "val": 6, "test": 2}
    assert all(len(found) == 1 for found in by_subject(store, splits).values())
    two = split_by(store, {"folds": 2, "val": 0.2}, 1)
    assert two.counts() == {"train": 8, "val": 2, "test": 10}


@pytest.fixture
def table(clips_of, tmp_path):
    """A store of six clips, and a way to split it by the text of a table."""
    store = clips_of({"a": 2, "b": 2, "c": 2})
    path = tmp_path / "my.csv"

    def by_table(text, fold=0, **options):
        path.write_text(text, encoding="utf-8")
        return named(store, split_by(store, str(path), fold, **options))

    return by_table


ROWS = ["a_0,1", "a_1,1", "b_0,2", "b_1,3", "c_0,", "c_1,2"]
HEAD = "clip_id,fold\n"


def test_a_table_says_the_fold_of_each_clip_or_leaves_it_out(table):
    text = HEAD + "\n".join(ROWS)
    first = {"train": ["b_1"], "val": ["b_0", "c_1"], "test": ["a_0", "a_1"]}
    assert table(text, 1) == table(text.replace(",", ";"), "1") == first
    last = {"train": ["b_0", "c_1"], "val": ["a_0", "a_1"], "test": ["b_1"]}
    assert table("\ufeff" + text, 3) == last
    assert table(HEAD + "\n".join(reversed(ROWS)), 3) == last


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (HEAD + "\n".join(ROWS[1:]), r"lacks 1 clip of .* \(a_0\): give each a row"),
        (HEAD + "\n".join([*ROWS, "d_0,1"]), r"has 1 clip that .* lacks \(d_0\): correct"),
        (HEAD + "\n".join([*ROWS, "a_0,1"]), r"Line 8 of .* names a_0 again"),
        ("clip,fold\na_0,1", r"has the columns clip, fold: a table of folds needs clip_id"),
        ("", r"has the columns none"),
        (HEAD + "\n".join(ROWS).replace("3", "2"), r"makes 2 folds, too few to train"),
        (HEAD + 'a_0,"1', r"is no CSV in UTF-8"),
    ],
)  # fmt: skip
def test_a_table_that_does_not_fit_its_store_is_refused(table, text, sentence):
    with pytest.raises(ValueError, match=sentence):
        table(text, 1)


def test_a_table_may_hold_what_could_not_be_prepared(clips_of, tmp_path):
    store = clips_of({"a": 1, "b": 1, "c": 1})
    (store.root / "report.csv").write_text("clip_id,outcome\na_0,kept\nbad_0,skipped\n")
    path = tmp_path / "my.csv"
    path.write_text(HEAD + "a_0,0\nb_0,1\nc_0,2\nbad_0,0\n")
    assert split_by(store, str(path), 0).counts() == {"train": 1, "val": 1, "test": 1}


@pytest.mark.parametrize(
    ("plan", "fold", "sentence"),
    [
        ({"train": 0.7, "dev": 0.3}, None, r"splits=\{train: 0\.7, dev: 0\.3\} is no plan: give"),
        ({}, None, r"splits=\{\} is no plan"),
        ("many", None, r"data\.splits='many' is no plan"),
        ({"train": 0.7, "test": 0.2}, None, r"sum to 1, got \{train: 0\.7, .*\(sum 0\.9\)"),
        ({"train": 1.2, "test": -0.2}, None, r"at least 0 .*-0\.2"),
        ({"train": 0.7, "test": [0, 9]}, None, r"or ranges of rows .*\[0, 9\]"),
        ({"train": "half"}, None, "fractions of the clips, or ranges .*half"),
        ({"train": [0, 10, 20]}, None, r"do not overlap, got .*\[0, 10, 20\]"),
        ({"train": [0, 0.5]}, None, r"\[0, 0\.5\]"),
        ({"train": [0, 10], "test": [5, 20]}, None, r"do not overlap, got .*\[5, 20\]"),
        ({"test": [30, 40], "train": [0, 35]}, None, r"do not overlap, got .*\[0, 35\]"),
        ({"train": [10, 0]}, None, r"\[10, 0\]"),
        ({"train": [-5, 10]}, None, r"\[-5, 10\]"),
        ({"train": [5, 5]}, None, r"must hold rows, got .*\[5, 5\]"),
        ({"folds": 5}, None, r"needs data\.fold, .* -m data\.fold=0,1,2,3,4"),
        ({"folds": 5}, 5, r"data\.fold=5 is no fold of data\.splits=\{folds: 5\}: .*0, 1, 2, 3, 4"),
        ({"folds": 5}, -1, r"data\.fold=-1 is no fold"),
        ({"folds": 5}, "x", r"data\.fold=x is no fold"),
        ({"folds": 1}, 0, r"\{folds: 1\} is no plan: folds are a number from 2 on"),
        ({"folds": 2}, 0, r"makes 2 folds, too few .*\{folds: 2, val: 0\.1\}"),
        ({"folds": 5, "val": 1.5}, 0, r"val of .* must lie between 0 and 1"),
        ({"folds": 5, "val": "some"}, 0, r"val: some\} is no plan"),
        ({"folds": 5, "train": 0.5}, 0, r"is no plan: .*only stand val"),
        ({"folds": "speaker"}, 0, r"\{folds: speaker\} is no plan"),
        (PLAN, 1, r"data\.fold=1 chooses among folds, and .*test: 0\.2\} has none: leave it out"),
        (None, 1, r"data\.splits=column has none"),
    ],
)
def test_a_bad_plan_is_refused_with_its_value_before_a_store_is_opened(plan, fold, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_plan(plan, fold)


def test_a_missing_table_is_refused_before_a_store_is_opened(tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"No table of folds at {tmp_path}/no\.csv: give"):
        make_plan(f"{tmp_path}/no.csv", 0)


@pytest.mark.parametrize(
    ("sizes", "plan", "fold", "sentence"),
    [
        ({"a": 9, "b": 9}, {"folds": 5}, 0, r"2 subjects of .* too few for .*\{folds: 5\}"),
        ({"a": 9, "b": 9}, PLAN, None, r"2 subjects of .* too few for .*test: 0\.2\}"),
        ({"a": 9, "b": 9}, "subjects", 0, r"makes 2 folds, too few to train, to validate"),
        (
            {"a": 9},
            {"train": [0, 5], "val": [5, 12]},
            None,
            r"beyond the 9 clips .* let val end at",
        ),
        ({"a": 9, "b": 1, "c": 1}, "subjects", "d", r"data\.fold=d is no fold .*one of a, b, c"),
    ],
)
def test_a_plan_that_does_not_fit_a_store_is_refused(clips_of, sizes, plan, fold, sentence):
    with pytest.raises(ValueError, match=sentence):
        split_by(clips_of(sizes), plan, fold)


def test_a_plan_is_recorded_in_plain_containers_that_make_it_again(tmp_path):
    path = tmp_path / "my.csv"
    path.write_text(HEAD)
    drawn = {"seed": 7, "by_subject": True}
    for plan, record, words in (
        (make_plan(PLAN, seed=7), {"plan": PLAN} | drawn, "{train: 0.7, val: 0.1, test: 0.2}"),
        (make_plan({"test": [0, 9]}), {"plan": {"test": [0, 9]}}, "{test: [0, 9]}"),
        (
            make_plan({"folds": 5}, 2, 7),
            {"plan": {"folds": 5, "val": None}, "fold": 2} | drawn,
            "{folds: 5}",
        ),
        (
            make_plan(str(path), 0, 7),
            {"plan": {"folds": hashlib.sha256(HEAD.encode()).hexdigest(), "val": None}, "fold": 0}
            | drawn,
            f"{{folds: {path}}}",
        ),
    ):
        assert plan.record() == record and str(plan) == words
    kinds = [type(make_plan(*spelled)) for spelled in ((None,), (PLAN,), ("subjects", 0))]
    assert kinds == [Column, Fractions, Folds]
    assert isinstance(make_plan({"train": [0, 1]}), Ranges)


def test_splits_of_a_store_can_be_tabulated_with_its_columns(uneven):
    splits = split_by(uneven, {"train": [0, 3], "test": [5, 6]})
    clips = splits.tabulate(uneven.columns("clip_id"))
    assert (
        clips["clip_id"].to_pylist() == uneven.texts("clip_id")[:3] + uneven.texts("clip_id")[5:6]
    )
    assert clips["split"].to_pylist() == ["train"] * 3 + ["test"]
    assert splits.where("train", "test").sum() == 4


def drawn_by_looking_at_all(sizes, plan, seed):
    """Deal as ``draw_groups`` does, looking for empty splits among all that were dealt."""
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


def drawn(sizes, plan, seed):
    """Deal groups of these sizes; the split of each by its name."""
    splits = list(plan)
    dealt = draw_groups(pa.array([*sizes]), np.array([*sizes.values()]), [*plan.values()], seed)
    return {name: splits[number] for name, number in zip(sizes, dealt, strict=True)}


SHARES = [
    PLAN,
    {"train": 0.98, "val": 0.01, "test": 0.01},
    {"train": 0.9, "val": 0.0, "test": 0.1},
    {"train": 1 / 3, "val": 1 / 3, "test": 1 / 3},
    {"train": 0.15, "val": 0.85},
    {str(fold): 1 / 7 for fold in range(7)},
]


@pytest.mark.parametrize("most", [1, 2, 5, 300])
@pytest.mark.parametrize("count", [3, 4, 5, 40, 333])
@pytest.mark.parametrize("plan", SHARES)
def test_no_split_stays_empty_and_many_groups_are_dealt_as_few_are(count, plan, most):
    used = {split for split, share in plan.items() if share}
    for seed in range(3):
        numbers = np.random.default_rng(seed).integers(1, most + 1, count)
        sizes = {f"s{n}": int(size) for n, size in enumerate(numbers)}
        dealt = drawn(sizes, plan, seed)
        assert dealt == drawn_by_looking_at_all(sizes, plan, seed)
        assert {*dealt.values()} == used or len(used) > count


def test_a_hundred_thousand_groups_are_dealt_by_their_fractions():
    sizes = {f"{n:06}": 1 for n in range(100_000)}
    counts = Counter(drawn(sizes, PLAN, seed=0).values())
    assert counts == {"train": 70_000, "val": 10_000, "test": 20_000}
    backwards = dict(reversed(sizes.items()))
    assert drawn(backwards, PLAN, seed=0) == drawn(sizes, PLAN, seed=0)


def test_groups_without_clips_change_nothing():
    sizes = np.array([3, 1, 0, 2, 0, 1, 1])
    names = pa.array(["c", "a", "b", "f", "d", "e", "g"])
    dealt = draw_groups(names, sizes, [0.7, 0.1, 0.2], seed=0)
    there = sizes > 0
    alone = draw_groups(names.filter(pa.array(there)), sizes[there], [0.7, 0.1, 0.2], seed=0)
    assert dealt[there].tolist() == alone.tolist() and {*dealt[~there].tolist()} == {-1}


def test_the_index_keeps_sessions(tmp_path):
    store = indexed(tmp_path, [clip_record("a", session="x"), clip_record("b")])
    assert store.texts("session") == ["x", ""] and store.record(0).session == "x"
