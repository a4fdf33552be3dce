"""Claims about out-of-fold predictions: what is pooled, and what is refused."""

import shutil
from dataclasses import replace

import numpy as np
import pytest

from avfusion.evaluation.out_of_fold import (
    add_ensembles,
    average_outputs,
    group_subjects,
    pool_setting,
    pool_settings,
    stack_outputs,
)
from avfusion.evaluation.predictions import VALIDATION_FILE_NAME, load_validation_predictions
from avfusion.evaluation.runs import read_run

from .pooled_runs import draw_clips, draw_taken, predict, write_fold, write_sweep


def test_every_clip_of_all_folds_is_there_once_with_its_fold_and_its_seeds(tmp_path):
    runs = write_sweep(tmp_path, {"lowrank": 0.7}, seeds=(1, 2))
    (pooled,), refusals = pool_settings(runs)
    ids, subjects, true, folds = draw_clips()
    assert not refusals and pooled.clip_ids.tolist() == sorted(ids.tolist())
    assert pooled.outputs.shape == (2, len(ids), 3)
    order = np.argsort(ids)
    assert pooled.targets.tolist() == true[order].tolist()
    assert pooled.subjects.tolist() == subjects[order].tolist()
    assert [int(pooled.fold_names[n]) for n in pooled.folds] == folds[order].tolist()
    for seed, row in zip((1, 2), pooled.predicted, strict=True):
        assert row.tolist() == draw_taken(true, 0.7, seed)[order].tolist()


def test_settings_are_told_apart_and_named_by_what_differs(tmp_path):
    pooled, _ = pool_settings(write_sweep(tmp_path, {"lowrank": 0.7, "concat": 0.6}))
    assert [one.name for one in pooled] == ["model=lowrank", "model=concat"]
    assert pooled[0].has_same_clips(pooled[1])


def refusal(runs):
    pooled, (refused,) = pool_settings(runs)
    assert not pooled
    return str(refused)


def test_a_missing_fold_is_named_with_its_clips_and_its_seed(tmp_path):
    runs = write_sweep(tmp_path, {"lowrank": 0.7}, seeds=(1, 2))
    assert "1 fold of 3 (seed=2) missing, 2 (16 clips)" in refusal(runs[:-1])


def test_folds_that_test_the_same_clips_are_refused_with_some_of_them(tmp_path):
    first, second, third = write_sweep(tmp_path, {"lowrank": 0.7})
    shutil.copy(first.folder / "predictions.npz", second.folder / "predictions.npz")
    said = refusal([first, read_run(second.folder), third])
    assert "folds 0 and 1 (seed=1) both test 16 clips (s0_00, s0_01, s0_02 and 13 more)" in said


def test_a_fold_that_was_tested_in_part_is_refused(tmp_path):
    runs = write_sweep(tmp_path, {"lowrank": 0.7})
    ids, subjects, true, _ = draw_clips()
    predict(ids[:10], subjects[:10], true[:10], true[:10]).save(runs[0].folder)
    assert "fold 0 (seed=1) has predictions for 10 of its 16 clips" in refusal(runs)


def test_runs_without_folds_are_one_fold_and_two_seeds_of_them_two_repetitions(tmp_path):
    ids, subjects, true, _ = draw_clips()
    predictions = predict(ids, subjects, true, true)
    runs = [write_fold(tmp_path / str(s), predictions, "", {}, s) for s in (1, 2)]
    (pooled,), refusals = pool_settings(runs)
    assert not refusals and pooled.outputs.shape[0] == 2 and pooled.fold_names == [""]


def test_seeds_that_are_tested_on_other_clips_are_refused(tmp_path):
    ids, subjects, true, _ = draw_clips()
    one = write_fold(tmp_path / "1", predict(ids, subjects, true, true), "", {}, 1)
    some = predict(ids[:9], subjects[:9], true[:9], true[:9])
    other = write_fold(tmp_path / "2", some, "", {}, 2)
    assert "seed=2 is tested on other clips than seed=1 (9 and 48)" in refusal([one, other])


def test_clips_without_a_known_label_are_left_out(tmp_path):
    ids, subjects, true, _ = draw_clips()
    labels = np.where(np.arange(len(ids)) < 5, -1, true)
    run = write_fold(tmp_path / "1", predict(ids, subjects, labels, true), "", {}, 1)
    assert len(pool_setting("a", [run])) == len(ids) - 5


def test_an_ensemble_averages_probabilities_or_logits_clip_by_clip(tmp_path):
    """One network is very sure of class 0, two others a little of class 1."""
    settings = []
    for number, (taken, sure) in enumerate(((0, 3.0), (1, 2.0), (1, 2.0))):
        predictions = predict(["a", "b"], ["s", "t"], [1, 1], [taken, 1], sure=sure)
        run = write_fold(tmp_path / str(number), predictions, "", {}, 1, f"m{number}")
        settings.append(pool_setting(f"m{number}", [run]))
    own = np.exp([[3.0, 0, 0], [0, 2, 0], [0, 2, 0]])
    mean = (own / own.sum(axis=1, keepdims=True)).mean(axis=0)
    one = average_outputs("all", settings)
    assert np.exp(one.outputs[0, 0]) == pytest.approx(mean)
    logits = average_outputs("all", settings, "logits")
    assert logits.outputs[0, 0] == pytest.approx([1.0, 4 / 3, 0.0])
    assert one.predictor == "ensemble" and len(one.runs) == 3 and one.predicted.tolist() == [[1, 1]]


