"""Pooled tables of a sweep: settings over folds, baselines, ensembles, and their details."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from avfusion.console import replace_unprintable
from avfusion.evaluation.aggregate import find_exclusions, without_excluded
from avfusion.evaluation.out_of_fold import add_ensembles, pool_settings
from avfusion.evaluation.pooled_scores import (
    PooledRow,
    count_confusions,
    find_best_network,
    read_attributes,
    score_settings,
)
from avfusion.evaluation.pooled_tables import Details, collect_details, print_pooled, write_pooled
from avfusion.evaluation.predictions import FILE_NAME
from avfusion.evaluation.runs import Run
from avfusion.figures.predictions import confusion_figure, pooled_figure
from avfusion.figures.style import save_figure
from avfusion.run.baselines import add_baselines, open_store


class PooledSweep(NamedTuple):
    """Rows, the best first, details of each network by name, and sentences on what is missing."""

    rows: list[PooledRow]
    details: dict[str, Details]
    sentences: list[str]


def pool_runs(
    runs: Sequence[Run], baselines: bool = True, ensemble: str | None = None
) -> PooledSweep:
    """Pool the predictions of the runs that were tested and have left any.

    ``ensemble`` is what ensembles average, probabilities or logits, or ``stacked``: a logistic
    regression on the settings; None: there are none.
    """
    compared = without_excluded(runs, find_exclusions(runs))
    tested = [run for run in compared if (run.folder / FILE_NAME).is_file()]
    settings, refusals = pool_settings(tested)
    sentences = [str(refusal) for refusal in refusals]

    networks = list(settings)
    if ensemble is not None and networks:
        try:
            settings += add_ensembles(networks, ensemble)
        except (ValueError, FileNotFoundError) as error:
            sentences.append(f"Without an ensemble: {error}")
    if baselines and networks:
        settings, reason = add_baselines(settings)
        sentences += [reason] * bool(reason)

    rows = score_settings(settings)
    details = {}
    for row in rows:
        if row.pooled.predictor == "network":
            try:
                attributes = read_attributes(row.pooled.clip_ids, open_store(row.pooled.runs[0]))
            except (ValueError, OSError):
                attributes = {}
            details[row.name] = collect_details(row, attributes)
    return PooledSweep(rows, details, sentences)


def report_pooled(
    runs: Sequence[Run],
    out: Path,
    figure_format: str,
    baselines: bool = True,
    ensemble: str | None = None,
) -> None:
    """Print and write the pooled tables and their figure, where runs have left predictions.

    They go to the folder ``out`` or, where that is none, to this one. What is not pooled is said.
    """
    pooled = pool_runs(runs, baselines, ensemble)
    for sentence in pooled.sentences:
        print(replace_unprintable(sentence), file=sys.stderr)
    if not pooled.rows:
        return

    print_pooled(pooled.rows, pooled.details)
    folder = out if out.is_dir() else Path()
    write_pooled(folder, pooled.rows, pooled.details)
    save_figure(pooled_figure(pooled.rows), folder / f"pooled.{figure_format}")
    print(f"Written: {folder}/pooled.md, .tex, .csv, .{figure_format}")
    best = find_best_network(pooled.rows)
    if best is not None:
        counts, names = count_confusions(best.pooled), best.pooled.output_names
        figure = confusion_figure(counts, names)
        file = save_figure(figure, folder / f"pooled_confusion.{figure_format}")
        print(f"Written: {file} ({best.name})")
