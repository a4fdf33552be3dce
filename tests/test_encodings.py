"""Claims about text: it is UTF-8 whatever the locale is."""

import ast
import csv
import os
import subprocess
import sys

import pytest
from conftest import ROOT, write_recordings

SOURCES = sorted((ROOT / "src").rglob("*.py"))
TEXT = {"read_text", "write_text", "open", "fdopen", "TemporaryFile", "NamedTemporaryFile"}
BYTES = {"av", "gzip", "Image", "wave", "webbrowser", "zipfile", "tarfile", "os"}  # their own open


def unnamed(source: str) -> list[int]:
    """Return the lines of a source that open text without naming an encoding."""
    lines = []
    for call in ast.walk(ast.parse(source)):
        if not isinstance(call, ast.Call):
            continue
        function = call.func
        name = getattr(function, "attr", getattr(function, "id", ""))
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        if name in ("run", "Popen", "check_output") and "text" in given:
            lines += [] if "encoding" in given else [call.lineno]
        owner = getattr(getattr(function, "value", None), "id", "")
        if name not in TEXT or owner in BYTES or "encoding" in given:
            continue
        if name == "open":  # the built-in one has the file in front of the mode
            modes = call.args[isinstance(function, ast.Name) :]
            modes = [*modes[:1], *([given["mode"]] if "mode" in given else [])]
            if any("b" in str(getattr(mode, "value", "")) for mode in modes):
                continue
        lines.append(call.lineno)
    return lines


def test_a_text_without_an_encoding_is_found_and_bytes_are_none():
    bad = ["open(p)", "p.open('w')", "p.read_text()", "f().write_text('a')", "open(p, mode='r')"]
    bad += ["subprocess.run(c, text=True)"]
    good = ["open(p, 'rb')", "p.open('r+b')", "p.read_text(encoding='utf-8')", "av.open(p)"]
    good += ["p.open(newline='', encoding='utf-8')", "subprocess.run(c)", "p.open(mode='wb')"]
    assert [unnamed(line) for line in bad] == [[1]] * len(bad)
    assert [unnamed(line) for line in good] == [[]] * len(good)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_text_is_opened_with_its_encoding(path):
    assert unnamed(path.read_text(encoding="utf-8")) == []


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
