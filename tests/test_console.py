"""Claims about what is printed while work goes on."""

import io
import logging
import sys

import pytest

from avfusion import console
from avfusion.parallel import run_parallel


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def look(monkeypatch) -> Terminal:
    """Let a person look at a terminal of 80 columns (pytest would undo what a fixture does)."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    return terminal


def test_nobody_watches_a_file_or_ci(monkeypatch):
    look(monkeypatch)
    assert console.watched()
    monkeypatch.setenv("CI", "true")
    assert not console.watched()
    monkeypatch.delenv("CI")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert not console.watched()


def test_lines_fit_a_terminal_and_no_word_is_broken(monkeypatch):
    look(monkeypatch)
    path = "/a/path/" + 90 * "x"
    text = f"Error: what is wrong is said in a sentence that is longer than a line of it, in {path}"
    lines = console.folded(text).splitlines()
    assert max(len(line) for line in lines if path not in line) <= 80
    assert " ".join(line.strip() for line in lines) == text


def test_files_get_lines_as_they_are():
    assert console.folded("word " * 40) == "word " * 40


def test_what_is_logged_goes_to_the_stdout_of_the_moment(monkeypatch):
    handler = console.ConsoleHandler()
    later = io.StringIO()
    monkeypatch.setattr(sys, "stdout", later)
    handler.handle(logging.makeLogRecord({"msg": "above the bar"}))
    assert later.getvalue() == "above the bar\n"


@pytest.mark.parametrize(("seconds", "said"), [(7.4, "7 s"), (130, "2 min"), (6000, "1 h 40 min")])
def test_times_are_said_as_people_say_them(seconds, said):
    assert console.span(seconds) == said


@pytest.mark.parametrize("ci", [False, True])
def test_work_draws_a_bar_with_the_time_that_remains_for_a_person_only(monkeypatch, ci):
    terminal = look(monkeypatch)
    if ci:
        monkeypatch.setenv("CI", "true")
    assert dict(run_parallel(len, ["ab"], [1], "Working")) == {0: 2}
    assert ("Working" in terminal.getvalue()) != ci
    assert (":" in terminal.getvalue()) != ci
