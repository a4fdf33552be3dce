"""Claims about the folder of data and stores."""

import pytest
from conftest import CONF, load

from avfusion.environment import data_folder
from avfusion.run.restore import here

OWN_DATA = ("cocktail_party", "mnist", "cifar10")


@pytest.mark.parametrize(
    ("given", "folder"),
    [(None, "data"), ("", "data"), ("  ", "data"), ("/scratch/data", "/scratch/data")],
)
@pytest.mark.parametrize("data", OWN_DATA)
def test_an_empty_variable_counts_as_none(monkeypatch, given, folder, data):
    monkeypatch.delenv("AVFUSION_DATA", raising=False)
    if given is not None:
        monkeypatch.setenv("AVFUSION_DATA", given)
    assert data_folder() == folder
    cfg = load("train", f"data={data}").data
    assert cfg.store == f"{folder}/stores" and cfg.corpus.root == f"{folder}/{data}"
    cfg = load("prepare", f"corpus={data}")
    assert cfg.prepare.stores == f"{folder}/stores" and cfg.corpus.root == f"{folder}/{data}"
    corpus = {"_target_": "avfusion.corpora.CocktailParty", "root": "/elsewhere"}
    recipe = {"corpus": corpus, "store": "/elsewhere"}
    moved = here(recipe, None)
    assert moved["store"] == f"{folder}/stores"
    assert moved["corpus"]["root"] == f"{folder}/cocktail_party"


def test_no_configuration_takes_the_variable_as_it_is():
    for path in CONF.rglob("*.yaml"):
        assert "AVFUSION_DATA" not in path.read_text(encoding="utf-8"), path
