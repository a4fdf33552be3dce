"""Claims about aggregates and tables of runs."""

import json
import os
import runpy
import sys

import numpy as np
import pytest
import yaml
from conftest import ROOT

from avfusion.evaluation.aggregate import (
    _find_replaced,
    compare_settings,
    find_best_row,
    find_differences,
)
from avfusion.evaluation.runs import find_runs, read_run
from avfusion.evaluation.tables import _escape_latex, print_table, to_csv, to_latex, to_markdown
from avfusion.figures.predictions import comparison_figure

ACCURACY = {
    "lowrank": [0.9, 0.8, 0.85, 0.95],
    "concat": [0.88, 0.79, 0.8, 0.94],
    "audio_only": [0.2, 0.25, 0.3, 0.25],
}
METRIC = "test/accuracy"


def write_run(folder, model, seed, results=None, exit_code=0):
    """Write what a job of a sweep leaves."""
    (folder / ".hydra").mkdir(parents=True)
    config = {"model": {"network": {"fusion": model}}, "seed": seed, "data": {"seed": seed}}
    config |= {"callbacks": {"checkpoint": {"dirpath": str(folder)}}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    overrides = [f"model={model}", f"seed={seed}", "trainer.devices=1"]
    (folder / "job.json").write_text(json.dumps({"overrides": overrides, "exit_code": exit_code}))
    if results is not None:
        (folder / "results.json").write_text(json.dumps(results))


@pytest.fixture
def sweep(tmp_path):
    """A sweep of three models over four seeds, one job that failed and one that runs."""
    number = 0
    for model, scores in ACCURACY.items():
        for seed, score in enumerate(scores):
            write_run(tmp_path / str(number), model, seed, {METRIC: score, "test/loss": 1 - score})
            number += 1
    write_run(tmp_path / "12", "lowrank", 9, exit_code=1)
    write_run(tmp_path / "13", "lowrank", 10, exit_code=None)
    return tmp_path


def test_runs_that_differ_in_their_seed_only_are_one_setting(sweep):
    rows = compare_settings(find_runs([str(sweep)]), [METRIC])
    assert [row.name for row in rows] == ["model=lowrank", "model=concat", "model=audio_only"]
    assert [row.scores[METRIC].values for row in rows] == list(ACCURACY.values())


def test_folds_are_one_setting_though_statistics_of_their_training_clips_differ(tmp_path):
    for fold, mean in enumerate(([0.5, 1.0], [0.25, 2.0])):
        folder = tmp_path / str(fold)
        write_run(folder, "lowrank", 1, {METRIC: 0.5})
        config = yaml.safe_load((folder / "config.yaml").read_text())
        config["description"] = {"streams": {"mfcc": {"mean": mean}}, "class_counts": [fold, 3]}
        config["model"]["network"] |= {"mean": mean, "sizes": [2, 3]}
        config["loss"] = {"class_counts": [fold, 3]}
        config["data"] |= {"fold": fold}
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
    one, other = find_runs([str(tmp_path)])
    assert one.setting == other.setting and one.repetition != other.repetition
    assert "sizes" in one.setting
    (row,) = compare_settings([one, other], [METRIC])
    assert len(row.runs) == 2


def test_a_run_from_before_there_were_keys_that_choose_nothing_repeats_its_setting(tmp_path):
    for seed in (1, 2):
        write_run(tmp_path / str(seed), "lowrank", seed, {METRIC: 0.5})
    path = tmp_path / "2" / "config.yaml"
    config = yaml.safe_load(path.read_text())
    config.setdefault("data", {}).update(allow_same_take_in_two_splits=False, cache={"size_gb": 50})
    config.setdefault("optimizer", {})["fused"] = True
    config["model"]["optimizer"] = {"fused": True}
    path.write_text(yaml.safe_dump(config))
    one, other = find_runs([str(tmp_path)])
    assert one.setting == other.setting
    config["data"]["allow_same_take_in_two_splits"] = True
    path.write_text(yaml.safe_dump(config))
    assert one.setting != find_runs([str(tmp_path / "2")])[0].setting


def test_mean_deviation_and_interval_follow_student(sweep):
    score = compare_settings(find_runs([str(sweep)]), [METRIC])[0].scores[METRIC]
    values = np.array(ACCURACY["lowrank"])
    assert score.mean == pytest.approx(values.mean())
    assert score.std == pytest.approx(np.sqrt(((values - values.mean()) ** 2).sum() / 3))
    assert score.interval == pytest.approx(3.18245 * score.std / 2, rel=1e-5)


def test_the_test_is_paired_by_seed_and_against_the_best(sweep):
    best, close, far = (
        row.scores[METRIC] for row in compare_settings(find_runs([str(sweep)]), [METRIC])
    )
    gaps = np.array(ACCURACY["lowrank"]) - ACCURACY["concat"]
    t = gaps.mean() / (gaps.std(ddof=1) / 2)
    assert best.p is None
    # The distribution function of Student's t for three degrees of freedom.
    a = t / np.sqrt(3)
    assert close.p == pytest.approx(1 - 2 / np.pi * (a / (1 + a**2) + np.arctan(a)), rel=1e-6)
    assert far.p < 0.01


def test_the_smallest_loss_is_best(sweep):
    rows = compare_settings(find_runs([str(sweep)]), ["test/loss"])
    assert [row.scores["test/loss"].p is None for row in rows] == [True, False, False]


def test_jobs_are_read_in_their_order_with_those_that_failed_or_still_run(sweep):
    runs = find_runs([str(sweep)])
    assert [run.folder.name for run in runs] == [str(number) for number in range(14)]
    assert [run.failed for run in runs[-3:]] == [False, True, False]
    assert [bool(run.results) for run in runs[-3:]] == [True, False, False]


def test_pruned_runs_are_not_compared_and_trials_are_named_by_their_values(sweep):
    write_run(sweep / "14", "lowrank", 11, {"score": 0.1, "pruned": True, METRIC: 0.1})
    for number, rate in ((15, 0.1), (16, 0.2)):
        write_run(sweep / str(number), f"rate {rate}", 1, {METRIC: 0.5})
        overrides = [f"rate={rate}", f"callbacks.pruning.trial={number}"]
        (sweep / str(number) / "job.json").write_text(json.dumps({"overrides": overrides}))
    runs = find_runs([str(sweep)])
    assert [run.folder.name for run in runs if run.pruned] == ["14"]
    assert not any(run.failed for run in runs if run.pruned)
    rows = compare_settings(runs, [METRIC])
    assert len(rows[0].runs) == 4
    assert {"rate=0.1", "rate=0.2"} <= {row.name for row in rows}


def test_a_pattern_gathers_runs_from_anywhere(sweep):
    assert len(find_runs([f"{sweep}/1*"])) == 5
    with pytest.raises(FileNotFoundError, match=r"No run in .*none"):
        find_runs([f"{sweep}/none*"])


def test_runs_without_a_sweep_are_read_from_what_hydra_left(sweep):
    (sweep / "0" / "job.json").unlink()
    (sweep / "0" / ".hydra" / "overrides.yaml").write_text("- model=lowrank\n- seed=0\n")
    assert read_run(sweep / "0").overrides == ["model=lowrank", "seed=0"]


def test_two_runs_differ_in_their_choices_and_results_and_nothing_else(sweep):
    first, second = read_run(sweep / "0"), read_run(sweep / "4")
    assert find_differences(first, second) == [
        ("model.network.fusion", "lowrank", "concat"),
        (METRIC, 0.9, 0.88),
        ("test/loss", pytest.approx(0.1), pytest.approx(0.12)),
    ]


def test_every_table_has_a_row_per_setting_and_the_best_in_bold(sweep):
    rows = compare_settings(find_runs([str(sweep)]), [METRIC, "test/loss"])
    lines = to_markdown(rows).splitlines()
    assert lines[0] == "| setting | runs | test/accuracy | test/loss |"
    assert lines[2].startswith("| model=lowrank | 4 | **0.875 ± 0.10") and "**0.125" in lines[2]
    assert [line.split(" | ")[0] for line in lines[3:5]] == ["| model=concat", "| model=audio_only"]
    assert "p=" in lines[3] and "independent and normal" in lines[-1]
    tex = to_latex(rows)
    assert r"model=audio\_only & 4 & 0.250 $\pm$" in tex and r"\textbf{0.875" in tex
    first, *others = to_csv(rows).splitlines()
    assert first.startswith("setting,runs,test/accuracy/mean") and len(others) == 3
    assert float(others[0].split(",")[2]) == pytest.approx(0.875)


def test_the_figure_shows_every_run_and_names_every_setting(sweep):
    figure = comparison_figure(compare_settings(find_runs([str(sweep)]), [METRIC, "test/loss"]))
    panels = figure.get_axes()
    labels = [axes.get_xlabel() for axes in panels]
    assert labels == ["test/accuracy (part of the clips)", "test/loss (nats)"]
    assert [text.get_text() for text in panels[0].get_yticklabels()][2] == "model=audio_only"
    drawn = [line.get_xdata() for line in panels[0].get_lines() if len(line.get_xdata()) == 4]
    assert [list(values) for values in drawn] == list(ACCURACY.values())


def test_a_setting_of_many_choices_leaves_room_for_the_figure(tmp_path):
    write_run(tmp_path / "0", "lowrank", 1, {METRIC: 0.5})
    (row,) = compare_settings(find_runs([str(tmp_path)]), [METRIC])
    long = row._replace(name=" ".join(f"callbacks.some.choice_{n}=value_{n}" for n in range(30)))
    figure = comparison_figure([long, row])
    figure.draw_without_rendering()  # warns where there is no room, and warnings are errors
    (panel,) = figure.get_axes()
    assert panel.get_position().width > 0.4


def test_one_run_has_no_interval(tmp_path):
    write_run(tmp_path / "0", "lowrank", 1, {METRIC: 0.5})
    (row,) = compare_settings(find_runs([str(tmp_path)]), [METRIC])
    assert row.name == "model=lowrank trainer.devices=1"
    assert np.isnan(row.scores[METRIC].interval)
    assert "| 0.500 |" in to_markdown([row]).replace("**", "")


@pytest.mark.parametrize("name", ["results.json", "job.json", "config.yaml"])
@pytest.mark.parametrize("content", ['{"test/accuracy": 0.', "3", ""])
def test_a_run_with_a_half_written_file_has_failed_and_the_file_is_named(sweep, name, content):
    (sweep / "0" / name).write_text(content)
    run = read_run(sweep / "0")
    assert run.failed and run.broken == (name,) and not run.results
    values = compare_settings(find_runs([str(sweep)]), [METRIC])[0].scores[METRIC].values
    assert values == ACCURACY["lowrank"][1:]


def test_of_runs_with_the_same_setting_and_seed_the_newer_counts(sweep):
    write_run(sweep / "20", "lowrank", 2, {METRIC: 0.7})
    for number, folder in enumerate((sweep / "20", sweep / "2")):
        os.utime(folder / "results.json", (number, number))
    runs = find_runs([str(sweep)])
    assert _find_replaced(runs) == {sweep / "20": sweep / "2"}
    os.utime(sweep / "20" / "results.json", (9, 9))
    assert _find_replaced(runs) == {sweep / "2": sweep / "20"}


def test_runs_whose_configuration_is_lost_repeat_none(tmp_path):
    for name in "01":
        write_run(tmp_path / name, "lowrank", 1, {METRIC: 0.5})
        (tmp_path / name / "config.yaml").unlink()
    assert _find_replaced(find_runs([str(tmp_path)])) == {}


def test_latex_prints_every_sign_as_it_is(sweep):
    assert _escape_latex("a_b & {c: 1} #2 50% ± <1") == r"a\_b \& \{c: 1\} \#2 50\% $\pm$ $<$1"
    assert _escape_latex(r"\ ~ ^ $") == r"\textbackslash{} \textasciitilde{} \textasciicircum{} \$"
    job = {"overrides": ["data.corpus.clips={train: 4}", "seed=0"], "exit_code": 0}
    (sweep / "0" / "job.json").write_text(json.dumps(job))
    rows = compare_settings(find_runs([str(sweep)]), [METRIC])
    assert r"data.corpus.clips=\{train: 4\} & 4 & \textbf{0.875 $\pm$" in to_latex(rows)


def test_costs_have_no_interval(tmp_path):
    for seed in (1, 2):
        scores = {METRIC: 0.5 + seed / 10}
        write_run(tmp_path / f"a{seed}", "a", seed, scores | {"parameters": 1234567})
        write_run(
            tmp_path / f"b{seed}", "b", seed, scores | {"parameters": 89, "megaflops": 12.345}
        )
    rows = compare_settings(find_runs([str(tmp_path)]), [METRIC])
    head, _, first, second = (line.split(" | ") for line in to_markdown(rows).splitlines()[:4])
    assert head[-2:] == ["parameters", "megaflops |"]
    assert (first[-2:], second[-2:]) == (["1,234,567", "- |"], ["89", "12.3 |"])
    assert to_csv(rows).splitlines()[1].endswith(",1234567,")


def test_the_time_of_a_step_is_the_median_of_the_runs(tmp_path):
    for seed, milliseconds in enumerate((21.5, 90.0, 20.0, None)):
        write_run(tmp_path / str(seed), "a", seed, {METRIC: 0.5, "step_milliseconds": milliseconds})
    rows = compare_settings(find_runs([str(tmp_path)]), [METRIC])
    assert to_markdown(rows).splitlines()[0].endswith("| step_milliseconds |")
    assert to_markdown(rows).splitlines()[2].endswith("| 21.5 |")


def test_a_narrow_terminal_shows_every_letter_of_names_that_look_like_markup(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("COLUMNS", "60")
    long = f"[{','.join(f'[b]part{number}' for number in range(9))}]"
    scores = {METRIC: 0.5, "test/loss": 1.0, "parameters": 1234567, "megaflops": 12.5}
    for number, model in enumerate(("[]", long)):
        write_run(tmp_path / str(number), model, 0, scores)
    print_table(compare_settings(find_runs([str(tmp_path)]), [METRIC, "test/loss"]))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 60
    names = "".join(line[2:].split("  ")[0] for line in lines)
    assert "model=[]" in names and f"model={long}" in names
    assert any("1,234,567" in line and "12.5" in line for line in lines)


def test_the_best_setting_of_the_first_metric_comes_first_and_one_without_it_last(tmp_path):
    found = {"middle": (0.5, 0.1), "worst": (0.25, 0.2), "best": (0.75, 0.3), "none": (None, 0.4)}
    for name, (accuracy, loss) in found.items():
        write_run(tmp_path / name, name, 1, {METRIC: accuracy, "test/loss": loss})
    runs = find_runs([str(tmp_path)])

    def order(*metrics):
        return [row.name.removeprefix("model=") for row in compare_settings(runs, metrics)]

    assert order(METRIC, "test/loss") == ["best", "middle", "worst", "none"]
    assert order("test/loss", METRIC) == ["middle", "worst", "best", "none"]
    rows = compare_settings(runs, [METRIC])
    written = [line.split(",")[0] for line in to_csv(rows).splitlines()[1:]]
    assert written == [row.name for row in rows]


@pytest.mark.parametrize("seeds", [1, 2, 3])
def test_intervals_and_tests_begin_with_three_runs(tmp_path, seeds):
    for seed in range(seeds):
        write_run(tmp_path / f"a{seed}", "a", seed, {METRIC: 0.5 + seed / 10})
        write_run(tmp_path / f"b{seed}", "b", seed, {METRIC: 0.4 + seed / 7})
    rows = compare_settings(find_runs([str(tmp_path)]), [METRIC])
    for row in rows:
        assert np.isfinite(row.scores[METRIC].interval) == (seeds == 3)
        assert np.isfinite(row.scores[METRIC].std) == (seeds > 1)
    text = "\n".join(line for line in to_markdown(rows).splitlines() if line.startswith("| m"))
    assert ("±" in text) == ("p=" in text) == (seeds == 3) and ("sd" in text) == (seeds > 1)
    cells = to_csv(rows).splitlines()[1].split(",")[2:6]
    assert [bool(cell) for cell in cells] == [True, seeds > 1, seeds > 2, False]
    figure = comparison_figure(rows)
    intervals = sum(len(bar.lines[2]) for bar in figure.get_axes()[0].containers)
    assert intervals == (2 if seeds == 3 else 0)


@pytest.mark.parametrize("wrong", ["none", "none*", "empty", ""])
@pytest.mark.parametrize("program", ["summarize", "report"])
def test_a_path_without_runs_is_an_error_that_names_it_even_beside_a_good_one(
    sweep, monkeypatch, program, wrong
):
    (sweep / "empty").mkdir()
    place = f"{sweep}/{wrong}" if wrong else ""
    monkeypatch.setattr(sys, "argv", [program, f"{sweep}/1", place, f"{sweep}/2"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "src" / f"{program}.py"), run_name="__main__")
    sentence = str(ended.value.code)
    assert sentence.startswith(f"Error: No run in {place or repr('')}: give the folder of a run")
    assert f"{sweep}/1" not in sentence


def test_names_are_not_wrapped_in_a_file(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("COLUMNS", raising=False)
    long = "x" * 300
    write_run(tmp_path / "0", long, 1, {METRIC: 0.5})
    print_table(compare_settings(find_runs([str(tmp_path)]), [METRIC]))
    assert any(f"model={long}" in line for line in capsys.readouterr().out.splitlines())


def test_a_name_does_not_break_a_table_in_markdown(tmp_path):
    write_run(tmp_path / "0", "a|b", 1, {METRIC: 0.5})
    line = to_markdown(compare_settings(find_runs([str(tmp_path)]), [METRIC])).splitlines()[2]
    assert line.startswith(r"| model=a\|b trainer.devices=1 | 1 | ")


@pytest.mark.parametrize("metric", [METRIC, "test/loss"])
@pytest.mark.parametrize("broken", [float("nan"), float("inf"), float("-inf")])
def test_a_setting_whose_mean_is_not_finite_is_neither_best_nor_tested(tmp_path, metric, broken):
    for seed in range(3):
        write_run(tmp_path / f"a{seed}", "a", seed, {metric: 0.5 if seed else broken})
        write_run(tmp_path / f"b{seed}", "b", seed, {metric: 0.1 + seed / 10})
        write_run(tmp_path / f"c{seed}", "c", seed, {metric: broken})
    rows = compare_settings(find_runs([str(tmp_path)]), [metric])
    assert [row.name for row in rows] == ["model=b", "model=a", "model=c"]
    assert find_best_row(rows, metric) is rows[0]
    assert [row.scores[metric].p for row in rows] == [None, None, None]
    lines = to_markdown(rows).splitlines()[2:5]
    assert ["**" in line for line in lines] == [True, False, False]
    assert find_best_row(rows[1:], metric) is None and "**" not in to_markdown(rows[1:])


def test_one_setting_of_many_choices_is_named_by_its_model(tmp_path):
    write_run(tmp_path / "0", "lowrank", 1, {METRIC: 0.5})
    job = tmp_path / "0" / "job.json"
    many = [f"data.corpus.choice_{number}=value" for number in range(9)]
    overrides = ["experiment=frozen_voices", "model=lowrank", "seed=1", *many]
    job.write_text(json.dumps({"overrides": overrides, "exit_code": 0}))
    (row,) = compare_settings(find_runs([str(tmp_path)]), [METRIC])
    assert row.name == "experiment=frozen_voices model=lowrank"
