"""Claims about robustness curves, against cases worked out by hand."""

import json
import logging
import shutil
from copy import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from conftest import SMALL_PARTY, build_for, quiet_trainer, results
from scipy.special import expit, logit
from tiny_encoders import TARGETS, TinyVoice

from avfusion import checkpoint
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.diagnostics import robustness
from avfusion.diagnostics.corrupted_clips import CorruptedClips
from avfusion.diagnostics.corruptions import CORRUPTIONS
from avfusion.diagnostics.effective_robustness import measure_effective, measure_surplus
from avfusion.diagnostics.evidence import Evidence, RunClips
from avfusion.diagnostics.networks import TestedNetwork
from avfusion.diagnostics.robustness import (
    RobustnessCurves,
    choose_positions,
    compute_changed,
    measure_area,
    predict_constant,
    take_clips,
)
from avfusion.diagnostics.section import Diagnosis, NotMeasured, read_diagnoses, write_diagnoses
from avfusion.figures.diagnostics import chart_figure
from avfusion.preparation.streams import add_stream
from avfusion.targets import choose_target

KNOWN = {one.name: one for one in CORRUPTIONS}


def gather(root, model, *overrides, **options):
    """Evidence on the test clips of an untrained network whose classes differ."""
    data = FaceAudioDataModule(str(root), batch_size=5, **options)
    torch.manual_seed(0)
    task = build_for(data, model, *overrides)
    with torch.no_grad():
        for weight in task.parameters():
            weight += 0.05 * torch.randn_like(weight)
    network = TestedNetwork(task, data, quiet_trainer())
    rows, outputs, targets = network.compute().labeled(data.target)
    ids, subjects = (np.array(data.store.texts(name))[rows] for name in ("clip_id", "subject"))
    parts = [RunClips(None, 0, np.arange(len(rows)), rows)]
    return Evidence(
        "run", "test", data.target, ids, subjects, targets, outputs[None], parts, networks=[network]
    )


@pytest.fixture(scope="module")
def evidence(party_store):
    return gather(party_store, "concat")


def split_folds(evidence, repetitions=1):
    """The same evidence by two folds, each of every other clip, once or again and again."""
    (part,) = evidence.parts
    parts = [
        RunClips(None, number, part.positions[first::2], part.rows[first::2])
        for number in range(repetitions)
        for first in (0, 1)
    ]
    networks, outputs = (
        list(evidence.networks) * len(parts),
        evidence.outputs.repeat(repetitions, 0),
    )
    own = {"parts": parts, "networks": networks, "outputs": outputs, "computed": {}}
    return replace(evidence, **own)


def test_the_area_is_the_mean_height_of_the_curve():
    assert measure_area([1.0, 1.0, 1.0]) == 1
    assert measure_area([1.0, 0.5, 0.0]) == pytest.approx(0.5)
    assert measure_area([0.8, 0.6, 0.2]) == pytest.approx(((0.8 + 0.6) / 2 + (0.6 + 0.2) / 2) / 2)


def test_one_baseline_predicts_by_a_shift_of_logits_and_three_by_a_line():
    one = np.array([[0.8, 0.5]])
    assert measure_surplus(0.8, 0.6, one, 1e-3) == pytest.approx(0.6 - 0.5)
    odds = 0.9 / 0.1 * (0.5 / 0.5) / (0.8 / 0.2)  # the odds fall by the same factor
    assert measure_surplus(0.9, 0.6, one, 1e-3) == pytest.approx(0.6 - odds / (1 + odds))
    assert measure_surplus(0.3, 0.2, np.array([[0.5, 0.1]]), None) == pytest.approx(0.2 + 0.1)

    clean = np.array([0.6, 0.7, 0.9])
    line = np.stack([clean, expit(2 * logit(clean) - 1)], axis=1)
    expected = expit(2 * logit(0.8) - 1)
    assert measure_surplus(0.8, 0.6, line, 1e-3) == pytest.approx(0.6 - expected)
    assert measure_surplus(1.0, 0.0, np.array([[1.0, 0.0]]), 0.01) == pytest.approx(0)


def test_effective_robustness_is_the_mean_over_levels_of_what_baselines_do_not_predict():
    ours = {"clean/accuracy": 0.9, "noise/5/accuracy": 0.8, "noise/0/accuracy": 0.7}
    theirs = {"clean/accuracy": 0.9, "noise/5/accuracy": 0.7, "noise/0/accuracy": 0.5}
    other = {"clean/accuracy": 0.1, "noise/5/accuracy": 0.1}  # lacks a level
    levels = ["noise/5", "noise/0"]
    surplus = measure_effective(ours, [theirs, other], levels, "accuracy", 1e-3)
    assert surplus == pytest.approx((0.1 + 0.2) / 2)
    assert measure_effective(ours, [other], levels, "accuracy", 1e-3) is None


