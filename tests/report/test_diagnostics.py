"""Claims about diagnostics on pages."""

import math
import shutil

import pytest

from avfusion.diagnostics.section import Chart, Diagnosis, Line, Section, Table, write_diagnoses
from avfusion.evaluation.runs import read_run
from avfusion.report.diagnostics import write_page
from avfusion.report.run_page import report_run
from avfusion.report.sweep_page import report_sweep

from .conftest import HOSTILE, Page, check_self_contained

ROWS = [[HOSTILE, 3, (0.515625, 0.25, 0.75)], ["b", 1, (1.0, math.nan, math.nan)]]
GROUPS = Section(
    "Groups",
    f"worst class {HOSTILE}",
    {"worst": 0.515625},
    [Table("By class", ["class", "clips", "recall"], ROWS)],
    [Chart("groups_class", "By class.", "recall", "class", [Line("", [HOSTILE, "b"], [0.5, 1.0])])],
    ["Best and worst are among all."],
)
WITHOUT = ["b", "1", "1.0000"]  # no interval
FAILED = Section("Attention", "Not measured: This network has no attention.")


LEAKS = ["Data leakage, so that scores may show memory: shared subjects (2)."]


def diagnosis(name: str = "a") -> Diagnosis:
    return Diagnosis(name, "test", 12, 1, {"groups": GROUPS, "attention": FAILED}, LEAKS)


@pytest.fixture
def folder(hostile_run, tmp_path):
    """A copy of a run, with diagnostics."""
    skipped = shutil.ignore_patterns("csv")
    copy = shutil.copytree(hostile_run.folder, tmp_path / "run", ignore=skipped)
    write_diagnoses(copy, [diagnosis()])
    return copy


def test_the_page_of_a_run_shows_them_where_they_are(folder, hostile_run):
    assert "diagnostics" not in Page(report_run(hostile_run, 0).html).sections
    report = report_run(read_run(folder), 0)
    page = Page(report.html)
    check_self_contained(page)
    assert page.sections[-3:] == ["diagnostics", "configuration", "provenance"]
    text = page.text("diagnostics")
    assert "a: 12 clips of 1 subject, of the test split." in text
    assert FAILED.summary in text and GROUPS.summary in text
    assert page.table("diagnostics")[1:] == [[HOSTILE, "3", "0.5156 [0.2500, 0.7500]"], WITHOUT]
    assert 0.515625 in page.numbers("diagnostics")
    assert page.notes("diagnostics") == [*LEAKS, *GROUPS.notes]
    assert "groups_class" in [figure.name for figure in report.figures]


def test_a_page_of_their_own_has_a_section_for_each_part_of_each_setting(tmp_path):
    one = Page(write_page(tmp_path, [diagnosis()]).read_text(encoding="utf-8"))
    check_self_contained(one)
    assert one.sections == ["groups", "attention"]
    assert one.table("groups")[0] == ["class", "clips", "recall"]
    assert one.table("groups")[2] == WITHOUT
    assert one.notes("groups") == [*LEAKS, *GROUPS.notes]
    two = Page(write_page(tmp_path, [diagnosis(), diagnosis("b")]).read_text(encoding="utf-8"))
    assert two.sections == ["a:-groups", "a:-attention", "b:-groups", "b:-attention"]


def test_the_page_of_a_sweep_shows_those_of_its_settings(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    write_diagnoses(tmp_path, [diagnosis(), diagnosis("b")])
    page = Page(report_sweep([read_run(folder), read_run(other)]).html)
    assert page.text("diagnostics").count("12 clips of 1 subject") == 2
