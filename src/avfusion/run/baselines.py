"""Trivial baselines of the runs of a table, fitted on the folds that these were tested on."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from hydra.utils import instantiate
from jaxtyping import Int64

from avfusion.data.protocols import SplitProtocol
from avfusion.data.splits import Splits, make_plan, split_clips
from avfusion.data.store import Store, open_recorded
from avfusion.evaluation.out_of_fold import Pooled
from avfusion.evaluation.predictions import load_predictions
from avfusion.evaluation.probe import fit_probe, predict_majority, summarize_stream
from avfusion.evaluation.runs import Run, read_mapping
from avfusion.features.clip import MODALITIES
from avfusion.run.streams import find_streams
from avfusion.targets import choose_target

MAX_CLIPS = 20_000  # with more, a probe takes longer than seconds


def add_baselines(settings: Sequence[Pooled]) -> tuple[list[Pooled], str]:
    """Name the streams that settings read, and add the majority class and linear probes.

    Settings that are tested on the same clips of one store share their baselines. The result ends
    with a sentence where there are none for a setting, which is empty otherwise.
    """
    found: list[Pooled] = []
    named: list[Pooled] = []
    reasons: list[str] = []
    for setting in settings:
        try:
            streams = list_streams(setting)
            setting = replace(setting, streams=frozenset(streams))
            found += _fit_missing(setting, streams, found)
        except (ValueError, OSError, KeyError) as error:
            reasons.append(f"Without baselines: {setting.name}: {error}")
        named.append(setting)

    return [*named, *found], "\n".join(dict.fromkeys(reasons))


def list_streams(setting: Pooled) -> list[str]:
    """List the streams that the networks of a setting, or of an ensemble, read."""
    networks = {run.setting: run for run in setting.runs}
    configs = (read_mapping(run.folder / "config.yaml") or {} for run in networks.values())
    return list(dict.fromkeys(name for one in configs for name in find_streams(one["model"])))


def _fit_missing(setting: Pooled, streams: Sequence[str], known: Sequence[Pooled]) -> list[Pooled]:
    """Fit the baselines of a setting that no other setting has already."""
    store = open_store(setting.runs[0])
    kinds = {name: MODALITIES.index(store.streams[name].modality) for name in streams}
    streams = sorted(streams, key=kinds.__getitem__)
    wanted = [(), *((name,) for name in streams)]
    if len(set(kinds.values())) == len(MODALITIES):
        wanted.append(tuple(streams))
    done = [one.streams for one in known if one.has_same_clips(setting)]
    wanted = [names for names in wanted if frozenset(names) not in done]
    if not wanted:
        return []
    if len(store) > MAX_CLIPS:
        raise ValueError(
            f"{len(store)} clips are too many to fit a probe in seconds ({MAX_CLIPS} at most)."
        )

    target = choose_target(store.description)
    store.respell(target.spell)
    labels = np.asarray(target.read_labels(store))
    rows = _find_clips(store, setting)
    features = {name: summarize_stream(store, name) for name in {n for w in wanted for n in w}}

    folds = [_find_run(setting, fold) for fold in setting.fold_names]
    splits = [read_splits(run, store) for run in folds]
    made = []
    for names in wanted:
        outputs = np.empty((len(setting), target.outputs))
        for number, one in enumerate(splits):
            selected = setting.folds == number
            if names:
                every = fit_probe([features[n] for n in names], labels, one, target.outputs)
            else:
                every = predict_majority(labels, one, target.outputs)
            outputs[selected] = every[rows[selected]]

        title = f"linear probe: {' + '.join(names)}" if names else "majority class"
        made.append(
            replace(
                setting,
                name=title,
                outputs=outputs[None],
                runs=[],
                streams=frozenset(names),
                predictor="baseline",
            )
        )
    return made


def _find_run(setting: Pooled, fold: str) -> Run:
    return next(run for run in setting.runs if str(run.results.get("data/fold", "")) == fold)


def _find_clips(store: Store, setting: Pooled) -> Int64[np.ndarray, "clips"]:
    """Find the rows of a setting's clips in a store."""
    rows = {str(name): row for row, name in enumerate(store.texts("clip_id"))}
    names = setting.clip_ids.tolist()
    if missing := [name for name in names if name not in rows]:
        raise ValueError(f"{store.address} lacks {missing[0]}, which was tested.")
    return np.array([rows[name] for name in names], np.int64)


def open_store(run: Run) -> Store:
    """Open the store that a run was tested on.

    Raises:
        FileNotFoundError: It is not to be found.
    """
    split = str(run.results.get("data/split", "test"))
    return open_recorded(load_predictions(run.folder, split).store, run.config)


def read_splits(run: Run, store: Store) -> Splits:
    """Read the split plan of a run from its configuration, and split its store by it."""
    data: dict[str, Any] = (read_mapping(run.folder / "config.yaml") or {})["data"]
    fold, seed = data.get("fold"), data.get("split_seed", 0)
    if data.get("protocol"):
        protocol: SplitProtocol = instantiate(data["protocol"], _convert_="all")
        plan = protocol.make_plan(fold, seed)
    else:
        apart = not data.get("allow_subject_overlap", False)
        plan = make_plan(data.get("splits"), fold, seed, by_subject=apart)
    return split_clips(plan, store, data.get("validation"))
