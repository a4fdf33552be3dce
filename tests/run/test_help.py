"""Claims about --help."""

import re
import runpy
import sys

import pytest
from conftest import CONF, MODELS, ROOT, hydra_at_rest

PROGRAMS = sorted(path.stem for path in (ROOT / "src").glob("*.py"))


OTHERS = [pytest.param(name, marks=pytest.mark.slow) for name in PROGRAMS if name != "train"]


@pytest.fixture(params=["train", *OTHERS])
def program(request):
    with hydra_at_rest():
        yield request.param


def said(program: str, monkeypatch, capsys, *words: str) -> str:
    """What a program says when it is asked for help."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr(sys, "argv", [f"src/{program}.py", *words])
    try:
        runpy.run_path(str(ROOT / "src" / f"{program}.py"), run_name="__main__")
    except SystemExit as end:
        assert not end.code
    return capsys.readouterr().out


def test_help_is_one_screen_with_three_examples(program, monkeypatch, capsys):
    lines = said(program, monkeypatch, capsys, "--help").rstrip().splitlines()
    assert len(lines) <= 48 and max(map(len, lines)) <= 80
    examples = [line for line in lines if line.startswith(f"  python src/{program}.py ")]
    assert len(examples) == 3


def listed(text: str) -> dict[str, set[str]]:
    """The groups that a help lists, with their choices."""
    found, group = {}, ""
    for line in text.partition("Groups")[2].partition("\n\n")[0].splitlines()[1:]:
        group = line[2:22].strip() or group
        found.setdefault(group, set()).update(re.findall(r"[^\s,]+", line[22:]))
    return found


@pytest.mark.slow
def test_help_names_every_choice_and_marks_those_that_are_taken(monkeypatch, capsys):
    groups = listed(said("train", monkeypatch, capsys, "--help", "model=mfb", "loss=focal"))
    losses = {"bce", "ccc", "cross_entropy", "[focal]", "mae", "mse", "nll"}
    assert groups["loss"] == losses
    assert groups["model"] == {"[mfb]" if model == "mfb" else model for model in MODELS}
    within = {f"model/{path.name}" for path in (CONF / "model").iterdir() if path.is_dir()}
    assert within <= set(groups)


@pytest.mark.slow
def test_help_names_the_values_of_the_program_itself(monkeypatch, capsys):
    text = said("predict", monkeypatch, capsys, "--help", "split=val")
    assert {"split=val", "input=null", "figures=false", "windows.step=null"} <= set(text.split())


@pytest.mark.slow
def test_the_help_of_hydra_can_still_be_read(monkeypatch, capsys):
    assert "--multirun" in said("train", monkeypatch, capsys, "--hydra-help")
