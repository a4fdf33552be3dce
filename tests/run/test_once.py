"""A run builds its model once, and reads the checkpoint that it starts from once."""

import runpy
import shlex
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch
from conftest import ROOT, hydra_at_rest, load, one_process

from avfusion.corpora import cocktail_party
from avfusion.models.face_encoders import ConvNet
from avfusion.preparation.executors.local import InProcess, Local
from avfusion.run import build as run_build
from avfusion.training.task import FusionTask

pytestmark = pytest.mark.filterwarnings("ignore")
BUILT = {"FusionTask": 1, "ConvNet": 1}
TRAIN = "model=concat trainer=cpu trainer.enable_progress_bar=false callbacks=minimal"
QUIET = "trainer.accelerator=cpu trainer.enable_progress_bar=false"


@pytest.fixture
def counts(monkeypatch) -> Counter[str]:
    """How often models and parts of them are built, and files are loaded."""
    found: Counter[str] = Counter()
    for kind in (FusionTask, ConvNet):

        def build(self, *given, _init=kind.__init__, _name=kind.__name__, **named):
            found[_name] += 1
            _init(self, *given, **named)

        monkeypatch.setattr(kind, "__init__", build)
    original = torch.load

    def load_file(file, *given, **named):
        path = getattr(file, "path", None) or getattr(file, "name", file)
        found[Path(path).name] += 1
        return original(file, *given, **named)

    monkeypatch.setattr(torch, "load", load_file)
    return found


@pytest.fixture
def program(counts, party_store, tmp_path, monkeypatch):
    """Run a program in this process and in an empty folder; return what it built and loaded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVFUSION_DATA", str(tmp_path / "data"))

    def program(line: str) -> dict[str, int]:
        counts.clear()
        monkeypatch.setattr(sys, "argv", shlex.split(line.replace("$store", str(party_store))))
        with hydra_at_rest():
            runpy.run_path(str(ROOT / "src" / f"{sys.argv[0]}.py"), run_name="__main__")
        return dict(counts)

    return program


@pytest.mark.slow
def test_every_program_builds_one_model_and_reads_a_checkpoint_once(program):
    data = "data=store data.store=$store data.batch_size=8"
    first = f"train {data} {TRAIN} trainer.max_epochs=1 hydra.run.dir=first"
    assert program(first) == BUILT | {"best.ckpt": 1}  # which is tested
    going_on = f"train {data} {TRAIN} trainer.max_epochs=2 ckpt_path=first"
    assert program(going_on) == BUILT | {"last.ckpt": 1, "best.ckpt": 1}
    Path("first/checkpoints/best.ckpt").rename("weights.ckpt")
    begun = f"train {data} {TRAIN} trainer.max_epochs=1 init_from=weights.ckpt"
    assert program(begun) == BUILT | {"weights.ckpt": 1, "best.ckpt": 1}
    for command in ("eval", "predict"):
        assert program(f"{command} ckpt_path=weights.ckpt {QUIET}") == BUILT | {"weights.ckpt": 1}


@pytest.mark.slow
def test_the_model_is_built_a_second_time_only_before_its_data_are_prepared(
    counts, tmp_path, monkeypatch
):
    monkeypatch.setenv("AVFUSION_DATA", str(tmp_path))
    built_before_work = []

    def render(*given, **named):
        built_before_work.append(counts["FusionTask"])
        return one_process(*given, **named)

    def decode(executor, work):
        built_before_work.append(counts["FusionTask"])
        return InProcess.run(executor, work)

    monkeypatch.setattr(cocktail_party, "run_parallel", render)
    monkeypatch.setattr(Local, "run", decode)
    small = "data.corpus.clips={train: 8, val: 4, test: 4}"
    for _ in range(2):
        data = run_build.build_data(load("train", small))
        assert data.is_made
    assert built_before_work == [1, 1] and counts["FusionTask"] == 1  # rendered and decoded once
    run_build.build_data(load("train", small, "data.features.face.size=48"))
    assert built_before_work == [1, 1, 2]
