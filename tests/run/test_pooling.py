"""Claims about the pooled tables of a sweep, with trivial baselines on the folds of its runs."""

import runpy
import sys
from dataclasses import replace

import numpy as np
import pytest
import yaml
from conftest import ROOT, load, split_by
from omegaconf import OmegaConf
from sklearn.linear_model import LogisticRegression

from avfusion.data.store import Store
from avfusion.evaluation.predictions import Predictions, load_predictions
from avfusion.evaluation.probe import standardize, summarize_stream
from avfusion.evaluation.runs import find_runs
from avfusion.run.baselines import list_streams, read_splits
from avfusion.run.pooling import pool_runs
from avfusion.targets import choose_target

from ..evaluation.pooled_runs import write_fold

FOLDS = 3


@pytest.fixture(scope="module")
def sweep(party_store, tmp_path_factory):
    """Two models over three folds by subject: one that is always right, one that never is."""
    root = tmp_path_factory.mktemp("sweep")
    store = Store(party_store)
    target = choose_target(store.description)
    labels = target.read_labels(store)
    for name, model, shift in (("right", "lowrank", 0), ("wrong", "audio_only", 1)):
        network = OmegaConf.to_container(load("train", f"model={model}").model.network)
        for fold in range(FOLDS):
            splits = split_by(store, {"folds": FOLDS}, fold)
            rows = splits.rows("test")
            taken = (labels[rows] + shift) % target.outputs
            predictions = Predictions(
                split="test",
                store=str(party_store),
                labels="single_label",
                output_names=target.output_names,
                rows=rows,
                clip_ids=np.array(store.texts("clip_id"))[rows],
                subjects=np.array(store.texts("subject"))[rows],
                outputs=5 * np.eye(target.outputs, dtype=np.float32)[taken],
                targets=labels[rows],
                boxes=store.boxes[rows],
            )
            config = {"data": {"splits": {"folds": FOLDS}, "fold": fold, "split_seed": 0}}
            config |= {"model": {"network": network}}
            folder = root / f"{name}_fold{fold}"
            write_fold(folder, predictions, str(fold), splits.folds, 1, name, config)
    return root


@pytest.mark.slow
def test_baselines_are_of_the_streams_that_runs_read_on_their_folds(sweep, party_store):
    pooled = pool_runs(find_runs([str(sweep)]))
    assert not pooled.sentences
    rows = {row.name: row for row in pooled.rows}
    assert set(rows) == {
        "model=right",
        "model=wrong",
        "majority class",
        "linear probe: frames",
        "linear probe: mfcc",
        "linear probe: frames + mfcc",
    }
    assert rows["model=right"].scores["WAR"].value == 1 and not rows["model=right"].loses
    assert rows["model=wrong"].scores["WAR"].value == 0 and rows["model=wrong"].loses
    assert set(pooled.details) == {"model=right", "model=wrong"}

    # The probe of fold 1 again, by hand, without a regularization to choose.
    store = Store(party_store)
    splits = split_by(store, {"folds": FOLDS}, 1)
    labels = choose_target(store.description).read_labels(store)
    x = standardize(summarize_stream(store, "mfcc"), splits.where("train"))
    train, test = splits.where("train"), splits.where("test")
    fits = [
        LogisticRegression(C=c, max_iter=500).fit(x[train], labels[train]).predict(x[test])
        for c in (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    ]
    probe = rows["linear probe: mfcc"].pooled
    ids = np.array(store.texts("clip_id"))[test]
    places = [probe.clip_ids.tolist().index(name) for name in ids]
    assert probe.predicted[0, places].tolist() in [fit.tolist() for fit in fits]


def test_the_splits_of_a_run_are_read_from_its_configuration(sweep, party_store, tmp_path):
    store = Store(party_store)
    run = find_runs([str(sweep / "right_fold2")])[0]
    expected = split_by(store, {"folds": FOLDS}, 2).numbers.tolist()
    assert read_splits(run, store).numbers.tolist() == expected
    config = yaml.safe_load((run.folder / "config.yaml").read_text())
    protocol = load("train", "data=store", "data.store=x", "data.protocol=subject_k").data.protocol
    plain = OmegaConf.to_container(protocol) | {"folds": FOLDS}
    config["data"] = {"protocol": plain, "fold": 2, "split_seed": 0, "validation": "test"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    splits = read_splits(find_runs([str(tmp_path)])[0], store)
    assert splits.validates_on_test and splits.protocol == "subject_k"
    assert splits.rows("test").tolist() == np.flatnonzero(np.array(expected) == 2).tolist()


def test_without_their_store_there_are_no_baselines_and_a_sentence_says_so(sweep, tmp_path):
    runs = find_runs([str(sweep)])
    for run in runs:
        folder = tmp_path / run.folder.name
        folder.mkdir()
        for file in run.folder.iterdir():
            (folder / file.name).write_bytes(file.read_bytes())
        replace(load_predictions(folder), store="gone/away").save(folder)
    pooled = pool_runs(find_runs([str(tmp_path)]))
    assert [row.name for row in pooled.rows] == ["model=right", "model=wrong"]
    assert "Without baselines: model=right: their store is not at gone/away" in pooled.sentences[0]


def test_ensembles_stand_beside_their_members(sweep):
    pooled = pool_runs(find_runs([str(sweep)]), baselines=False, ensemble="logits")
    assert "all settings: mean of 2 logits" in [row.name for row in pooled.rows]
    (every,) = (row.pooled for row in pooled.rows if row.pooled.predictor == "ensemble")
    assert list_streams(every) == ["mfcc", "frames"]


@pytest.mark.slow
def test_summarize_prints_and_writes_the_pooled_tables(sweep, tmp_path, monkeypatch, capsys):
    arguments = ["summarize.py", str(sweep), "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    runpy.run_path(str(ROOT / "src" / "summarize.py"), run_name="__main__")
    said = capsys.readouterr().out
    assert "Over all clips" in said and "model=wrong ↓" in said and "majority class" in said
    text = (tmp_path / "pooled.md").read_text()
    assert "### model=right: classes" in text and "↓ Behind a trivial baseline" in text
    for name in ("pooled.tex", "pooled.csv", "pooled.svg", "pooled_confusion.svg"):
        assert (tmp_path / name).stat().st_size > 500
