"""Claims about files: atomic writes, CSV, checksums, names, and the folder of data and stores."""

import csv
import hashlib

import pytest
from conftest import CONF, load

from avfusion.files import (
    MAX_NAME_BYTES,
    atomic_write,
    data_folder,
    hash_file,
    open_csv,
    read_csv,
    safe_name,
    write_csv,
)
from avfusion.run.restore import localize_paths

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
    moved = localize_paths(recipe, None)
    assert moved["store"] == f"{folder}/stores"
    assert moved["corpus"]["root"] == f"{folder}/cocktail_party"


def test_no_configuration_takes_the_variable_as_it_is():
    for path in CONF.rglob("*.yaml"):
        assert "AVFUSION_DATA" not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("concurrent", [False, True])
def test_an_atomic_write_replaces_a_file_when_it_is_complete(tmp_path, concurrent):
    path = tmp_path / "scores.json"
    path.write_text("old")
    with atomic_write(path, sync=True, concurrent=concurrent) as partial:
        partial.write_text("new")
        assert path.read_text() == "old" and partial.parent == tmp_path
    assert [file.name for file in tmp_path.iterdir()] == ["scores.json"]
    assert path.read_text() == "new"


def test_an_atomic_write_that_fails_leaves_the_old_file_and_nothing_beside_it(tmp_path):
    path = tmp_path / "scores.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_write(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert [file.name for file in tmp_path.iterdir()] == ["scores.json"]
    assert path.read_text() == "old"


def test_what_a_killed_writer_left_is_written_over(tmp_path):
    path = tmp_path / "a.ckpt"
    (tmp_path / "a.ckpt.partial").write_text("a longer rest of before")
    with atomic_write(path) as partial:
        assert not partial.exists()
        partial.write_text("new")
    assert path.read_text() == "new" and len(list(tmp_path.iterdir())) == 1


def test_csv_holds_commas_quotes_lines_and_names_that_are_no_text(tmp_path):
    rows = [["a,b", 'c "d"'], ["two\nlines", "ü\udcff"]]
    path = write_csv(tmp_path / "a.csv", ["first", "second"], rows)
    with open_csv(tmp_path / "b.csv", ["first", "second"]) as writer:
        writer.writerows({"first": first, "second": second} for first, second in rows)
    assert path.read_bytes() == (tmp_path / "b.csv").read_bytes()
    read = [["a,b", 'c "d"'], ["two\nlines", "ü\\udcff"]]
    assert [list(row.values()) for row in read_csv(path)] == read
    with path.open(newline="", encoding="utf-8") as file:
        assert list(csv.reader(file)) == [["first", "second"], *read]


def test_a_checksum_is_the_sha256_of_the_content(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(content)
    assert hash_file(tmp_path / "a") == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("my corpus", "my_corpus"),
        ("../..", "clip"),
        ("müde/嬉しい", "müde_嬉しい"),
        (" .hidden. ", "hidden"),
        ("", "clip"),
        ("嬉" * 100, "嬉" * (MAX_NAME_BYTES // 3)),
    ],
)
def test_a_safe_name_holds_no_separator_and_is_never_empty(text, name):
    assert safe_name(text, "clip") == name
