"""Claims about how figures look."""

import io
import re

import matplotlib
import numpy as np
import pytest
import torch
from conftest import single_label
from matplotlib.figure import Figure

from avfusion.figures.formats import check_format
from avfusion.figures.predictions import confusion_figure, timeline_figure
from avfusion.figures.style import COLORS, INK, LINE_STYLES, add_unit, get_line_style, save_figure

# What a red-green blind person sees of linear RGB: Viénot, Brettel and Mollon, 1999.
DEUTERANOPE = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])


def figure():
    return confusion_figure(np.array([[3, 1], [0, 2]]), ["$low$", "high"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "beginning"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")]
)
def test_a_figure_is_written_in_the_format_of_its_name_and_the_same_each_time(
    form, beginning, tmp_path
):
    one, other = (save_figure(figure(), tmp_path / f"{n}.{form}").read_bytes() for n in "ab")
    assert one.startswith(beginning) and one == other


def test_vector_files_hold_vectors_and_their_letters_can_be_embedded(tmp_path):
    probabilities = torch.tensor([[0.2, 0.8], [0.6, 0.4]])
    drawn = timeline_figure([0.5, 1.0], probabilities, single_label("low", "high"))
    svg = save_figure(drawn, tmp_path / "figure.svg").read_text()
    assert "<path" in svg and "<image" not in svg
    pdf = save_figure(drawn, tmp_path / "figure.pdf").read_bytes()
    assert b"/Type3" not in pdf and b"/Subtype /Type3" not in pdf


def test_another_format_is_refused():
    with pytest.raises(ValueError, match=r"must be one of png, svg, pdf, got 'gif'"):
        check_format("gif")


def test_colors_stay_apart_for_eyes_that_do_not_tell_red_from_green():
    seen = []
    for color in COLORS:
        rgb = np.array(matplotlib.colors.to_rgb(color))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        seen.append(np.clip(DEUTERANOPE @ linear, 0, 1) ** (1 / 2.4))
    gaps = [np.abs(a - b).max() for n, a in enumerate(seen) for b in seen[:n]]
    assert min(gaps) > 0.1


def test_many_lines_are_told_apart_by_their_dashes():
    styles = [tuple(get_line_style(n).values()) for n in range(len(COLORS) * len(LINE_STYLES))]
    assert len(set(styles)) == len(styles)


def test_metrics_are_named_with_their_units():
    assert add_unit("val/loss") == "val/loss (nats)"
    assert add_unit("test/accuracy_lossy") == "test/accuracy_lossy (part of the clips)"
    assert add_unit("epochs") == "epochs"


def test_names_are_written_as_they_are_and_no_figure_is_styled_by_hand():
    text = io.StringIO()
    drawn = figure()
    drawn.savefig(text, format="svg")
    assert "<!-- $low$ -->" in text.getvalue()
    sizes = {label.get_fontsize() for axes in drawn.axes for label in axes.get_xticklabels()}
    assert sizes == {matplotlib.rcParams["xtick.labelsize"]}
    assert re.search(f"fill: {INK}", text.getvalue()) and isinstance(drawn, Figure)
