"""conf/corpus/README.md names every corpus, column and switch that there is."""

import inspect
import re
import textwrap
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from published import write_clip

from avfusion import corpora
from avfusion.corpora import Manifest
from avfusion.corpora.published import NamedFile, PublishedCorpus, Take
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
    assert len(switches) == 6
    assert [switch for switch in switches if f"`{switch}=true`" not in TEXT] == []


PUBLISHED = [
    kind
    for kind in vars(corpora).values()
    if isinstance(kind, type) and issubclass(kind, PublishedCorpus)
]


@pytest.mark.parametrize("kind", PUBLISHED, ids=lambda kind: kind.name)
def test_a_published_corpus_says_what_it_is_and_has_its_files(kind):
    text = inspect.getmodule(kind).__doc__
    marks = ("**Layout**", "**Labels**", "**License**", "**Download**", "https://")
    assert [mark for mark in marks if mark not in text] == []

    options = OmegaConf.load(FOLDER / f"{kind.name}.yaml")
    assert set(options) - {"_target_"} == set(inspect.signature(kind).parameters)
    assert {"root", "modalities", "include_known_bad", "on_error"} <= set(options)
    assert (FOLDER.parent / "data" / f"{kind.name}.yaml").exists()
    assert (Path(__file__).parent / f"test_{kind.name}.py").exists()


def test_the_example_of_a_corpus_reads_its_files(tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)
    names = {"re": re, "NamedFile": NamedFile, "PublishedCorpus": PublishedCorpus, "Take": Take}
    exec(textwrap.dedent(example), names)
    write_clip(tmp_path / "anna" / "anna_happy_01.mp4")
    contents = names["MyCorpus"](str(tmp_path)).read()
    (clip,) = contents.recordings
    assert (clip.clip_id, clip.label, clip.subject) == ("anna_01", "happy", "anna")
    assert contents.output_names == ["happy"]
