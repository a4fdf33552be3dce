"""Claims about diagnostics.json."""

import json
import math

import pytest

from avfusion.diagnostics.section import (
    FILE_NAME,
    Chart,
    Diagnosis,
    Line,
    Section,
    Table,
    format_cell,
    read_diagnoses,
    write_diagnoses,
)
from avfusion.figures.diagnostics import chart_figure

LINE = Line("a", [0.0, 1.0], [0.5, 1.0], [0.4, 0.9], [0.6, 1.0])
SECTION = Section(
    "Groups",
    "worst 0.5",
    {"worst": 0.5},
    [
        Table(
            "By class", ["class", "clips", "recall"], [["a", 3, (0.5, 0.25, 0.75)], ["b", 0, None]]
        )
    ],
    [
        Chart("curve", "A curve.", "x", "y", [LINE], ticks=["clean", "10"]),
        Chart(
            "rows", "Rows.", "x", "y", [Line("a", ["low", "high"], [0.5, 1.0], [], [])], ticks=[]
        ),
    ],
    ["A note."],
)


def test_what_is_written_is_read_again(tmp_path):
    one = Diagnosis("run", "test", 3, 2, {"groups": SECTION}, ["Leaks."])
    write_diagnoses(tmp_path, [one])
    assert read_diagnoses(tmp_path) == [one]
    assert read_diagnoses(tmp_path / "elsewhere") == []


def test_what_is_not_finite_becomes_null_and_can_be_drawn(tmp_path):
    line = Line("a", [0.0, 1.0], [math.nan, 1.0], [math.nan, 0.0], [math.inf, 2.0])
    section = Section("A", numbers={"a": math.nan}, charts=[Chart("c", "C.", "x", "y", [line])])
    path = write_diagnoses(tmp_path, [Diagnosis("run", "test", 3, 2, {"a": section}, [])])
    text = path.read_text()
    assert "NaN" not in text and "Infinity" not in text
    (again,) = read_diagnoses(tmp_path)
    assert math.isnan(again.sections["a"].numbers["a"])
    (axes,) = chart_figure(again.sections["a"].charts[0]).axes
    assert math.isnan(axes.lines[0].get_ydata()[0]) and axes.lines[0].get_ydata()[1] == 1


def test_a_broken_file_is_answered_by_what_writes_it_again(tmp_path):
    for content in ("{", '{"version": 1, "diagnoses": [{"name": "a"}]}', "[]"):
        (tmp_path / FILE_NAME).write_text(content)
        with pytest.raises(ValueError, match=r"write it again with src/diagnose\.py"):
            read_diagnoses(tmp_path)
    (tmp_path / FILE_NAME).write_text(json.dumps({"version": 99, "diagnoses": [1]}))
    assert read_diagnoses(tmp_path) == []


def test_texts_stand_beside_the_points_of_their_rows():
    (axes,) = chart_figure(SECTION.charts[1]).axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["low", "high"]
    assert axes.lines[0].get_xdata().tolist() == [0.5, 1.0]


def test_a_cell_has_three_digits_and_its_interval():
    assert format_cell((0.5, 0.25, 0.75)) == "0.500 [0.250, 0.750]"
    assert format_cell((0.5, math.nan, math.nan)) == format_cell((0.5, None, None)) == "0.500"
    assert [format_cell(cell) for cell in ("a", 1200, None, 0.25)] == ["a", "1,200", "-", "0.250"]
