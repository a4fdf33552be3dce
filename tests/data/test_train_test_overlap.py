"""Claims about tests on what a network was trained on."""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import split_by

from avfusion.data.index import DIGESTS, digest_content, write_index
from avfusion.data.store import INDEX_FILE, Store
from avfusion.data.train_test_overlap import (
    check_overlap,
    digest_training_clips,
    find_overlap,
    merge_digests,
)

KINDS = ("subjects_seen_in_training", "recordings_seen_in_training")
TEST = np.arange(24) >= 20  # as the corpus says


def another(store, folder, change):
    """A store of the same clips, whose records were changed and whose checksums are others."""
    root = shutil.copytree(store, folder / "another")
    write_index(root / INDEX_FILE, map(change, Store(store).records(range(24))))
    description = Store(store).description | {"checksums": {}}
    (root / "description.json").write_text(json.dumps(description))
    return Store(root)


def renamed(clip, **known):
    """Give other people and other recordings the same places."""
    others = (np.array([name, clip.clip_id]) for name in ("face", "audio"))
    digests = dict(zip(DIGESTS, map(digest_content, others), strict=True))
    return replace(clip, **digests | {"subject": f"other {clip.subject}"} | known)


@pytest.fixture
def recipe(recordings_store):
    store = Store(recordings_store)
    splits = split_by(store)
    description = store.description | {"splits": splits.record}
    return {
        "description": description,
        "trained_on": digest_training_clips(store, splits.where("train")),
    }


def test_of_the_training_split_digests_are_kept_and_no_names(recordings_store):
    store = Store(recordings_store)
    digests = digest_training_clips(store, np.arange(24) < 16)
    subjects = [hashlib.sha256(f"s{n}".encode()).hexdigest()[:16] for n in range(4)]
    assert digests["subjects"].split() == sorted(subjects)
    clips = store.records(range(16))
    contents = {f"{d:016x}" for clip in clips for d in (clip.face_digest, clip.audio_digest)}
    assert set(digests["recordings"].split()) == contents and len(contents) == 32


def test_a_subject_is_known_again_however_it_is_written(recordings_store, recipe, tmp_path):
    people = {"s5": " S0 ", "s4": "s4"}
    other = another(
        recordings_store,
        tmp_path,
        lambda clip: renamed(clip, subject=people.get(clip.subject, "new")),
    )
    found = find_overlap(recipe["trained_on"], other, TEST)
    assert found == {KINDS[0]: [" S0 "], KINDS[1]: []}


@pytest.mark.parametrize("content", ["face_digest", "audio_digest"])
def test_a_recording_is_known_again_by_either_of_its_contents(
    recordings_store, recipe, tmp_path, content
):
    trained = {content: getattr(Store(recordings_store).record(0), content)}
    same = lambda clip: renamed(clip, **trained if clip.clip_id == "s5_2" else {})  # noqa: E731
    found = find_overlap(recipe["trained_on"], another(recordings_store, tmp_path, same), TEST)
    assert found == {KINDS[0]: [], KINDS[1]: ["s5_2"]}


def test_a_test_on_what_was_trained_on_is_refused_unless_it_is_allowed_by_name(
    recordings_store, recipe, tmp_path
):
    people = {"s5": "s0", "s4": "s1"}
    same = lambda clip: replace(clip, subject=people.get(clip.subject, clip.subject))  # noqa: E731
    other = another(recordings_store, tmp_path, same)
    ask = (tmp_path, recipe, other, split_by(other))
    sentence = r"trained on 1 subject of the test split of .* \(s0\).*allow_subjects_seen_in_tra"
    with pytest.raises(ValueError, match=sentence):
        check_overlap(*ask, ["test"], [])
    assert check_overlap(*ask, ["test"], KINDS[:1]) == {KINDS[0]: ["s0"], KINDS[1]: []}
    both = r"trained on 2 subjects of the val and test split .* \(s0, s1\)"
    with pytest.raises(ValueError, match=both):
        check_overlap(*ask, ["val", "test"], [])
    with pytest.raises(ValueError, match=r"trained on 16 recordings of .*s0_0"):
        check_overlap(*ask, ["train"], KINDS[:1])


def test_other_people_are_tested_without_a_word(recordings_store, recipe, tmp_path, caplog):
    other = another(recordings_store, tmp_path, renamed)
    assert check_overlap(tmp_path, recipe, other, split_by(other), ["test"], []) == {
        KINDS[0]: [],
        KINDS[1]: [],
    }
    assert not caplog.text


def test_its_own_store_may_be_tested_in_any_split_wherever_it_lies(
    recordings_store, recipe, tmp_path
):
    moved = Store(shutil.copytree(recordings_store, tmp_path / "moved"))
    assert check_overlap(tmp_path, recipe, moved, split_by(moved), ["train"], []) == {}


def test_in_its_own_store_another_plan_is_asked_for_what_was_trained_on(recordings_store, recipe):
    store = Store(recordings_store)
    other = split_by(store, "subjects", "s0")
    with pytest.raises(ValueError, match=r"trained on 1 subject of the test split .* \(s0\)"):
        check_overlap(recordings_store, recipe, store, other, ["test"], [])
    untouched = split_by(store, "subjects", "s5")
    assert check_overlap(recordings_store, recipe, store, untouched, ["test"], []) == {
        KINDS[0]: [],
        KINDS[1]: [],
    }


def test_a_checkpoint_that_does_not_say_is_tested_with_a_warning(
    recordings_store, recipe, tmp_path, caplog
):
    del recipe["trained_on"]
    other = another(recordings_store, tmp_path, renamed)
    assert check_overlap(tmp_path / "a.ckpt", recipe, other, split_by(other), ["test"], []) == {}
    assert "a.ckpt does not say what it was trained on" in caplog.text


def test_a_network_that_went_on_elsewhere_remembers_both(recordings_store):
    own, (a, b, c) = (
        digest_training_clips(Store(recordings_store), np.arange(24) < 16),
        (digit * 16 for digit in "0af"),
    )
    both = merge_digests(own, {"subjects": f"{b} {a}", "recordings": c})
    assert both["subjects"].split() == sorted({a, b, *own["subjects"].split()})
    assert both["recordings"].split() == sorted({c, *own["recordings"].split()})
    assert merge_digests(own, {}) == own
