"""Claims about the command line of programs: what is answered before torch, and how crashes end."""

import json
import os
import subprocess
import sys

import pytest
from conftest import ROOT

PROGRAMS = sorted(path.stem for path in (ROOT / "src").glob("*.py"))
HEAVY = ("torch", "lightning", "torchmetrics", "matplotlib", "av", "cv2", "scipy", "optuna")
WRONG = [
    ("train", "modle=lowrank"),
    ("train", "model=lowrnk"),
    ("train", "data=store"),
    ("train", "--hlep"),
    ("train", "-m", "seed=1,2", "data=store"),
    ("eval",),
    ("prepare", "corpus=manifest"),
    ("prepare", "prepare.executor=slurm"),
    ("predict", "input=x"),
    ("summarize", "no/such/run"),
    ("report", "no/such/run"),
]
SPY = """
import io, json, runpy, sys

real, told = sys.stdout, []
for words in json.loads(sys.argv[1]):
    sys.argv = words
    sys.stdout, sys.stderr = (io.TextIOWrapper(io.BytesIO(), "utf-8") for _ in range(2))
    try:
        runpy.run_path(words[0], run_name="__main__")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
    sys.stderr.flush()
    heavy = [name for name in HEAVY if name in sys.modules]
    told.append((heavy, sys.stderr.buffer.getvalue().decode()))
print(json.dumps(told), file=real)
"""


def run_commands(commands: list[tuple[str, ...]]) -> list[tuple[list[str], str]]:
    """Heavy packages that are imported after each command, and what it writes to stderr.

    They run in one process, as each of them would take a second to import Hydra.
    """
    words = [[str(ROOT / "src" / f"{program}.py"), *more] for program, *more in commands]
    code = f"HEAVY = {HEAVY}\n{SPY}"
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}  # no plugins of tests
    process = subprocess.run(
        [sys.executable, "-c", code, json.dumps(words)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=environment,
    )
    assert process.returncode == 0, process.stderr
    return json.loads(process.stdout)


@pytest.mark.slow
def test_help_is_given_without_what_takes_long_to_import():
    for program, told in zip(
        PROGRAMS, run_commands([(p, "--help") for p in PROGRAMS]), strict=True
    ):
        assert told == [[], ""], program


@pytest.mark.slow
def test_a_wrong_command_is_answered_without_what_takes_long_to_import(tmp_path):
    sweep = f"hydra.sweep.dir={tmp_path}"
    commands = [(*words, sweep) if "-m" in words else words for words in WRONG]
    for words, (heavy, stderr) in zip(WRONG, run_commands(commands), strict=True):
        assert heavy == [], words
        (sentence,) = stderr.splitlines()
        assert sentence.startswith("Error: "), words


COMPOSED = """
import sys
import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from avfusion.run.command import run

compose, composed = ConfigLoaderImpl.load_configuration, []
ConfigLoaderImpl.load_configuration = lambda *args, **more: (
    composed.append(0), compose(*args, **more)
)[1]

@hydra.main(version_base="1.3", config_path={conf!r}, config_name="train")
def main(cfg):
    print(len(composed), cfg.seed)

run(main)
"""


def test_a_job_of_a_sweep_is_composed_once(tmp_path):
    script = tmp_path / "train.py"
    script.write_text(COMPOSED.format(conf=str(ROOT / "conf")))
    command = [sys.executable, script, "seed=3", "hydra.mode=RUN", f"hydra.run.dir={tmp_path}"]
    process = subprocess.run(command, capture_output=True, text=True)
    assert process.stdout.split() == ["1", "3"], process.stderr


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
