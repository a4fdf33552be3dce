"""What a store says of itself to programs."""

from collections import Counter
from typing import Any

from avfusion.corpora import SPLITS, Contents
from avfusion.data.outcome import Outcome, kinds_of
from avfusion.data.store import BOX, FORMAT
from avfusion.features import Features
from avfusion.features.identity import identify
from avfusion.targets import choose_target


def describe(
    name: str, contents: Contents, features: Features, outcomes: list[Outcome]
) -> dict[str, Any]:
    """Return what a network and a result have to know of a store, as plain data."""
    kept = [outcome.index for outcome in outcomes if outcome.index]
    target = choose_target(contents._asdict())
    training = Counter(
        name
        for clip in kept
        if clip["split"] == "train"
        for name in target.classes_of(clip["label"])
    )
    splits = Counter(clip["split"] for clip in kept)
    return {
        "format": FORMAT,
        "corpus": name,
        "class_names": contents.class_names,
        "labels": contents.labels,
        "class_counts": [training[label] for label in contents.class_names],
        "clips": {split: splits[split] for split in SPLITS},
        "skipped": dict(Counter(outcome.reason for outcome in outcomes if not outcome.index)),
        "notes": dict(Counter(kind for clip in kept for kind in kinds_of(clip.get("note", "")))),
        "shared_subjects": contents.shared_subjects,
        "boxes": any(clip[BOX[0]] != "" for clip in kept),
        "features": identify(features, "features"),
    }


def skipped_reasons(outcomes: list[Outcome]) -> str:
    """Count the reasons why clips were skipped."""
    counts = Counter(outcome.reason for outcome in outcomes if not outcome.index)
    return ", ".join(f"{reason} ({count})" for reason, count in counts.most_common())
