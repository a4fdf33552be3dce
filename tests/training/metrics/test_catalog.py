"""Claims about the catalog of metrics, and about everything that asks it which way is better."""

import json
import re

import pytest
import torch
import torchmetrics
import yaml
from conftest import ROOT, build, encoded_labels, toy_clips
from torchmetrics.classification import MulticlassCalibrationError

from avfusion.callbacks import BestCheckpoint
from avfusion.dashboard.scalar_layout import LAYOUT
from avfusion.evaluation.aggregate import compare_settings, find_best_row
from avfusion.evaluation.runs import find_runs
from avfusion.evaluation.tables import to_markdown, write_footnotes
from avfusion.figures.curves import find_best_step
from avfusion.targets import TARGETS, choose_target
from avfusion.training.metrics.catalog import (
    CATALOG,
    check_mode,
    find_metric,
    headlines,
    is_higher_better,
    mode_of,
    unit_of,
)
from avfusion.training.metrics.stages import check_monitor, stage_metrics

KNOWN = {
    "calibration_error": MulticlassCalibrationError(3),
    "ccc": torchmetrics.ConcordanceCorrCoef(),
    "pcc": torchmetrics.PearsonCorrCoef(),
    "rmse": torchmetrics.MeanSquaredError(squared=False),
    "mae": torchmetrics.MeanAbsoluteError(),
}
DIRECTED = [
    f"test/{entry.name}" if entry.staged else entry.name
    for entry in CATALOG.values()
    if entry.higher_is_better is not None
]


# Of one class, which cannot say it.
AGREEMENT = {"ccc": True, "pcc": True, "rmse": False, "mae": False}


def logged(metrics: torchmetrics.MetricCollection, target: torch.Tensor) -> dict[str, set[str]]:
    """The names that each metric of a stage logs."""
    metrics.update(
        value=torch.ones(len(target)),
        preds=torch.randn(len(target), 3),
        target=target,
        glimpses=torch.rand(len(target), 2, 1, 4, 4),
        box=torch.tensor([[0.0, 0.0, 0.3, 0.3]]).repeat(len(target), 1),
    )
    found = {}
    for name, metric in metrics.items():
        value = metric.compute()
        found[name] = set(value) if isinstance(value, dict) else {name}
    return found


@pytest.mark.parametrize("kind", TARGETS)
def test_every_metric_of_a_stage_has_the_direction_that_its_class_says(kind):
    names = ["calm", "loss", "rmse"]  # classes whose names look like those of other metrics
    target = choose_target({"labels": kind, "output_names": names})
    metrics = stage_metrics(target)
    encoded = encoded_labels(target, range(3))
    for name, keys in logged(metrics, encoded).items():
        for key in keys:
            said = AGREEMENT.get(key.partition("_")[0], metrics[name].higher_is_better)
            assert is_higher_better(f"val/{key}") == (False if name == "loss" else said), key
            assert said is not None or name == "loss"


@pytest.mark.parametrize("name", KNOWN)
def test_the_directions_of_other_metrics_are_those_of_torchmetrics(name):
    said = KNOWN[name].higher_is_better
    if name == "pcc":  # torchmetrics leaves it open, as a perfect opposite correlates, too
        assert said is None
        said = True
    assert CATALOG[name].higher_is_better == said


def test_every_number_of_a_result_is_in_the_catalog_or_counts_leaks(told_results):
    assert len(told_results) > 10
    unknown = {name for name in told_results if find_metric(name) is None}
    assert unknown == {name for name in unknown if name.startswith("data/")}


@pytest.fixture
def told_results():
    """The names that a test and a training record, without a training."""
    task = build("lowrank")
    task.eval()
    with torch.no_grad():
        task.step(toy_clips(), task.test_metrics)
    costs = ("parameters", "parameters_of_fusion", "megaflops", "seconds", "step_milliseconds")
    return [*task.test_metrics.compute(), *costs, "epochs", "data/shared_subjects"]


@pytest.mark.parametrize("name", [name for name in DIRECTED if name.startswith("test/")])
def test_a_checkpoint_of_any_metric_is_chosen_by_its_direction_alone(name, tmp_path):
    monitor = name.replace("test/", "val/")
    right, wrong = ("max", "min") if is_higher_better(monitor) else ("min", "max")
    check_mode(monitor, right)
    BestCheckpoint(str(tmp_path), monitor, mode=right)
    sentence = f"mode={wrong} would keep the worst {monitor}: use mode={right}"
    for check in (check_mode, lambda *given: BestCheckpoint(str(tmp_path), *given)):
        with pytest.raises(ValueError, match=sentence):
            check(monitor, wrong)


def write_runs(folder, metric, values, **config):
    for number, value in enumerate(values):
        run = folder / str(number)
        run.mkdir(parents=True)
        (run / "config.yaml").write_text(yaml.safe_dump(config | {"model": number}))
        (run / "job.json").write_text(json.dumps({"overrides": [f"model={number}"]}))
        (run / "results.json").write_text(json.dumps({metric: value}))
    return find_runs([str(folder)])


