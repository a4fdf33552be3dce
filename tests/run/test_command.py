"""Claims about the command line of programs: what is answered before torch, and how crashes end."""

import os
import subprocess
import sys

import pytest
from conftest import ROOT

PROGRAMS = sorted(path.stem for path in (ROOT / "src").glob("*.py"))
HEAVY = ("torch", "lightning", "torchmetrics", "matplotlib", "av", "cv2", "scipy", "optuna")
SPY = """
import atexit, runpy, sys
def say():
    heavy = [name for name in {heavy} if name in sys.modules]
    print("HEAVY", *heavy)
atexit.register(say)
sys.argv = {argv}
runpy.run_path({path!r}, run_name="__main__")
"""


def loaded(program: str, *words: str) -> tuple[list[str], str]:
    """Return the heavy packages that a command has imported, and what it wrote to stderr."""
    path = str(ROOT / "src" / f"{program}.py")
    code = SPY.format(heavy=HEAVY, argv=[path, *words], path=path)
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}  # no plugins of tests
    process = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, env=environment
    )
    (line,) = [line for line in process.stdout.splitlines() if line.startswith("HEAVY")]
    return line.split()[1:], process.stderr


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_is_given_without_what_takes_long_to_import(program):
    assert loaded(program, "--help") == ([], "")


@pytest.mark.parametrize(
    "words",
    [
        ("train", "modle=lowrank"),
        ("train", "model=lowrnk"),
        ("train", "data=store"),
        ("train", "--hlep"),
        ("train", "-m", "seed=1,2", "data=store"),
        ("eval",),
        ("prepare", "corpus=manifest"),
        ("predict", "input=x"),
        ("summarize", "no/such/run"),
        ("report", "no/such/run"),
    ],
    ids=" ".join,
)
def test_a_wrong_command_is_answered_without_what_takes_long_to_import(words, tmp_path):
    sweep = [f"hydra.sweep.dir={tmp_path}"] if "-m" in words else []
    heavy, stderr = loaded(*words, *sweep)
    assert heavy == []
    (sentence,) = stderr.splitlines()
    assert sentence.startswith("Error: ")


CRASH = """
import hydra
from avfusion.run.command import run
import avfusion.run.configuration

@hydra.main(version_base="1.3", config_path={conf!r}, config_name="eval")
def main(cfg):
    raise ValueError("a bug")

run(main)
"""


def test_a_crash_keeps_its_traceback(tmp_path):
    script = tmp_path / "eval.py"
    script.write_text(CRASH.format(conf=str(ROOT / "conf")))
    process = subprocess.run(
        [sys.executable, script, f"hydra.run.dir={tmp_path}"], capture_output=True, text=True
    )
    assert process.returncode == 1
    assert "Traceback" in process.stderr and "in main" in process.stderr
    assert process.stderr.rstrip().endswith("ValueError: a bug")
