"""Sources of the page of a run: its predictions, and the store of their clips."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from avfusion.data.store import Store
from avfusion.environment import data_folder
from avfusion.evaluation.predictions import Predictions, load_predictions
from avfusion.evaluation.runs import Run
from avfusion.targets import choose_target


class Sources(NamedTuple):
    """Predictions for the clips whose label is known, and their store where it is at hand.

    ``missing`` says in a sentence why there is none.
    """

    predictions: Predictions
    store: Store | None
    missing: str = ""


def read_sources(run: Run) -> Sources:
    """Read what a run predicted, and find its clips.

    Raises:
        FileNotFoundError: the run has not been tested, or has no predictions.
        ValueError: they cannot be read, know the label of no clip, or are of labels of a kind that
            no shipped target is for.
    """
    if not any(name.startswith("test/") for name in run.results):
        raise FileNotFoundError("the run has not been tested.")
    split = str(run.results.get("data/split", "test"))
    predictions = load_predictions(run.folder, split).labeled()
    choose_target({"labels": predictions.labels, "class_names": predictions.class_names})
    if not len(predictions):
        raise ValueError(f"No {predictions.split} clip of {predictions.store} has a known label.")
    try:
        return Sources(predictions, find_store(predictions))
    except (ValueError, OSError) as error:
        return Sources(predictions, None, str(error))


def find_store(predictions: Predictions) -> Store:
    """Open the store of predictions: where it was, or where this machine keeps stores.

    Raises:
        FileNotFoundError: it is in neither place.
        ValueError: it cannot be read, or holds other clips.
    """
    recorded = Path(predictions.store)
    for place in (recorded, Path(data_folder()) / "stores" / recorded.name):
        if (place / "description.json").is_file():
            return check_clips(Store(place), predictions)
    raise FileNotFoundError(
        f"The clips cannot be shown: their store is not at {recorded}, and not among the stores of "
        "this machine."
    )


def check_clips(store: Store, predictions: Predictions) -> Store:
    """Refuse a store whose clips are not those of the predictions."""
    rows = predictions.rows
    known = np.array(store.texts("clip_id"))
    if rows.max() >= len(known) or not np.array_equal(known[rows], predictions.clip_ids):
        raise ValueError(f"The clips cannot be shown: {store.root} holds others than were tested.")
    store.respell(predictions.target.spell)
    return store