@pytest.mark.parametrize("metric", DIRECTED)
def test_tables_and_curves_agree_with_the_catalog_on_what_is_best(metric, tmp_path):
    runs = write_runs(tmp_path, metric, [0.25, 0.75, 0.5])
    rows = compare_settings(runs, [metric])
    order = [row.name for row in rows]
    rising = ["model=0", "model=2", "model=1"]
    assert order == (rising[::-1] if is_higher_better(metric) else rising)
    assert find_best_row(rows, metric) is rows[0]
    assert [line.count("**") for line in to_markdown(rows).splitlines()[2:5]] == [2, 0, 0]
    step = find_best_step({metric: {1: 0.25, 2: 0.75, 3: 0.5}}, metric)
    assert order[0] == f"model={step - 1}"


def test_a_metric_that_nobody_knows_is_neither_ranked_nor_marked_and_the_table_says_so(tmp_path):
    runs = write_runs(tmp_path, "test/mine", [0.25, 0.75, 0.5])
    rows = compare_settings(runs, ["test/mine"])
    assert [row.name for row in rows] == ["model=0", "model=1", "model=2"]
    assert find_best_row(rows, "test/mine") is None
    assert "**" not in to_markdown(rows)
    (note,) = write_footnotes(rows)
    assert "--maximize test/mine or --minimize test/mine" in note and note in to_markdown(rows)
    for higher, first in ((True, "model=1"), (False, "model=0")):
        told = compare_settings(runs, ["test/mine"], {"test/mine": higher})
        assert told[0].name == first and not write_footnotes(told)


@pytest.mark.parametrize(("monitor", "first"), [("val/loss", "model=0"), ("val/ccc", "model=1")])
def test_the_score_of_runs_is_ranked_as_what_they_monitored(monitor, first, tmp_path):
    runs = write_runs(tmp_path, "score", [0.25, 0.75, 0.5], monitor=monitor)
    assert compare_settings(runs, ["score"])[0].name == first


def test_scores_of_different_monitors_have_no_best(tmp_path):
    runs = write_runs(tmp_path / "a", "score", [0.25], monitor="val/loss")
    runs += write_runs(tmp_path / "b", "score", [0.75], monitor="val/accuracy")
    assert find_best_row(compare_settings(runs, ["score"]), "score") is None


@pytest.mark.parametrize(
    ("name", "family"),
    [
        ("val/accuracy_loss", "accuracy"),
        ("test/average_precision_step", "average_precision"),
        ("test/attention_hit_small", "attention_hit"),
        ("test/attention_hit_tiny", None),
        ("train/loss_step", "loss"),
        ("train/loss_of_mine", None),
        ("train/learning_rate/pg1", "learning_rate"),
        ("hard_cases/rmse", "rmse"),
        ("seconds", "seconds"),
        ("accuracy", None),
        ("data/accuracy", None),
        ("val/", None),
        ("", None),
    ],
)
def test_a_name_belongs_to_the_family_with_the_longest_name_that_it_begins_with(name, family):
    entry = find_metric(name)
    assert (entry and entry.name) == family


def test_what_has_no_better_way_is_no_monitor():
    assert mode_of("val/attention_entropy") is None
    with pytest.raises(ValueError, match="cannot choose a checkpoint: neither a higher nor"):
        check_mode("val/attention_entropy", "max")
    with pytest.raises(ValueError, match="monitor=val/mine is no metric of this run"):
        check_monitor("val/mine", "max")


def test_people_see_first_what_is_in_the_catalog_with_a_title_of_its_own():
    first = headlines("test") | headlines(None)
    assert first["test/balanced_accuracy"] == "UAR" and first["parameters"] == "parameters"
    assert len(set(first.values())) == len(first) and all(find_metric(name) for name in first)
    assert unit_of("val/accuracy_sad") == "part of the clips" and unit_of("epochs") == ""


def test_every_chart_of_tensorboard_shows_metrics_of_the_catalog():
    patterns = [p for group in LAYOUT.values() for _, some in group.values() for p in some]
    for pattern in patterns:
        names = [f"{stage}/{name}" for stage in ("train", "val") for name in CATALOG]
        names += [f"{name}_x" for name in names]
        assert any(re.search(pattern, name) for name in names), pattern


def test_no_other_module_decides_which_way_is_better():
    """Of a name: a mode that was chosen and checked is followed in callbacks and the sweeper."""
    by_name = re.compile(r"""(ends|starts)with\("[^"]*loss|== "loss" else|lower_is_better""")
    files = [*(ROOT / "src").rglob("*.py")]
    found = [file.name for file in files if by_name.search(file.read_text(encoding="utf-8"))]
    assert len(files) > 100 and found == []
