"""A run with hostile names, written by hand, and pages as trees."""

import base64
import csv
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from avfusion.data.index import Index, write_index
from avfusion.data.store import INDEX_FILE
from avfusion.evaluation.predictions import GlimpsePeaks, Predictions
from avfusion.evaluation.runs import Run, read_run

HOSTILE = '<script>alert("&amp;")</script> $x$ --!>'
VOID = {"meta", "img", "link", "base", "br", "wbr", "input"}


class Page(HTMLParser):
    """A page as a tree of elements; whatever is opened must be closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.builder, self.open = ElementTree.TreeBuilder(), []
        self.handle_starttag("page", [])
        self.feed(html)
        self.close()
        self.handle_endtag("page")
        self.tree = self.builder.close()

    def handle_starttag(self, tag, attributes):
        self.builder.start(tag, {name: value or "" for name, value in attributes})
        if tag in VOID:
            self.builder.end(tag)
        else:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag
        self.builder.end(tag)

    def handle_data(self, data):
        self.builder.data(data)

    @property
    def sections(self) -> list[str]:
        return [section.get("id") for section in self.tree.iter("section")]

    def section(self, name: str) -> ElementTree.Element:
        (found,) = (one for one in self.tree.iter("section") if one.get("id") == name)
        return found

    def text(self, name: str) -> str:
        return text_of(self.section(name))

    def notes(self, name: str) -> list[str]:
        return [text_of(one) for one in self.section(name).iter("p") if one.get("class") == "note"]

    def table(self, name: str) -> list[list[str]]:
        """The cells of the first table of a section, its head first."""
        table = next(self.section(name).iter("table"))
        return [[text_of(cell) for cell in row] for row in table.iter("tr")]

    def numbers(self, name: str) -> list[float]:
        """The numbers of a section, with all of their digits."""
        return [float(one.get("value")) for one in self.section(name).iter("data")]

    def images(self, kind: str) -> list[bytes]:
        start = f"data:image/{kind};base64,"
        sources = [image.get("src") for image in self.tree.iter("img")]
        return [base64.b64decode(one[len(start) :]) for one in sources if one.startswith(start)]


def text_of(element: ElementTree.Element) -> str:
    return " ".join("".join(element.itertext()).split())


def check_self_contained(page: Page) -> None:
    """Nothing is fetched and nothing is executed, in the page or in a drawing of it."""
    drawings = [ElementTree.fromstring(svg) for svg in page.images("svg+xml")]
    for tree in (page.tree, *drawings):
        for element in tree.iter():
            tag = element.tag.rpartition("}")[2]
            assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form")
            for name, value in element.attrib.items():
                name = name.rpartition("}")[2]
                assert not name.startswith("on")
                assert "url(" not in value.replace("url(#", "")
                if name in ("src", "href", "srcset", "action"):
                    assert value.startswith(("#", "data:image/"))
            if tag == "style":
                assert "url(" not in (element.text or "") and "@import" not in element.text


def write_hostile_store(store: Path, to: Path) -> Path:
    """Copy a store, one of whose classes, subjects and clips gets a hostile name."""
    shutil.copytree(store, to)
    text = (to / "description.json").read_text()
    (to / "description.json").write_text(text.replace('"sad"', json.dumps(HOSTILE)))
    records = Index(store / INDEX_FILE).records(range(len(Index(store / INDEX_FILE))))
    records[-1] = replace(records[-1], clip_id=HOSTILE, subject=HOSTILE)
    write_index(
        to / INDEX_FILE, (replace(r, label=HOSTILE) if r.label == "sad" else r for r in records)
    )
    return to


def predict_by_hand(store: Path) -> Predictions:
    """Predictions for the test clips of a store: each fourth one is taken for the next class."""
    index = Index(store / INDEX_FILE)
    records = index.records(range(len(index)))
    rows = [row for row, clip in enumerate(records) if clip.clip_id.startswith("test")]
    rows.append(len(records) - 1)
    rows = sorted(set(rows))
    clips = [records[row] for row in rows]
    names = json.loads((store / "description.json").read_text())["output_names"]
    targets = np.array([names.index(clip.label) for clip in clips])
    taken = (targets + (np.arange(len(clips)) % 4 == 3)) % len(names)
    hits = np.ones(len(clips), np.float32)
    return Predictions(
        split="test",
        store=str(store),
        labels="single_label",
        output_names=names,
        rows=np.array(rows),
        clip_ids=np.array([clip.clip_id for clip in clips]),
        subjects=np.array([clip.subject for clip in clips]),
        outputs=5 * np.eye(len(names), dtype=np.float32)[taken],
        targets=targets,
        boxes=np.full((len(clips), 4), 0.5, np.float32),
        glimpses=GlimpsePeaks(
            np.array([1, 7, 7]),
            np.ones((len(clips), 2, 3), np.int64) * [0, 2, 3],
            np.full((len(clips), 2), 0.75, np.float32),
            hits,
            hits,
        ),
    )


def write_run(
    folder: Path, predictions: Predictions | None, results: dict, overrides: Sequence[str] = ()
) -> Run:
    """Write what a tested run leaves."""
    (folder / "csv" / "version_0").mkdir(parents=True)
    with (folder / "csv" / "version_0" / "metrics.csv").open("w", newline="") as file:
        lines = [[n, 10 * n, 0.3 * n, 1 / n] for n in (1, 2, 3)]
        csv.writer(file).writerows([["epoch", "step", "val/accuracy", "val/loss"], *lines])
    config = {"monitor": "val/accuracy", "optimizer": {"lr": 0.004}, "mean": list(range(75))}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "results.json").write_text(json.dumps(results))
    (folder / "job.json").write_text(json.dumps({"overrides": list(overrides), "exit_code": 0}))
    record = {"command": ["python", HOSTILE], "git": {"commit": "c0ffee"}, "started": "day 1"}
    (folder / "provenance.json").write_text(json.dumps(record))
    if predictions is not None:
        predictions.save(folder)
    return read_run(folder)


@pytest.fixture(scope="session")
def hostile_run(party_store, tmp_path_factory) -> Run:
    """A run on a store with hostile names; three of its twelve clips are incorrect."""
    root = tmp_path_factory.mktemp("hostile")
    predictions = predict_by_hand(write_hostile_store(party_store, root / "store"))
    results = {
        "test/accuracy": 0.75,
        "test/loss": 0.515625,
        f"test/accuracy_{HOSTILE}": 0.25,
        "parameters": 1889680,
        "megaflops": 126.051584,
        "data/split": "test",
        "data/untrained_classes": 0,
        "epochs": 3,
    }
    return write_run(root / "run", predictions, results, [f"name={HOSTILE}"])
