"""conf/corpus/README.md names every corpus, column and switch that there is."""

import inspect
from pathlib import Path

from avfusion.corpora import Manifest
from avfusion.corpora.table import COLUMNS
from avfusion.data.datamodule import FaceAudioDataModule

FOLDER = Path(__file__).parents[2] / "conf" / "corpus"
TEXT = (FOLDER / "README.md").read_text()


def list_switches(kind: type) -> list[str]:
    return [name for name in inspect.signature(kind).parameters if name.startswith("allow_")]


def test_every_corpus_is_described():
    names = [path.stem for path in FOLDER.glob("*.yaml")]
    assert names and [name for name in names if f"| `{name}` |" not in TEXT] == []


def test_every_column_of_a_manifest_is_described():
    assert [column for column in COLUMNS if f"`{column}`" not in TEXT] == []


def test_every_leak_is_listed_with_the_switch_that_allows_it():
    switches = [f"data.{name}" for name in list_switches(FaceAudioDataModule)]
    switches += [f"corpus.{name}" for name in list_switches(Manifest)]
    assert len(switches) == 5
    assert [switch for switch in switches if f"`{switch}=true`" not in TEXT] == []
