"""A run whose names would break a page that trusts them, and pages as a browser reads them."""

import csv
import json
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
import torch
import yaml
from conftest import build_task, load, quiet_trainer, recipe_of
from lightning.pytorch.loggers import CSVLogger

from avfusion.callbacks import SavePredictions
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.index import Index, write_index
from avfusion.data.store import INDEX
from avfusion.evaluation.runs import Run, read_run
from avfusion.preparation.description import table
from avfusion.preparation.shards import REPORT
from avfusion.run.configuration import with_description
from avfusion.run.provenance import write_provenance
from avfusion.run.results import collect_results, write_results

HOSTILE = '<script>alert("&amp;")</script> $x$ --!>'
VOID = {"meta", "img", "link", "base", "br", "input"}


class Page(HTMLParser):
    """The elements, attributes and texts of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.texts: list[str] = []
        self.styles: list[str] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag  # whatever is opened is closed

    def handle_data(self, data):
        inside = self.styles if self.open and self.open[-1] == "style" else self.texts
        inside.append(data)

    @property
    def numbers(self) -> set[float]:
        return {float(given["value"]) for tag, given in self.elements if tag == "data"}

    @property
    def sections(self) -> list[str]:
        return [given["id"] for tag, given in self.elements if tag == "section"]

    def fetches(self) -> list[str]:
        """What a browser would look for outside of the page."""
        active = {"script", "link", "iframe", "object", "embed", "base", "form"}
        found = [tag for tag, _ in self.elements if tag in active]
        for _, given in self.elements:
            for name, value in ((n, v or "") for n, v in given.items()):
                outside = not value.startswith(("#", "data:image/png;base64,"))
                if name in ("src", "href", "xlink:href", "srcset", "action") and outside:
                    found.append(value)
                if name.startswith("on") or "url(" in value.replace("url(#", ""):
                    found.append(value)
        return found + [css for css in self.styles if "url(" in css or "@import" in css]


def hostile(store: Path, to: Path) -> Path:
    """Copy a store, one of whose classes, subjects and clips has a hostile name."""
    shutil.copytree(store, to)
    text = (to / "description.json").read_text()
    (to / "description.json").write_text(text.replace('"sad"', json.dumps(HOSTILE)))
    records = Index(store / INDEX).records(range(len(Index(store / INDEX))))
    records[-1] = replace(records[-1], clip_id=HOSTILE, subject=HOSTILE)
    hostile = (replace(clip, label=HOSTILE) if clip.label == "sad" else clip for clip in records)
    write_index(to / INDEX, hostile)
    with (to / "report.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[-1]["clip_id"] = HOSTILE
    with table(to / "report.csv", REPORT) as report:
        report.writerows(rows)
    return to


def write_run(folder: Path, store: Path) -> Path:
    """Train a little and write what a training leaves."""
    torch.manual_seed(5)  # which gets some of the clips right, and some wrong
    data = FaceAudioDataModule(str(store), batch_size=8)
    cfg = load("train", "data=store", f"data.store={store}", "data.batch_size=8")
    task = build_task(cfg, data.description, recorded=True)
    config = recipe_of(with_description(cfg, data.description), "monitor", "mode")
    logger = CSVLogger(folder, name="csv")
    kept = [SavePredictions(str(folder))]
    trainer = quiet_trainer(max_epochs=2, logger=logger, log_every_n_steps=1, callbacks=kept)
    trainer.fit(task, datamodule=data)
    trainer.save_checkpoint(folder / "checkpoints" / "best.ckpt", weights_only=True)
    trainer.test(task, datamodule=data, verbose=False)
    write_results(folder, collect_results(trainer, task, data, {}) | {"epochs": 2})
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "job.json").write_text(json.dumps({"overrides": [f"name={HOSTILE}"], "exit_code": 0}))
    write_provenance(folder)
    return folder


@pytest.fixture(scope="session")
def told(party_store, tmp_path_factory) -> Run:
    """A run on a store with hostile names."""
    root = tmp_path_factory.mktemp("told")
    return read_run(write_run(root / "run", hostile(party_store, root / "store")))
