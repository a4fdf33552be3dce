"""Policies for recordings of which something is lost."""

from pathlib import Path

import pytest

from avfusion.features import Policies, Unreadable

FILE = Path("a.wav")


@pytest.mark.parametrize(
    ("lost", "note"),
    [
        (0.0, []),
        (0.3, ["damaged: 0.30 of 3.00 s lost"]),
        (1.5, ["damaged: 1.50 of 3.00 s lost"]),
    ],
)
def test_a_loss_of_up_to_half_is_noted_and_the_rest_kept(lost, note):
    notes = []
    Policies().apply_to_loss(lost, 3.0, FILE, notes)
    assert notes == note


def test_less_than_half_is_skipped_as_truncated():
    with pytest.raises(Unreadable, match=r"^a\.wav: truncated \(1\.60 of 3\.00 s lost\)$") as skip:
        Policies().apply_to_loss(1.6, 3.0, FILE, [])
    assert skip.value.reason == "truncated" and not skip.value.fatal


@pytest.mark.parametrize(("policy", "lost"), [("damaged", 0.3), ("truncated", 2.0)])
def test_policies_choose_what_becomes_of_a_loss(policy, lost):
    for chosen in ("skip", "error"):
        with pytest.raises(Unreadable, match=policy) as refusal:
            Policies(**{policy: chosen}).apply_to_loss(lost, 3.0, FILE, [], unit="s of pictures")
        assert refusal.value.fatal == (chosen == "error")
    notes = []
    Policies(**{policy: "keep"}).apply_to_loss(lost, 3.0, FILE, notes, unit="s of pictures")
    assert notes == [f"{policy}: {lost:.2f} of 3.00 s of pictures lost"]


def test_a_recording_to_predict_is_kept_however_little_is_left_of_it():
    notes = []
    Policies.for_prediction().apply_to_loss(2.9, 3.0, FILE, notes)
    Policies.for_prediction().apply_to_loss(0.1, 3.0, FILE, notes)
    assert notes == ["truncated: 2.90 of 3.00 s lost", "damaged: 0.10 of 3.00 s lost"]


@pytest.mark.parametrize("policy", ["damaged", "truncated"])
def test_a_choice_of_no_meaning_is_refused(policy):
    with pytest.raises(ValueError, match=rf"features\.policies\.{policy} .*'keep'.*'mask'"):
        Policies(**{policy: "mask"})
