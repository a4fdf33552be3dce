"""What a store says of itself, to programs and to people."""

from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

from avfusion.corpora import SPLITS, Contents
from avfusion.data.part import Outcome
from avfusion.data.store import BOX, FORMAT, read_description
from avfusion.features import Features


def describe(
    name: str, contents: Contents, features: Features, outcomes: list[Outcome]
) -> dict[str, Any]:
    """Return what a network and a result have to know of a store, as plain data."""
    kept = [outcome.index for outcome in outcomes if outcome.index]
    training = Counter(clip["label"] for clip in kept if clip["split"] == "train")
    splits = Counter(clip["split"] for clip in kept)
    return {
        "format": FORMAT,
        "corpus": name,
        "class_names": contents.class_names,
        "class_counts": [training[label] for label in contents.class_names],
        "clips": {split: splits[split] for split in SPLITS},
        "skipped": dict(Counter(outcome.reason for outcome in outcomes if not outcome.index)),
        "shared_subjects": contents.shared_subjects,
        "boxes": any(clip[BOX[0]] != "" for clip in kept),
        "features": asdict(features),
    }


def skipped_reasons(outcomes: list[Outcome]) -> str:
    """Count the reasons why clips were skipped."""
    counts = Counter(outcome.reason for outcome in outcomes if not outcome.index)
    return ", ".join(f"{reason} ({count})" for reason, count in counts.most_common())


def summary(store: Path) -> str:
    """Say what a store holds, what was left out, and how to train on it."""
    description = read_description(store)
    clips = ", ".join(f"{count} {split}" for split, count in description["clips"].items())
    skipped = description["skipped"]
    lines = [f"{description['corpus']}: {clips} clips, {len(description['class_names'])} classes."]
    if skipped:
        counts = ", ".join(f"{reason} ({count})" for reason, count in skipped.items())
        lines.append(
            f"Skipped {sum(skipped.values())}: {counts}. Each is listed in {store}/report.csv."
        )
    if description["shared_subjects"]:
        count = len(description["shared_subjects"])
        lines.append(f"{count} subjects are in several splits; every result will record it.")
    if description["clips"]["train"]:
        lines.append(f"Train on it with:\n  python src/train.py data=store data.store={store}")
    else:
        lines.append(
            f"Test on it with:\n  python src/eval.py ckpt_path=<run> data=store data.store={store}"
        )
    return "\n".join(lines)