def test_ensembles_are_of_the_seeds_of_a_setting_and_of_all_settings(tmp_path):
    settings, _ = pool_settings(write_sweep(tmp_path, {"a": 0.7, "b": 0.6}, seeds=(1, 2)))
    assert [one.name for one in add_ensembles(settings, "logits")] == [
        "model=a: mean of 2 logits",
        "model=b: mean of 2 logits",
        "all settings: mean of 4 logits",
    ]


def write_answers(root, settings, validation, fold_of_validation=lambda fold: (fold + 1) % 3):
    """Write settings over three folds, by what they take a class for in test and validation."""
    ids, subjects, true, folds = draw_clips()
    sizes = {str(fold): int((folds == fold).sum()) for fold in range(3)}
    runs = []
    for model, take in settings.items():
        for fold in range(3):
            tested, own = folds == fold, folds == fold_of_validation(fold)
            taken = [take(true[some]) for some in (tested, own)]
            test = predict(ids[tested], subjects[tested], true[tested], taken[0])
            val = predict(ids[own], subjects[own], validation(true[own]), taken[1])
            folder = root / f"{model}{fold}"
            runs.append(write_fold(folder, test, str(fold), sizes, 1, model, validation=val))
    return runs


def move_on(classes):
    return (classes + 1) % 3


ANSWERS = {"a": move_on, "b": np.zeros_like}  # one is always wrong in the same way


def test_a_stacked_regression_learns_from_validation_what_each_setting_means(tmp_path):
    settings, _ = pool_settings(write_answers(tmp_path / "1", ANSWERS, np.copy))
    (stacked,) = add_ensembles(settings, "stacked")
    assert not settings[0].correct.any() and stacked.correct.all()
    assert stacked.predictor == "ensemble" and len(stacked.runs) == 6

    settings, _ = pool_settings(write_answers(tmp_path / "2", ANSWERS, move_on))
    (taught,) = add_ensembles(settings, "stacked")  # by validation clips with other labels
    assert taught.predicted[0].tolist() == move_on(taught.targets).tolist()


def test_the_regression_of_a_fold_sees_the_labels_of_its_validation_clips_alone(tmp_path):
    settings, _ = pool_settings(write_answers(tmp_path, ANSWERS, np.copy))
    before = stack_outputs("s", settings)
    relabeled = [replace(one, targets=move_on(one.targets)) for one in settings]
    assert np.array_equal(stack_outputs("s", relabeled).outputs, before.outputs)

    for run in settings[0].runs[:1] + settings[1].runs[:1]:
        known = load_validation_predictions(run.folder)
        replace(known, targets=move_on(known.targets)).save(run.folder, VALIDATION_FILE_NAME)
    after, own = stack_outputs("s", settings), before.folds == 0
    assert not np.allclose(after.outputs[0, own], before.outputs[0, own])
    assert np.array_equal(after.outputs[0, ~own], before.outputs[0, ~own])


def test_no_regression_is_fitted_to_clips_of_the_test_or_to_clips_that_one_has_not_answered(
    tmp_path,
):
    runs = write_answers(tmp_path / "1", ANSWERS, np.copy, lambda fold: fold)
    with pytest.raises(ValueError, match=r"fold 0 validates on 16 clips of its test.*validation"):
        stack_outputs("s", pool_settings(runs)[0])

    settings, _ = pool_settings(write_answers(tmp_path / "2", ANSWERS, np.copy))
    folder = settings[1].runs[1].folder
    known = load_validation_predictions(folder)
    known.take(np.arange(1, len(known))).save(folder, VALIDATION_FILE_NAME)
    with pytest.raises(ValueError, match=f"{folder} validates on other clips"):
        stack_outputs("s", settings)

    (folder / VALIDATION_FILE_NAME).unlink()
    with pytest.raises(FileNotFoundError, match=r"no .*val_predictions\.npz: write it with python"):
        stack_outputs("s", settings)


def test_an_ensemble_of_other_clips_is_refused(tmp_path):
    settings = []
    for number, clip in enumerate("ab"):
        run = write_fold(tmp_path / clip, predict([clip], ["s"], [0], [0]), "", {}, 1)
        settings.append(pool_setting(str(number), [run]))
    for fuse in (average_outputs, stack_outputs):
        with pytest.raises(ValueError, match="0 and 1 are not tested on the same folds"):
            fuse("all", settings)


def test_spellings_of_a_subject_are_one_and_clips_of_nobody_are_alone(tmp_path):
    predictions = predict(list("abcd"), ["Ann ", "ann", "", ""], [0] * 4, [0] * 4)
    pooled = pool_setting("a", [write_fold(tmp_path / "1", predictions, "", {}, 1)])
    places, names = group_subjects(pooled)
    assert places.tolist() == [0, 0, 1, 2] and names == ["Ann ", "unknown", "unknown"]
