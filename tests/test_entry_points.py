"""The command line, as people type it."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import (
    SHARED,
    SMALL_PARTY,
    SMALL_TEST_ROWS,
    events_of,
    results,
    tone,
    write_recordings,
    write_sound,
)

from avfusion.diagnostics.section import read_diagnoses
from avfusion.evaluation.predictions import load_predictions

pytestmark = pytest.mark.slow
DRAWN = (SMALL_PARTY, "trainer.max_epochs=2", "trainer.accelerator=cpu")
SMALL = (*DRAWN, "callbacks=minimal")  # the dashboard takes half of the time of such a run


def weights(folder: Path, name: str = "last") -> dict:
    checkpoint = torch.load(folder / f"checkpoints/{name}.ckpt", weights_only=True)
    return checkpoint["state_dict"]


def equal(ours: dict, theirs: dict) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(ours[k], theirs[k]) for k in ours)


@pytest.fixture(scope="module")
def trained(run, tmp_path_factory) -> Path:
    """A run of the small embedded corpus, with the dashboard."""
    folder = tmp_path_factory.mktemp("trained")
    run("train", *DRAWN, "trainer.devices=1", "seed=3", f"hydra.run.dir={folder}")
    return folder


def test_a_run_leaves_configuration_checkpoints_events_and_results(trained):
    assert {"config.yaml", "results.json", "checkpoints", "csv"} <= {
        p.name for p in trained.iterdir()
    }
    assert list(trained.glob("events.out.tfevents.*"))
    scores = results(trained)
    assert 0 <= scores["test/accuracy"] <= 1 and 0 <= scores["test/attention_hit"] <= 1
    assert scores["epochs"] == 2 and scores["data/shared_subjects"] == 0
    assert 0 < scores["step_milliseconds"] / 1000 < scores["seconds"] < 600


def test_testing_the_checkpoint_gives_the_numbers_of_the_run(run, trained, tmp_path):
    run("eval", f"ckpt_path={trained}", f"hydra.run.dir={tmp_path}")
    ours, theirs = results(tmp_path), results(trained)
    tested = [name for name in theirs if name.startswith("test/")]
    assert tested and {name: ours[name] for name in tested} == {
        name: theirs[name] for name in tested
    }
    before = load_predictions(trained)
    assert before.correct.mean() == pytest.approx(theirs["test/accuracy"])
    assert np.array_equal(load_predictions(tmp_path).outputs, before.outputs)


def test_a_run_that_lost_its_predictions_gets_them_back_by_the_command_that_is_named(
    run, trained, tmp_path
):
    before = load_predictions(trained)
    (trained / "predictions.npz").unlink()
    kept = results(trained)
    with pytest.raises(FileNotFoundError) as told:
        load_predictions(trained)
    _, _, command = str(told.value).partition("python src/eval.py ")
    run("eval", *command.split(), f"hydra.run.dir={tmp_path}")
    assert np.array_equal(load_predictions(trained).outputs, before.outputs)
    assert results(trained) == kept


def test_a_test_and_predictions_without_the_voice_say_so(run, trained, tmp_path):
    command = (f"ckpt_path={trained}", "modalities=[face]")
    process = run("eval", *command, f"hydra.run.dir={tmp_path}/eval")
    found = results(tmp_path / "eval")
    assert f"Test (face only): accuracy {found['test/accuracy']:.3f}" in process.stdout
    assert found["data/modalities"] == "face" and found["data/split"] == "test"
    saved = load_predictions(tmp_path / "eval")
    assert saved.modalities == ["face"]
    assert saved.correct.mean() == pytest.approx(found["test/accuracy"])

    run("predict", *command, f"hydra.run.dir={tmp_path}/predict")
    with (tmp_path / "predict" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["note"] for row in rows} == {"voice taken away; zeros stand in for the voice"}
    right = sum(row["label"] == row["predicted"] for row in rows) / len(rows)
    assert right == pytest.approx(found["test/accuracy"])


def test_a_run_is_diagnosed_and_its_temperature_scales_predictions(run, trained, tmp_path):
    (quick,), kept = read_diagnoses(trained), results(trained)
    assert [*quick.sections] == ["calibration", "selective", "groups"]

    small = ("diagnostics.contribution.clips=5", "diagnostics.attention.clips=5")
    process = run("diagnose", f"ckpt_path={trained}", *small, f"hydra.run.dir={tmp_path}/diagnose")
    (found,) = read_diagnoses(trained)
    accuracy = found.sections["subsets"].numbers["network/both/accuracy"]
    assert accuracy == pytest.approx(kept["test/accuracy"]) and results(trained) == kept
    assert f"Written: {trained}/diagnostics.html" in process.stdout
    assert all(section.title in process.stdout for section in found.sections.values())
    numbers = found.sections["calibration"].numbers
    assert numbers["ece"] == quick.sections["calibration"].numbers["ece"]
    shown = events_of(trained / "diagnostics").Tags()
    assert "diagnostics/calibration/ece" in shown["scalars"]
    assert "diagnostics/reliability" in shown["images"]
    assert (trained / "diagnostics" / "reliability.svg").is_file()

    for name, options in (("plain", ()), ("scaled", ("temperature=true",))):
        run("predict", f"ckpt_path={trained}", *options, f"hydra.run.dir={tmp_path}/{name}")
    plain, scaled = (
        np.array([list(row["probabilities"].values()) for row in json.loads(file.read_text())])
        for file in (tmp_path / name / "predictions.json" for name in ("plain", "scaled"))
    )
    expected = plain ** (1 / numbers["temperature"])
    assert np.allclose(scaled, expected / expected.sum(axis=1, keepdims=True), atol=1e-4)


def test_predictions_agree_with_the_accuracy_of_the_run(run, trained, tmp_path):
    run("predict", f"ckpt_path={trained}", f"hydra.run.dir={tmp_path}")
    with (tmp_path / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["clip_id"] for row in rows] == [f"test_{number:05d}" for number in range(15)]
    right = sum(row["label"] == row["predicted"] for row in rows) / len(rows)
    assert right == pytest.approx(results(trained)["test/accuracy"])


def test_recordings_are_answered_for_bad_ones_are_listed_and_the_exit_code_says_so(
    run, trained, tmp_path
):
    folder = write_recordings(tmp_path / "clips", subjects=1)
    (folder / "s0_0.png").unlink()
    (folder / "._s0_1.png").write_bytes(b"a companion")
    process = run(
        "predict", f"ckpt_path={trained}", f"input={folder}", f"hydra.run.dir={tmp_path}/good"
    )
    assert "1 file is left out: manifest.csv" in " ".join((process.stdout + process.stderr).split())
    assert f"{folder}/manifest.csv," in (tmp_path / "good" / "left_out.csv").read_text()
    with (tmp_path / "good" / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 4 and sum(row["note"] != "" for row in rows) == 1
    note = "no picture; sound only; zeros stand in for the face"
    assert note in {row["note"] for row in rows}
    assert not (tmp_path / "good" / "store").exists()

    (folder / "s0_1.wav").write_bytes(b"")
    options = ("figures=true", f"hydra.run.dir={tmp_path}/bad")
    process = run("predict", f"ckpt_path={trained}", f"input={folder}", *options, fails=True)
    assert "1 recording cannot be used" in process.stderr
    assert "empty file" in (tmp_path / "bad" / "report.csv").read_text()
    assert len(list((tmp_path / "bad" / "figures").glob("*.png"))) == 3


def test_a_long_recording_gets_a_time_line(run, trained, tmp_path):
    path = write_sound(tmp_path / "long.flac", tone(12.0))
    options = ("windows.step=1.0", f"hydra.run.dir={tmp_path}/run")
    run("predict", f"ckpt_path={trained}", f"input={path}", *options)
    (table,) = (tmp_path / "run" / "timelines").glob("*.csv")
    assert len(table.read_text().splitlines()) == 1 + 12  # the last one ends the recording


def test_the_same_seed_gives_the_same_weights(run, trained, tmp_path):
    run("train", *SMALL, "trainer.devices=1", "seed=3", f"hydra.run.dir={tmp_path}")
    assert equal(weights(tmp_path), weights(trained))


def test_another_seed_gives_other_weights(run, trained, tmp_path):
    run("train", *SMALL, "trainer.devices=1", "seed=4", f"hydra.run.dir={tmp_path}")
    assert not equal(weights(tmp_path), weights(trained))


def test_two_processes_end_with_equal_weights_and_test_every_clip_once(run, tmp_path):
    recorder = (
        "+callbacks.recorder._target_=rank_recorder.RankRecorder",
        f"+callbacks.recorder.folder={tmp_path}",
    )
    ddp = ("trainer=ddp", "trainer.devices=2", f"hydra.run.dir={tmp_path}/run")
    run("train", *SMALL, *ddp, *recorder)
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert equal(first["weights"], second["weights"])
    assert sorted(first["rows"] + second["rows"]) == list(SMALL_TEST_ROWS)
    assert [path.name for path in tmp_path.glob("run*")] == ["run"]


def test_a_continued_run_trains_on_in_its_folder(run, tmp_path):
    one = (*SMALL, "trainer.devices=1", f"hydra.run.dir={tmp_path}")
    run("train", *one, "trainer.max_epochs=1")
    before = weights(tmp_path)
    run("train", *SMALL, "trainer.devices=1", f"ckpt_path={tmp_path}")
    assert results(tmp_path)["epochs"] == 2
    assert not equal(before, weights(tmp_path))
    assert len(list((tmp_path / "csv").glob("version_*/metrics.csv"))) == 2


def test_fine_tuning_initializes_the_head_for_other_classes(run, trained, tmp_path):
    corpus = write_recordings(tmp_path)
    prepared = run("prepare", "corpus=manifest", f"corpus.root={corpus}")
    command = prepared.stdout.strip().splitlines()[-1].split()
    assert command[:2] == ["python", "src/train.py"]
    options = ("data.batch_size=8", f"init_from={trained}", f"hydra.run.dir={tmp_path}/run")
    tuned = run("train", *command[2:], *SMALL[1:], *options)
    assert "initialized" in tuned.stdout and "network.head.logits.weight" in tuned.stdout
    assert results(tmp_path / "run")["data/split"] == "test"


def predicted(folder: Path) -> list[dict[str, str]]:
    """The rows that a prediction wrote."""
    with (folder / "predictions.csv").open() as file:
        return list(csv.DictReader(file))


def test_a_network_on_stored_maps_needs_nothing_but_its_checkpoint(run, trained, tmp_path):
    teacher, student = shutil.copytree(trained, tmp_path / "teacher"), tmp_path / "student"
    stored = (
        "model/face_encoder=precomputed",
        f"data.features.face_maps.run={teacher}",
    )
    run("train", *SMALL, *stored, "trainer.devices=1", f"hydra.run.dir={student}")
    assert not any("face_encoder" in name for name in weights(student))
    shutil.rmtree(teacher)

    run("predict", f"ckpt_path={student}", f"hydra.run.dir={tmp_path}/store")
    right = [row["label"] == row["predicted"] for row in predicted(tmp_path / "store")]
    assert sum(right) / len(right) == pytest.approx(results(student)["test/accuracy"])

    (picture,) = run.data.rglob("test_00003.png")
    pair = f"{picture} + {picture.parents[1]}/audio/test_00003.wav"
    run("predict", f"ckpt_path={student}", f"input={pair}", f"hydra.run.dir={tmp_path}/files")
    (ours,), theirs = predicted(tmp_path / "files"), predicted(tmp_path / "store")[3]
    for name in ("happy", "calm", "fearful", "sad", "angry", "disgust", "surprised", "neutral"):
        assert float(ours[name]) == pytest.approx(float(theirs[name]), abs=2e-3)


def test_a_checkpoint_of_another_model_is_refused_in_one_sentence(run, trained):
    process = run("train", *SMALL, "model=concat", f"ckpt_path={trained}", fails=True)
    assert "trained with another model" in process.stderr and "Traceback" not in process.stderr


def test_another_store_must_hold_the_same_features(run, trained, tmp_path):
    corpus = write_recordings(tmp_path)
    small = run("prepare", "corpus=manifest", f"corpus.root={corpus}", "features.face.size=64")
    command = small.stdout.strip().splitlines()[-1].split()
    (store,) = (word for word in command if word.startswith("data.store="))
    process = run("eval", f"ckpt_path={trained}", "data=store", store, fails=True)
    assert "other features" in process.stderr and "Traceback" not in process.stderr


@pytest.mark.parametrize("folder", ["dev_chimeric_emotion", "dev_grid_av", "dev_fsdd_id8k"])
def test_real_recordings_prepare_and_train(run, folder, tmp_path):
    root = SHARED / "data" / folder
    if not root.exists():
        pytest.skip(f"no recordings in {root}: set AVFUSION_SHARED to a folder that has them")
    columns = "corpus.columns.subject=speaker"
    prepared = run("prepare", "corpus=manifest", f"corpus.root={root}", columns)
    command = prepared.stdout.strip().splitlines()[-1].split()
    (store,) = (word for word in command if word.startswith("data.store="))
    options = ("data.batch_size=4", f"hydra.run.dir={tmp_path}", "data.allow_subject_overlap=true")
    run("train", "data=store", store, *SMALL[1:], *options)
    assert (results(tmp_path)["data/shared_subjects"] > 0) == (folder != "dev_chimeric_emotion")


@pytest.mark.timeout(1500)
def test_folds_share_a_store_and_are_tested_by_the_plan_of_their_training(run, tmp_path):
    root = write_recordings(tmp_path / "recordings", each=2)
    made = run("prepare", f"corpus.root={root}", "features.face.size=32", "prepare.workers=1")
    (store,) = (word for word in made.stdout.split() if word.startswith("data.store="))
    folder = Path(store.removeprefix("data.store="))
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    data = ("data=store", store, "data.splits={folds: 3}", "data.batch_size=4")
    sweep = ("-m", "data.fold=1,2", *data, f"hydra.sweep.dir={tmp_path}/sweep")
    run("train", *sweep, *SMALL[2:], "trainer.max_epochs=1")
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    runs = sorted(path.parent for path in tmp_path.glob("sweep/**/results.json"))
    by_plan = {results(one)["data/splits"]: one for one in runs}
    assert sorted(by_plan) == ["{folds: 3} data.fold=1", "{folds: 3} data.fold=2"]
    first = by_plan["{folds: 3} data.fold=1"]
    tested = [set(load_predictions(one).subjects.tolist()) for one in runs]
    assert not set.intersection(*tested) and all(len(people) == 2 for people in tested)

    for again in ((), ("data=store", store)):
        run("eval", f"ckpt_path={first}", *again, f"hydra.run.dir={tmp_path}/eval")
        ours, theirs = results(tmp_path / "eval"), results(first)
        assert ours["test/accuracy"] == theirs["test/accuracy"]
        assert ours["data/splits"] == "{folds: 3} data.fold=1"
    process = run("eval", f"ckpt_path={first}", "fold=0", fails=True)
    assert "was trained on 2 subjects of the test split" in " ".join(process.stderr.split())


def test_a_multirun_gives_each_job_a_folder(run, tmp_path):
    sweep = ("-m", "model=lowrank,concat", f"hydra.sweep.dir={tmp_path}")
    run("train", *sweep, *SMALL, "trainer=debug", "trainer.max_epochs=1")
    assert results(tmp_path / "lowrank")["parameters"] != results(tmp_path / "concat")["parameters"]