def test_what_always_says_the_same_scores_chance():
    target = choose_target({"labels": "single_label", "output_names": ["a", "b", "c"]})
    assert predict_constant(target, torch.tensor([0, 2, 2, -1, 2, 1])).argmax() == 2
    several = choose_target({"labels": "multi_label", "output_names": ["a", "b"]})
    constant = predict_constant(several, torch.tensor([[1, 0], [1, 1], [1, 0], [-1, -1]]))
    assert several.predict(constant).tolist() == pytest.approx([1, 1 / 3], abs=1e-5)


def test_clips_are_chosen_by_seed_in_their_order(evidence):
    some = choose_positions(50, 10, 0)
    assert len({*some.tolist()}) == 10 and (np.diff(some) > 0).all() and some.max() < 50
    assert (choose_positions(50, 10, 0) == some).all() and (
        choose_positions(50, 10, 1) != some
    ).any()
    assert (
        choose_positions(50, None, 0).tolist()
        == choose_positions(50, 50, 0).tolist()
        == [*range(50)]
    )

    folds = split_folds(evidence)
    taken = take_clips(folds, np.array([1, 4, 5, 9]))
    assert [part.positions.tolist() for part in taken.parts] == [[1], [0, 2, 3]]
    (again,) = compute_changed(taken, [lambda clips, data: clips])
    assert np.allclose(again, evidence.outputs[:, [1, 4, 5, 9]], atol=1e-6)
    assert len(take_clips(folds, np.array([2, 4])).parts) == 1


def test_level_0_through_all_that_is_computed_again_gives_the_bytes_of_the_clean_outputs(evidence):
    (network,) = evidence.networks
    data = network.data
    corrupter = CorruptedClips(data.store, data.streams, data.splits.rows("test"))

    def outputs(one, level):
        change = partial(robustness._corrupt, corrupter=corrupter, corruption=one, level=level)
        return compute_changed(evidence, [change])[0]

    for one in CORRUPTIONS:
        assert (outputs(one, len(one.strengths)) != evidence.outputs).any(), one.name
    for one in (KNOWN["babble"], KNOWN["jpeg"]):  # after all of those
        assert outputs(one, 0).tobytes() == evidence.outputs.tobytes()


@pytest.mark.slow
def test_curves_begin_at_the_scores_of_a_test_and_say_what_they_were_measured_on(
    evidence, caplog, tmp_path
):
    (network,) = evidence.networks
    chosen = ["clipping", "jpeg"]
    with caplog.at_level(logging.INFO, robustness.__name__):
        section = RobustnessCurves(corruptions=chosen).measure(evidence)
    line = "forward passes over 12 clips: 12 of the network (2 corruptions, 10 levels)"
    assert line in caplog.text
    for modality in ("face", "audio"):
        lacking = copy(network)
        lacking.data = network.data.without(modality)
        left = lacking.compute()
        for score, value in evidence.score(left.outputs).items():
            assert section.numbers[f"without/{modality}/{score}"] == pytest.approx(value)

    assert [row[0] for row in section.tables[0].rows] == ["clipping", "JPEG"]
    for chart, name in zip(section.charts, chosen, strict=True):
        curve, chance, alone = chart.lines
        levels = [f"{name}/{strength:g}" for strength in KNOWN[name].strengths]
        keys = [f"{level}/accuracy" for level in ("clean", *levels)]
        assert curve.y == [section.numbers[key] for key in keys]
        assert curve.y[0] == pytest.approx(evidence.score(evidence.outputs[0])["accuracy"])
        assert section.numbers[f"{name}/area/accuracy"] == pytest.approx(measure_area(curve.y))
        assert chart.ticks[0] == "clean" and len(chart.ticks) == len(curve.y) == len(curve.low)
        modality = KNOWN[name].modality
        assert alone.name == {"audio": "face alone", "face": "voice alone"}[modality]
        assert alone.y[0] == section.numbers[f"without/{modality}/accuracy"]
        assert chance.y[0] == section.numbers["chance/accuracy"]
        (axes,) = chart_figure(chart).axes
        assert [text.get_text() for text in axes.get_xticklabels()] == list(chart.ticks)

    write_diagnoses(tmp_path, [Diagnosis("run", "test", 12, 12, {"robustness": section})])
    folder = str(tmp_path)
    again = RobustnessCurves(corruptions=chosen, baselines=[folder]).measure(evidence)
    for name in chosen:  # of what is its own baseline
        assert again.numbers[f"{name}/effective/accuracy"] == pytest.approx(0)
    assert again.tables[0].head[-1] == "effective" and section.tables[0].head[-1] == "area"
    fewer = RobustnessCurves(clips=5, corruptions=chosen, baselines=[folder]).measure(evidence)
    assert fewer.notes == [
        "On 5 of 12 clips, drawn by seed 0.",
        "Left out: 1 baseline, measured on other clips or with another seed.",
    ]
    assert fewer.settings["clips"] == 5 and "jpeg/effective/accuracy" not in fewer.numbers


@pytest.mark.slow
def test_folds_and_repetitions_of_one_network_have_its_curves(evidence, caplog):
    curves = RobustnessCurves(corruptions=["babble", "occlusion"])
    whole = curves.measure(evidence)
    with caplog.at_level(logging.INFO, robustness.__name__):
        folds = curves.measure(split_folds(evidence, repetitions=2))
    assert "over 12 clips, for each of 2 repetitions: 14 of the network (2 corr" in caplog.text
    assert folds.numbers == pytest.approx(whole.numbers) and folds.settings == whole.settings


