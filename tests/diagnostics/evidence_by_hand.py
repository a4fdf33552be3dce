"""Evidence written by hand: outputs for clips, without networks."""

from collections.abc import Sequence

import numpy as np

from avfusion.diagnostics.evidence import Evidence
from avfusion.targets import choose_target

NAMES = {"single_label": ["angry", "happy", "sad"], "multi_label": ["happy", "loud"]}


def evidence_of(
    outputs: object,
    targets: object,
    kind: str = "single_label",
    names: Sequence[str] | None = None,
    subjects: Sequence[str] | None = None,
    **options: object,
) -> Evidence:
    """Evidence of these outputs, of one repetition or of several, for clips with these labels."""
    found = np.array(outputs, float)
    found = found if found.ndim == 3 else found[None]
    target = choose_target(
        {"labels": kind, "output_names": names or NAMES[kind][: found.shape[-1]]}
    )
    encoded = np.array(targets, np.float32 if target.number_names else np.int64)
    clips = len(encoded)
    subjects = subjects or [f"s{clip}" for clip in range(clips)]
    return Evidence(
        "by hand",
        "test",
        target,
        np.array([f"clip{clip:03}" for clip in range(clips)]),
        np.array(subjects),
        encoded,
        found,
        **{"parts": [], **options},
    )


def logits_of(*probabilities: Sequence[float]) -> np.ndarray:
    """Outputs that give each clip these probabilities of one class each."""
    return np.log(np.maximum(probabilities, 1e-12))
