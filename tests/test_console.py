"""Console output: wrapped lines and progress bars for terminals only."""

import io
import logging
import sys

import pytest

from avfusion import console
from avfusion.parallel import run_parallel


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def open_terminal(monkeypatch) -> Terminal:
    """Make stdout a terminal of 80 columns (pytest would undo what a fixture does)."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    return terminal


def test_files_and_continuous_integration_are_not_interactive(monkeypatch):
    open_terminal(monkeypatch)
    assert console.is_interactive()
    monkeypatch.setenv("CI", "true")
    assert not console.is_interactive()
    monkeypatch.delenv("CI")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert not console.is_interactive()


def test_log_records_are_wrapped_for_a_terminal_only(monkeypatch):
    record = logging.makeLogRecord({"msg": "word " * 40})
    assert len(console.WrappingFormatter().format(record).splitlines()) == 1

    open_terminal(monkeypatch)
    lines = console.WrappingFormatter().format(record).splitlines()
    assert len(lines) == 3 and max(map(len, lines)) <= 80


def test_log_records_go_to_the_current_stdout(monkeypatch):
    handler = console.ConsoleHandler()
    later = io.StringIO()
    monkeypatch.setattr(sys, "stdout", later)
    handler.handle(logging.makeLogRecord({"msg": "above the bar"}))
    assert later.getvalue() == "above the bar\n"


@pytest.mark.parametrize("ci", [False, True])
def test_a_progress_bar_with_the_remaining_time_is_drawn_for_a_terminal_only(monkeypatch, ci):
    terminal = open_terminal(monkeypatch)
    if ci:
        monkeypatch.setenv("CI", "true")
    assert dict(run_parallel(len, ["ab"], [1], "Working")) == {0: 2}
    assert ("Working" in terminal.getvalue()) != ci
    assert (":" in terminal.getvalue()) != ci
