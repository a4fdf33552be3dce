"""Claims about where a checkpoint looks for its data on this machine."""

import pytest

from avfusion.run.rebuild import here


@pytest.fixture(autouse=True)
def home(monkeypatch, tmp_path):
    monkeypatch.setenv("AVFUSION_DATA", str(tmp_path / "home"))
    return tmp_path / "home"


def recorded(target: str, **corpus) -> dict:
    return {"corpus": {"_target_": target, **corpus}, "root": None, "store": "elsewhere"}


def test_the_embedded_corpus_is_rendered_where_this_machine_has_its_data(home):
    found = here(recorded("avfusion.corpora.CocktailParty", root="/old/cocktail_party"), None)
    assert found["corpus"]["root"] == f"{home}/cocktail_party"
    assert found["store"] == f"{home}/stores"


def test_another_corpus_without_a_root_of_its_data_stays_what_it_is(tmp_path):
    found = here(recorded("avfusion.corpora.Manifest", root=str(tmp_path), label="mood"), None)
    assert found["corpus"] == {
        "_target_": "avfusion.corpora.Manifest",
        "root": str(tmp_path),
        "label": "mood",
    }
    assert found["root"] is None


def test_a_corpus_that_is_gone_is_looked_for_by_its_name_where_that_is_there(home):
    data = recorded("avfusion.corpora.Manifest", root="/nowhere/recordings")
    assert here(data, None)["corpus"]["root"] == "/nowhere/recordings"
    (home / "manifest").mkdir(parents=True)
    assert here(data, None)["corpus"]["root"] == f"{home}/manifest"


def test_a_corpus_that_has_no_root_at_all_gets_none():
    data = recorded("avfusion.corpora.Manifest", manifest="a.csv")
    assert here(data, None)["corpus"] == data["corpus"]
