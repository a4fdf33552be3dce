"""Claims about what was logged, read again."""

import pytest
from torch.utils.tensorboard import SummaryWriter

from avfusion.figures.curves import draw_chart, find_best_step, group_charts, read_curves
from avfusion.figures.style import add_unit


def write(folder, version, text):
    (folder / "csv" / f"version_{version}").mkdir(parents=True)
    (folder / "csv" / f"version_{version}" / "metrics.csv").write_text(text)


def test_a_continued_run_has_one_curve_in_which_what_came_later_counts(tmp_path):
    write(tmp_path, 2, "epoch,step,val/loss\n0,10,0.9\n1,20,0.8\n")
    write(tmp_path, 10, "epoch,step,val/loss,train/learning_rate\n1,20,0.7,\n,25,,0.1\n2,30,0.6,\n")
    assert read_curves(tmp_path) == {
        "val/loss": {10: 0.9, 20: 0.7, 30: 0.6},
        "train/learning_rate": {25: 0.1},
    }


def test_a_line_that_was_cut_is_left_out(tmp_path):
    write(tmp_path, 0, "epoch,step,train/loss,val/loss\n0,10,0.9,0.8\n1,20,0.")
    assert read_curves(tmp_path) == {"train/loss": {10: 0.9, 20: 0.0}, "val/loss": {10: 0.8}}
    write(tmp_path, 1, "epoch,step,train/loss\n1,20,0.7e-\n1,x")
    assert read_curves(tmp_path)["train/loss"] == {10: 0.9, 20: 0.0}


def test_without_csv_the_events_are_read_and_without_both_there_is_nothing(tmp_path):
    assert read_curves(tmp_path) == {}
    with SummaryWriter(str(tmp_path)) as writer:
        for step in (1, 2):
            writer.add_scalar("val/accuracy", step / 4, step)
    assert read_curves(tmp_path) == {"val/accuracy": {1: 0.25, 2: 0.5}}


def test_the_best_step_is_the_first_of_the_best_and_never_none_that_is_not_a_number():
    curves = {"val/loss": {1: float("nan"), 2: 0.5, 3: 0.4, 4: 0.4}}
    assert find_best_step(curves, "val/loss") == 3
    assert find_best_step({"val/accuracy": curves["val/loss"]}, "val/accuracy") == 2
    assert find_best_step(curves, "val/accuracy") is None  # which was not logged
    assert find_best_step({"val/mine": {1: 0.5, 2: 0.4}}, "val/mine") is None  # no way is better


def test_what_belongs_together_shares_a_chart():
    names = "train/loss val/loss val/accuracy_low val/accuracy train/loader_wait"
    names += " train/learning_rate/others"
    found = group_charts({name: {1: 0.5} for name in names.split()})
    assert found["loss"] == ["train/loss", "val/loss"]
    assert found["recall per class, validation"] == ["val/accuracy_low"]
    assert found["learning rate"] == ["train/learning_rate/others"] and len(found) == 4


def test_a_chart_shows_every_value_and_names_units_and_lines():
    curves = {"train/loss": {1: 0.5, 2: 0.4}, "val/loss": {1: 0.7, 2: 0.6}}
    figure = draw_chart(curves, list(curves), "loss", best=2)
    (axes,) = figure.axes
    train, val, best = axes.get_lines()
    assert (list(train.get_ydata()), list(val.get_ydata())) == ([0.5, 0.4], [0.7, 0.6])
    assert train.get_color() == val.get_color() and train.get_linestyle() != val.get_linestyle()
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("training step", "nats")
    assert list(best.get_xdata()) == [2, 2]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(curves)


@pytest.mark.parametrize("lines", [1, 40])
def test_many_lines_are_drawn_without_a_legend(lines):
    curves = {f"val/accuracy_{n}": {1: 0.5, 2: float("inf")} for n in range(lines)}
    figure = draw_chart(curves, list(curves), "recall", best=None)
    figure.draw_without_rendering()
    assert len(figure.axes[0].get_lines()) == lines and bool(figure.legends) == (lines == 1)
    assert figure.axes[0].get_ylabel() in add_unit("val/accuracy_1")
