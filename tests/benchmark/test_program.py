"""Claims about the benchmark as a program."""

import json
import runpy
import sys

import pytest
from conftest import ROOT, hydra_at_rest
from ticks import TINY

from avfusion.benchmark.loops import ALL, BARE, MINIMAL

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


def test_the_program_measures_steps_and_loops_and_leaves_nothing_but_its_tables(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    few = "benchmark.epochs=1 benchmark.loop_rounds=1 benchmark.loop_batches=2 hydra.run.dir=run"
    monkeypatch.setattr(sys, "argv", ["benchmark", *TINY.split(), *few.split()])
    with hydra_at_rest():
        runpy.run_path(str(ROOT / "src" / "benchmark.py"), run_name="__main__")
    assert "Trainer, all dashboards" in capsys.readouterr().out

    found = json.loads((tmp_path / "run" / "benchmark.json").read_text())
    assert [one["loop"] for one in found["loops"]] == [BARE, MINIMAL, ALL]
    assert found["loops"][0]["relative"] == 1 and found["loops"][0]["steps"] == 2
    for one in found["loops"]:
        bare = found["loops"][0]["epoch"]["median"]
        assert one["relative"] == pytest.approx(one["epoch"]["median"] / bare)
    assert found["environment"]["threads"] >= 1 and len(found["steps"]) == 6
    assert all(one["predicted"] is None for one in found["steps"])  # no roofline was given

    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files >= {"benchmark.json", "benchmark.md", "growth.png", "provenance.json"}
    assert not {"checkpoints", "csv"} & files  # trainings wrote elsewhere, and that is gone
    assert not list(tmp_path.rglob("*.ckpt"))
