"""Claims about text: it is UTF-8 whatever the locale is."""

import csv
import os
import subprocess
import sys

import pytest
from conftest import ROOT, write_recordings

SOURCES = sorted((ROOT / "src").rglob("*.py"))


def test_the_output_of_other_programs_is_read_with_an_encoding():
    """PLW1514 of ruff holds every open file to one, but not the pipes of a process."""
    found = [path for path in SOURCES if "text=True" in path.read_text(encoding="utf-8")]
    assert found == []


@pytest.mark.slow
def test_a_corpus_of_other_letters_is_prepared_and_trained_on_in_the_locale_of_c(tmp_path):
    """Labels, subjects and ids beyond ASCII; whatever is written can be read in UTF-8."""
    root = write_recordings(tmp_path / "corpus", subjects=6)
    manifest = root / "manifest.csv"
    letters = manifest.read_text(encoding="utf-8").replace("low", "müde").replace("high", "嬉しい")
    manifest.write_text(letters.replace(",s0,", ",Zoë,"), encoding="utf-8")
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    environment |= {"AVFUSION_DATA": str(tmp_path / "data"), "CI": "true"}
    environment.pop("PYTHONIOENCODING", None)

    def run(program, *overrides):
        command = [sys.executable, str(ROOT / "src" / f"{program}.py"), *overrides]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True)
        assert done.returncode == 0, done.stderr.decode("utf-8", "replace")[-3000:]
        return done.stdout.decode("utf-8", "replace")

    overrides = [f"corpus.root={root}", "features.face.size=32", "prepare.workers=1"]
    printed = run("prepare", *overrides, "prepare.export=clips.csv")
    (store,) = (tmp_path / "data" / "stores").glob("corpus-????????")
    assert f"data.store={store}" in printed
    with (tmp_path / "clips.csv").open(newline="", encoding="utf-8") as file:
        clips = list(csv.DictReader(file))
    assert {clip["label"] for clip in clips} == {"müde", "嬉しい"}
    assert "Zoë" in {clip["subject"] for clip in clips}
    (summary,) = (tmp_path / "logs" / "prepare").glob("*/summary.txt")
    assert "müde" in summary.read_text(encoding="utf-8")

    overrides = ["data=store", f"data.store={store}", "data.batch_size=8", "trainer=cpu"]
    overrides += ["trainer.max_epochs=1", "hydra.run.dir=run"]
    run("train", *overrides)
    assert "嬉しい" in (tmp_path / "run" / "results.json").read_text(encoding="utf-8")
    run("predict", "ckpt_path=run", "trainer=cpu", "hydra.run.dir=answers")
