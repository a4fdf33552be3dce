"""Claims about evidence: what runs have predicted, pooled over folds and seeds."""

from dataclasses import replace
from weakref import WeakSet

import numpy as np
import pytest
from conftest import quiet_trainer
from omegaconf import OmegaConf
from torch import nn

from avfusion.diagnostics.calibration import Calibration
from avfusion.diagnostics.evidence import gather_evidence
from avfusion.diagnostics.groups import Groups
from avfusion.diagnostics.networks import TestedNetwork
from avfusion.diagnostics.selective import SelectivePrediction
from avfusion.evaluation.predictions import load_predictions
from avfusion.run import diagnosis
from avfusion.run.diagnosis import (
    RestoredNetworks,
    diagnose,
    find_tested_runs,
    gather_settings,
)

from ..evaluation.pooled_runs import predict, write_fold, write_sweep
from .evidence_by_hand import evidence_of


def gather(runs):
    return gather_evidence("a", runs, [load_predictions(run.folder) for run in runs])


def test_each_clip_of_a_sweep_is_there_once_under_the_network_that_tested_it(tmp_path):
    runs = write_sweep(tmp_path, {"concat": 0.7}, seeds=(1, 2))
    evidence = gather(runs)
    assert evidence.outputs.shape == (2, 48, 3) and len(evidence) == 48
    assert [*evidence.clip_ids] == sorted(evidence.clip_ids)
    for part in evidence.parts:
        own = load_predictions(part.run.folder)
        assert np.array_equal(evidence.clip_ids[part.positions], own.clip_ids)
        assert np.array_equal(evidence.outputs[part.repetition, part.positions], own.outputs)
        assert np.array_equal(part.rows, own.rows)
    assert evidence.draws.names == [f"s{number}" for number in range(6)]


def test_settings_of_a_sweep_are_told_apart(tmp_path):
    write_sweep(tmp_path, {"concat": 0.7, "lowrank": 0.9})
    found = gather_settings(find_tested_runs(str(tmp_path)))
    assert [one.name for one in found] == ["model=concat", "model=lowrank"]
    assert [len(one.parts) for one in found] == [3, 3]


def test_folds_that_are_missing_are_named(tmp_path):
    runs = write_sweep(tmp_path, {"concat": 0.7})
    (runs[1].folder / "results.json").unlink()
    with pytest.raises(ValueError, match=r"1 fold of 3 \(seed=1\) missing, 1 \(16 clips\): train"):
        gather_settings(find_tested_runs(str(tmp_path)))


def test_a_fold_alone_is_diagnosed_for_itself(tmp_path):
    run = write_sweep(tmp_path, {"concat": 0.7})[1]
    (evidence,) = gather_settings(find_tested_runs(str(run.folder)))
    assert np.array_equal(np.sort(load_predictions(run.folder).clip_ids), evidence.clip_ids)


def test_data_leakage_is_said_of_a_diagnosis(tmp_path):
    write_sweep(tmp_path, {"concat": 0.7}, **{"data/shared_subjects": 2})
    (evidence,) = gather_settings(find_tested_runs(str(tmp_path)))
    (note,) = diagnose(evidence, {"groups": Groups()}, OmegaConf.create()).notes
    assert "shared subjects (2)" in note