def test_wrong_settings_are_refused_before_anything_is_measured(tmp_path):
    with pytest.raises(ValueError, match="has loudness, which is no corruption: choose some of"):
        RobustnessCurves(corruptions=["loudness"])
    with pytest.raises(FileNotFoundError, match=r"was not measured: run python src/diagnose\.py"):
        RobustnessCurves(baselines=[str(tmp_path)])


@pytest.mark.slow
def test_where_an_encoder_is_not_at_hand_rows_say_so(recordings_store, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "ALLOWED_TARGETS", {*TARGETS})
    root = shutil.copytree(recordings_store, tmp_path / "store")
    file = tmp_path / "weights.pth"
    torch.save(TinyVoice().build().state_dict(), file)
    add_stream(root, TinyVoice("voice", file=str(file)), torch.device("cpu"))
    (root / "voice" / "encoder.pt").unlink()
    encoder = "model.network.audio_encoder.stream=voice"
    evidence = gather(root, "concat", encoder, streams=["frames", "voice"])
    chosen = {"corruptions": ["band", "blur"]}

    section = RobustnessCurves(**chosen).measure(evidence)
    assert "band/250/accuracy" in section.numbers

    moved = file.rename(tmp_path / "moved.pth")
    section = RobustnessCurves(**chosen).measure(evidence)
    band, blur = section.tables[0].rows
    assert band[2] == "not measured" and blur[2] == section.numbers["clean/accuracy"]
    assert "band limit: not measured, The stream voice was computed" in section.notes[0]
    assert "band/250/accuracy" not in section.numbers and len(section.charts) == 1
    section = RobustnessCurves(encoders={"voice": {"file": str(moved)}}, **chosen).measure(evidence)
    assert "band/250/accuracy" in section.numbers


@pytest.mark.slow
def test_a_network_of_one_modality_is_measured_on_that_alone(party_store):
    evidence = gather(party_store, "audio_only", streams=["mfcc"])
    section = RobustnessCurves(corruptions=["band", "blur"]).measure(evidence)
    band, blur = section.tables[0].rows
    assert band[2] == section.numbers["clean/accuracy"] and blur[2] == "not measured"
    assert section.notes == ["blur: not measured, the network does not read the face."]
    assert [line.name for line in section.charts[0].lines] == ["corrupted", "chance"]
    with pytest.raises(NotMeasured, match="the network does not read the face"):
        RobustnessCurves(corruptions=["blur"]).measure(evidence)
    with pytest.raises(NotMeasured, match="forward passes"):
        RobustnessCurves().measure(Evidence(**vars(evidence) | {"networks": ()}))


@pytest.mark.slow
@pytest.mark.parametrize(("place", "loss"), [("number_store", "mse"), ("several_store", "bce")])
def test_numbers_and_several_classes_have_curves_of_their_own_scores(place, loss, request):
    evidence = gather(request.getfixturevalue(place), "concat", f"loss={loss}")
    section = RobustnessCurves(corruptions=["occlusion"]).measure(evidence)
    first = evidence.target.scores[0]
    assert {f"occlusion/0.8/{score}" for score in evidence.target.scores} <= {*section.numbers}
    (chart,) = section.charts
    assert chart.lines[0].y[0] == section.numbers[f"clean/{first}"] and not chart.lines[0].low
    json.dumps(section.numbers)


@pytest.mark.slow
def test_a_run_on_a_computed_stream_is_diagnosed_from_the_command_line(run, tmp_path):
    corpus = ("corpus=cocktail_party", SMALL_PARTY.removeprefix("data."), "features.face.size=32")
    told = run("prepare", *corpus, "features/audio_stream=logmel").stdout
    (store,) = (word for word in told.split() if word.startswith("data.store="))
    folder = tmp_path / "run"
    small = ("model=concat", "trainer=cpu", "trainer.max_epochs=1", "data.batch_size=8")
    allowed = "data.allow_untrained_classes=true"
    read = ("data=store", store, "audio=logmel", allowed)
    run("train", *read, *small, f"hydra.run.dir={folder}")

    others = (f"diagnostics.{name}=null" for name in ("subsets", "calibration", "groups"))
    options = ("diagnostics.robustness.corruptions=[babble, jpeg]", "trainer=cpu")
    log = run("diagnose", f"ckpt_path={folder}", *others, *options)
    passes = (
        "forward passes over 15 clips: 14 of the network, 7 of logmel (2 corruptions, 12 levels)"
    )
    assert passes in " ".join((log.stdout + log.stderr).split())
    section = read_diagnoses(folder)[0].sections["robustness"]
    assert section.numbers["clean/accuracy"] == pytest.approx(results(folder)["test/accuracy"])
    assert section.numbers["babble/-10/accuracy"] >= 0 and len(section.charts) == 2
    assert (folder / "diagnostics" / "robustness_babble.svg").is_file()
    assert "Babble, from mild to severe." in (folder / "diagnostics.html").read_text()
