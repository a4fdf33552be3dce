"""Claims about tests on what a network was trained on."""

import csv
import hashlib
import json
import shutil

import pytest

from avfusion.data.seen import check_seen, find_seen, together, trained_on
from avfusion.data.store import Store

KINDS = ("subjects_seen_in_training", "recordings_seen_in_training")
TESTED = [f"s5_{take}" for take in range(4)]


def another(store, folder, change):
    """A store of the same clips, whose rows were changed and whose checksums are others."""
    root = shutil.copytree(store, folder / "another")
    rows = [change(row) for row in Store(store).index]
    with (root / "index.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    description = Store(store).description | {"checksums": {}}
    (root / "description.json").write_text(json.dumps(description))
    return Store(root)


def renamed(row):
    """Give other people and other recordings the same places."""
    digests = {f"{name}_digest": f"{name} {row['clip_id']}" for name in ("face", "audio")}
    return row | digests | {"subject": f"other {row['subject']}"}


@pytest.fixture
def recipe(recordings_store):
    store = Store(recordings_store)
    return {"description": store.description, "trained_on": trained_on(store)}


def test_of_the_training_split_digests_are_kept_and_no_names(recordings_store):
    store = Store(recordings_store)
    digests = trained_on(store)
    subjects = [hashlib.sha256(f"s{n}".encode()).hexdigest()[:16] for n in range(4)]
    assert digests["subjects"].split() == sorted(subjects)
    clips = [clip for clip in store.index if clip["split"] == "train"]
    contents = {clip[f"{name}_digest"] for clip in clips for name in ("face", "audio")}
    assert set(digests["recordings"].split()) == contents and len(contents) == 32


def test_a_subject_is_known_again_however_it_is_written(recordings_store, recipe, tmp_path):
    people = {"s5": " S0 ", "s4": "s4"}
    other = another(
        recordings_store,
        tmp_path,
        lambda row: renamed(row) | {"subject": people.get(row["subject"], "new")},
    )
    found = find_seen(recipe["trained_on"], other, ["test"])
    assert found == {KINDS[0]: [" S0 "], KINDS[1]: []}


@pytest.mark.parametrize("content", ["face_digest", "audio_digest"])
def test_a_recording_is_known_again_by_either_of_its_contents(
    recordings_store, recipe, tmp_path, content
):
    trained = Store(recordings_store).index[0][content]
    same = lambda row: renamed(row) | ({content: trained} if row["clip_id"] == "s5_2" else {})  # noqa: E731
    found = find_seen(recipe["trained_on"], another(recordings_store, tmp_path, same), ["test"])
    assert found == {KINDS[0]: [], KINDS[1]: ["s5_2"]}


def test_a_test_on_what_was_trained_on_is_refused_unless_it_is_allowed_by_name(
    recordings_store, recipe, tmp_path
):
    people = {"s5": "s0", "s4": "s1"}
    same = lambda row: row | {"subject": people.get(row["subject"], row["subject"])}  # noqa: E731
    other = another(recordings_store, tmp_path, same)
    ask = (tmp_path, recipe, other)
    sentence = r"trained on 1 subjects of the test split of .* \(s0\).*allow_subjects_seen_in_tra"
    with pytest.raises(ValueError, match=sentence):
        check_seen(*ask, ["test"], [])
    assert check_seen(*ask, ["test"], KINDS[:1]) == {KINDS[0]: ["s0"], KINDS[1]: []}
    both = r"trained on 2 subjects of the val and test split .* \(s0, s1\)"
    with pytest.raises(ValueError, match=both):
        check_seen(*ask, ["val", "test"], [])
    with pytest.raises(ValueError, match=r"trained on 16 clips whose sound or picture .*s0_0"):
        check_seen(*ask, ["train"], KINDS[:1])


def test_other_people_are_tested_without_a_word(recordings_store, recipe, tmp_path, caplog):
    other = another(recordings_store, tmp_path, renamed)
    assert check_seen(tmp_path, recipe, other, ["test"], []) == {KINDS[0]: [], KINDS[1]: []}
    assert not caplog.text


def test_its_own_store_may_be_tested_in_any_split_wherever_it_lies(
    recordings_store, recipe, tmp_path
):
    moved = Store(shutil.copytree(recordings_store, tmp_path / "moved"))
    assert check_seen(tmp_path, recipe, moved, ["train"], []) == {}


def test_a_checkpoint_that_does_not_say_is_tested_with_a_warning(
    recordings_store, recipe, tmp_path, caplog
):
    del recipe["trained_on"]
    other = another(recordings_store, tmp_path, renamed)
    assert check_seen(tmp_path / "a.ckpt", recipe, other, ["test"], []) == {}
    assert "a.ckpt does not say what it was trained on" in caplog.text


def test_a_network_that_went_on_elsewhere_remembers_both(recordings_store):
    own, before = trained_on(Store(recordings_store)), {"subjects": "a b", "recordings": "c"}
    both = together(own, before)
    assert set(both["subjects"].split()) == {"a", "b", *own["subjects"].split()}
    assert set(both["recordings"].split()) == {"c", *own["recordings"].split()}
    assert together(own, {}) == own
