"""Claims about where a checkpoint looks for its data on this machine."""

import re
import shutil
from dataclasses import replace

import pytest
import torch
from conftest import build_task, load, quiet_trainer, split_by
from omegaconf import OmegaConf

from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.index import write_index
from avfusion.data.store import INDEX_FILE, Store, read_description
from avfusion.run.restore import (
    check_same_splits,
    choose_splits,
    localize_paths,
    point_to_weights,
    restore,
)


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("AVFUSION_DATA", str(tmp_path / "home"))
    return tmp_path / "home"


def recorded(target: str, **corpus) -> dict:
    return {"corpus": {"_target_": target, **corpus}, "root": None, "store": "elsewhere"}


def test_the_embedded_corpus_is_rendered_where_this_machine_has_its_data(home):
    found = localize_paths(
        recorded("avfusion.corpora.CocktailParty", root="/old/cocktail_party"), None
    )
    assert found["corpus"]["root"] == f"{home}/cocktail_party"
    assert found["store"] == f"{home}/stores"


def test_the_cache_of_another_machine_is_that_of_this_one(tmp_path):
    for folder, expected in (("/nowhere/cache", None), (str(tmp_path), str(tmp_path))):
        data = {"store": "s3://bucket/store", "cache": {"folder": folder, "size_gb": 5}}
        assert localize_paths(data, None)["cache"] == {"folder": expected, "size_gb": 5}


def test_another_corpus_without_a_root_of_its_data_stays_what_it_is(tmp_path):
    found = localize_paths(
        recorded("avfusion.corpora.Manifest", root=str(tmp_path), label="mood"), None
    )
    assert found["corpus"] == {
        "_target_": "avfusion.corpora.Manifest",
        "root": str(tmp_path),
        "label": "mood",
    }
    assert found["root"] is None


def test_a_corpus_that_is_gone_is_looked_for_by_its_name_where_that_is_there(home):
    data = recorded("avfusion.corpora.Manifest", root="/nowhere/recordings")
    assert localize_paths(data, None)["corpus"]["root"] == "/nowhere/recordings"
    (home / "manifest").mkdir(parents=True)
    assert localize_paths(data, None)["corpus"]["root"] == f"{home}/manifest"


def test_a_corpus_that_has_no_root_at_all_gets_none():
    data = recorded("avfusion.corpora.Manifest", manifest="a.csv")
    assert localize_paths(data, None)["corpus"] == data["corpus"]


OWN = {"splits": {"folds": 3}, "fold": 1, "split_seed": 5, "allow_subject_overlap": False}


@pytest.fixture
def plan(recordings_store):
    """The arguments of a plan for data, by what eval is given, after a training by folds."""
    checksums = read_description(recordings_store)["checksums"]
    recipe = {"data": OWN | {"batch_size": 4}, "description": {"checksums": checksums}}

    def plan(store=recordings_store, data=None, **given):
        others = {} if data is None else {"data": {"_target_": "FaceAudioDataModule"} | data}
        cfg = OmegaConf.create({"splits": None, "fold": None} | given | others)
        return choose_splits(cfg, {"store": str(store)} | (data or {}), recipe)

    return plan


def test_a_test_is_by_the_plan_of_the_training_unless_another_is_given(plan):
    assert plan() == {}  # which its own data say
    assert plan(fold=2) == {"fold": 2}
    assert plan(splits="sessions", fold="x") == {"splits": "sessions", "fold": "x"}
    assert plan(splits={"test": 1}) == {"splits": {"test": 1}, "fold": None}


def test_the_store_of_the_training_is_read_by_its_plan_and_another_by_what_is_said_of_it(
    plan, party_store
):
    assert plan(data={"splits": None}) == OWN
    assert plan(data={"splits": None, "fold": 0}) == OWN | {"fold": 0}
    assert plan(data={"splits": {"test": 1}}) == {}
    assert plan(party_store, data={"splits": None}) == {}
    assert plan("/nowhere", data={"splits": None}) == {}


def test_a_table_that_was_changed_since_the_training_is_refused(recordings_store, tmp_path):
    store, table = Store(recordings_store), tmp_path / "my.csv"
    folds = [f"{name},{row % 3}" for row, name in enumerate(store.texts("clip_id"))]

    def splits():
        return split_by(store, str(table), 1, by_subject=False)

    table.write_text("\n".join(["clip_id,fold", *folds]))
    recipe = {"description": {"splits": splits().record}}
    cfg = OmegaConf.create({"splits": None, "fold": None})
    check_same_splits(tmp_path, cfg, recipe, splits())
    table.write_text("\n".join(["clip_id,fold", *folds[:-1], folds[-1][:-1] + "0"]))
    with pytest.raises(
        ValueError, match=r"my\.csv\} data\.fold=1 is not what it was when .* restore"
    ):
        check_same_splits(tmp_path, cfg, recipe, splits())
    check_same_splits(tmp_path, OmegaConf.create({"splits": "x.csv", "fold": 1}), recipe, splits())


def test_an_encoder_that_learned_along_finds_its_frozen_weights_where_encoders_says():
    encoder = {"name": "/old/wavlm", "revision": None, "sha256": "ab", "stream": "waveform"}
    recipe = {"model": {"network": {"audio_encoder": dict(encoder)}}}
    point_to_weights(OmegaConf.create({"encoders": {"wavlm": {"name": "/new"}}}), recipe)
    assert recipe["model"]["network"]["audio_encoder"] == encoder
    point_to_weights(OmegaConf.create({"encoders": {"waveform": {"name": "/new"}}}), recipe)
    assert recipe["model"]["network"]["audio_encoder"] == encoder | {"name": "/new"}


@pytest.fixture(scope="module")
def old_run(recordings_store, tmp_path_factory):
    """An untrained run from before takes were compared, one of which is in all of its splits."""
    folder = tmp_path_factory.mktemp("old")
    store = shutil.copytree(recordings_store, folder / "store")
    clips = Store(store).records(range(24))
    same = [replace(clip, subject="s", attributes=(("take", "1"),)) for clip in clips]
    write_index(store / INDEX_FILE, same, attributes=["take"])
    allowed = ("allow_subject_overlap", "allow_same_take_in_two_splits")
    data = FaceAudioDataModule(str(store), **dict.fromkeys(allowed, True))
    given = ("data=store", f"data.store={store}", f"data.{allowed[0]}=true")
    task = build_task(load("train", *given), data.description, recorded=True)
    checkpoint = {"state_dict": task.state_dict(), "recipe": task.recipe.plain()}
    del checkpoint["recipe"]["data"][allowed[1]]
    (folder / "checkpoints").mkdir()
    torch.save(checkpoint, folder / "checkpoints" / "best.ckpt")
    return folder


@pytest.mark.parametrize("program", ["eval", "diagnose"])
@pytest.mark.parametrize("moved", [False, True])
def test_what_a_refusal_of_an_old_run_names_is_typed_as_it_stands(program, moved, old_run):
    store = old_run / "store"
    typed = [f"ckpt_path={old_run}", *(["data=store", f"data.store={store}"] if moved else [])]

    def restored():
        cfg = load(program, *typed)
        OmegaConf.set_struct(cfg, False)
        # As src/diagnose.py configures the test of each run.
        cfg.merge_with(
            {**dict.fromkeys(("splits", "fold", "batch_size", "modalities")), "split": "test"}
        )
        return restore(cfg, quiet_trainer())

    with pytest.raises(ValueError, match="same take is in two splits") as refused:
        restored()
    typed += re.findall(r"set (data\.\w+=true)", str(refused.value))
    assert len(restored().data.splits.rows("test")) == 4
