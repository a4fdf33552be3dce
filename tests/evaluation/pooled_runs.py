"""Runs over folds, written by hand with their predictions."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml

from avfusion.evaluation.predictions import VALIDATION_FILE_NAME, Predictions
from avfusion.evaluation.runs import Run, read_run

CLASSES = ["angry", "happy", "sad"]


def predict(
    ids: Sequence[str],
    subjects: Sequence[str],
    true: Sequence[int],
    taken: Sequence[int],
    store: str = "no/store",
    sure: float = 5.0,
) -> Predictions:
    """Predictions of clips that are taken for these classes."""
    return Predictions(
        split="test",
        store=store,
        labels="single_label",
        output_names=CLASSES,
        rows=np.arange(len(ids)),
        clip_ids=np.array(ids),
        subjects=np.array(subjects),
        outputs=sure * np.eye(len(CLASSES), dtype=np.float32)[list(taken)],
        targets=np.array(true, np.int64),
        boxes=np.full((len(ids), 4), np.nan, np.float32),
    )


def write_fold(
    folder: Path,
    predictions: Predictions,
    fold: str,
    sizes: dict[str, int],
    seed: int = 1,
    model: str = "lowrank",
    config: dict | None = None,
    validation: Predictions | None = None,
    **results: object,
) -> Run:
    """Write what a job of one fold leaves."""
    folder.mkdir(parents=True)
    own = {"model": {"network": {"fusion": model}}, "seed": seed, "monitor": "val/accuracy"}
    own |= {"data": {"fold": int(fold) if fold else None}}
    (folder / "config.yaml").write_text(yaml.safe_dump(own | (config or {})))
    overrides = [f"model={model}", f"seed={seed}", f"data.fold={fold}"]
    (folder / "job.json").write_text(json.dumps({"overrides": overrides, "exit_code": 0}))
    known = {"test/accuracy": float(predictions.correct.mean()), "data/split": "test"}
    if fold:
        known |= {"data/fold": fold, "data/folds": json.dumps(sizes)}
    (folder / "results.json").write_text(json.dumps(known | results))
    predictions.save(folder)
    if validation is not None:
        validation.save(folder, VALIDATION_FILE_NAME)
    return read_run(folder)


def draw_clips(subjects: int = 6, takes: int = 8, seed: int = 0):
    """Names, subjects, true classes, and folds of clips: two subjects in each fold."""
    random = np.random.default_rng(seed)
    ids = [f"s{s}_{t:02}" for s in range(subjects) for t in range(takes)]
    names = [f"s{s}" for s in range(subjects) for _ in range(takes)]
    folds = [s // 2 for s in range(subjects) for _ in range(takes)]
    return np.array(ids), np.array(names), random.integers(0, 3, len(ids)), np.array(folds)


def draw_taken(true: np.ndarray, right: float, seed: int) -> np.ndarray:
    """Classes of which this part is right, and the others are any."""
    random = np.random.default_rng(seed)
    return np.where(random.random(len(true)) < right, true, random.integers(0, 3, len(true)))


def write_sweep(
    root: Path, parts: dict[str, float], seeds: Sequence[int] = (1,), **options: object
) -> list[Run]:
    """Write a sweep of models, of which these parts are right, over three folds and seeds."""
    ids, subjects, true, folds = draw_clips()
    sizes = {str(fold): int((folds == fold).sum()) for fold in range(3)}
    runs = []
    for number, (model, part) in enumerate(parts.items()):
        for seed in seeds:
            taken = draw_taken(true, part, 10 * number + seed)
            for fold in range(3):
                some = folds == fold
                predictions = predict(ids[some], subjects[some], true[some], taken[some])
                folder = root / f"{model}_fold{fold}_seed{seed}"
                runs.append(
                    write_fold(folder, predictions, str(fold), sizes, seed, model, **options)
                )
    return runs