@pytest.mark.parametrize(("limit", "expected"), [(15, [1, 2, 2]), (32, [1, 2, 3])])
def test_no_more_networks_of_a_sweep_are_in_memory_than_there_is_room_for(
    limit, expected, tmp_path, monkeypatch
):
    """A network of 16 bytes, and the one of the loop."""
    runs = write_sweep(tmp_path, {"concat": 0.7})
    alive, counts = WeakSet(), []

    class Counted(TestedNetwork):
        def __init__(self, *_):
            self.network = nn.Linear(3, 1)
            alive.add(self)
            counts.append(len(alive))

    monkeypatch.setattr(diagnosis, "restore", lambda cfg, trainer: (cfg.ckpt_path, None, {}))
    monkeypatch.setattr(diagnosis, "build_trainer", lambda cfg: quiet_trainer())
    monkeypatch.setattr(diagnosis, "TestedNetwork", Counted)
    monkeypatch.setattr(diagnosis, "MAX_BYTES", limit)
    networks = RestoredNetworks(runs, "test", OmegaConf.create({"trainer": {"precision": None}}))
    (evidence,) = gather_settings(runs)
    evidence = replace(evidence, networks=networks)
    assert len([part.run for part, _ in evidence.pair_networks()]) == 3
    assert networks[2] is networks[2] and counts == expected


def test_a_test_without_a_modality_is_no_evidence(tmp_path):
    predictions = predict(["a", "b"], ["x", "y"], [0, 1], [0, 1])
    object.__setattr__(predictions, "modalities", ["face"])
    run = write_fold(tmp_path / "run", predictions, "", {})
    with pytest.raises(
        ValueError, match="are of a test with the face alone: write them again with"
    ):
        gather_settings([run])


def test_clips_without_a_label_are_left_out(tmp_path):
    predictions = predict(["b", "a", "c"], ["x"] * 3, [0, 1, -1], [0, 1, 2])
    run = write_fold(tmp_path / "run", predictions, "", {})
    evidence = gather([run])
    assert [*evidence.clip_ids] == ["a", "b"] and evidence.parts[0].positions.tolist() == [1, 0]
    unknown = predict(["a"], ["x"], [-1], [0])
    with pytest.raises(ValueError, match="no clip that it predicts has a known label"):
        gather([write_fold(tmp_path / "other", unknown, "", {})])


def test_one_clip_is_enough_for_what_a_training_ends_with():
    one = evidence_of([[2.0, 0.0, 0.0]], [0])
    for measurement in (Calibration(temperature=False), SelectivePrediction(), Groups()):
        assert measurement.measure(one).numbers
    assert np.isnan(one.draws.find_interval(one.score_clips(one.outputs))).all()


def test_answers_are_those_of_a_case_by_hand():
    one = evidence_of(np.log([[0.7, 0.2, 0.1], [0.25, 0.5, 0.25]]), [0, 2])
    found = one.predict_classes(one.outputs[0])
    assert found.confidence.tolist() == pytest.approx([0.7, 0.5])
    assert found.right.tolist() == [1, 0]
    assert found.true_probability.tolist() == pytest.approx([0.7, 0.25])
    assert found.nll.tolist() == pytest.approx(-np.log([0.7, 0.25]))

    logit = np.log(3)  # of a probability of 3/4
    several = evidence_of([[logit, logit], [-logit, logit]], [[1, 0], [0, 1]], "multi_label")
    found = several.predict_classes(several.outputs[0])
    assert found.confidence.tolist() == pytest.approx([0.75, 0.75])
    assert found.right.tolist() == [0.5, 1]
    assert found.true_probability.tolist() == pytest.approx([0.5, 0.75])
    assert found.nll.tolist() == pytest.approx([-(np.log(0.75) + np.log(0.25)) / 2, -np.log(0.75)])


def test_scores_are_the_metrics_of_the_target():
    one = evidence_of(np.eye(3)[[0, 1, 1, 0]], [0, 1, 2, 0])
    assert one.score(one.outputs[0]) == pytest.approx(
        {"accuracy": 3 / 4, "balanced_accuracy": 2 / 3, "macro_f1": (1 + 2 / 3 + 0) / 3}
    )
    numbers = evidence_of([[1.0], [2.0]], [[1.0], [4.0]], "continuous", ["arousal"])
    found = numbers.score(numbers.outputs[0])
    assert found["mae"] == 1 and set(found) == {"ccc", "pcc", "rmse", "mae"}
    assert numbers.score_clips(numbers.outputs).tolist() == [0, 2]
