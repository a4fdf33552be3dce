"""Sources of the page of a run: its predictions, and the store of their clips."""

from typing import NamedTuple

import numpy as np

from avfusion.data.store import Store, open_recorded
from avfusion.evaluation.predictions import Predictions, load_predictions
from avfusion.evaluation.runs import Run
from avfusion.targets import choose_target


class Sources(NamedTuple):
    """Predictions for the clips whose label is known, and their store.

    Where there is no store, ``missing`` says why.
    """

    predictions: Predictions
    store: Store | None
    missing: str = ""


def read_sources(run: Run) -> Sources:
    """Read the predictions of a run, and find its clips.

    Raises:
        FileNotFoundError: the run has not been tested, or has no predictions.
        ValueError: they cannot be read, know the label of no clip, or are of labels of a kind that
            no shipped target is for.
    """
    if not any(name.startswith("test/") for name in run.results):
        raise FileNotFoundError("the run has not been tested.")
    split = str(run.results.get("data/split", "test"))
    predictions = load_predictions(run.folder, split)
    choose_target({"labels": predictions.labels, "output_names": predictions.output_names})
    predictions = predictions.labeled()
    if not len(predictions):
        raise ValueError(f"No {predictions.split} clip of {predictions.store} has a known label.")

    try:
        return Sources(predictions, _find_store(predictions, run))
    except (ValueError, OSError) as error:
        return Sources(predictions, None, str(error))


def _find_store(predictions: Predictions, run: Run) -> Store:
    """Open the store of a run's clips, where it is to be found."""
    try:
        store = open_recorded(predictions.store, run.config)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"The clips cannot be shown: {error}") from error

    rows, known = predictions.rows, np.array(store.texts("clip_id"))
    if rows.max() >= len(known) or not np.array_equal(known[rows], predictions.clip_ids):
        raise ValueError(
            f"The clips cannot be shown: {store.address} holds others than were tested."
        )
    store.respell(predictions.target.spell)

    return store
