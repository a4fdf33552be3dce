"""What is shown of one clip, and of what a network says of it."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32, Int16, UInt8
from torch import Tensor

from avfusion.corpora.labels import label_of
from avfusion.data.store import Store
from avfusion.metrics.multilabel import SURE


class ClipView(NamedTuple):
    """What is drawn of a clip.

    ``sound`` holds samples at 16 kHz; ``box`` is the speaker's face in fractions of the picture;
    ``right`` says whether the answer is, None where that is unknown.
    """

    face: UInt8[Tensor, "pictures 3 height width"]
    frames: Float32[np.ndarray, "frames features"]
    answer: str
    clip_id: str
    glimpses: Float[Tensor, "glimpses pictures rows columns"] | None = None
    sound: Int16[np.ndarray, "samples"] | None = None
    box: Float32[np.ndarray, "4"] | None = None
    right: bool | None = None


def clip_view(
    store: Store,
    row: int,
    probabilities: Float[Tensor, "classes"],
    glimpses: Float[Tensor, "glimpses pictures rows columns"] | None,
    names: Sequence[str],
) -> ClipView:
    """Return what is to be drawn of a clip and of the network's answer."""
    clip, (face, frames) = store.index[row], store.clip(row)
    box, sure = store.boxes[row], dict(zip(names, probabilities.tolist(), strict=True))
    said = predicted(probabilities, names, store.multilabel)
    answer = "predicted: " + (" | ".join(f"{name} ({sure[name]:.2f})" for name in said) or "none")
    right = label_of(said) == clip["label"] if clip["label"] else None
    if right is not None:
        answer = f"true: {clip['label']}   {answer}   {'right' if right else 'WRONG'}"
    return ClipView(
        face,
        frames,
        answer,
        clip["clip_id"],
        glimpses,
        store.sound(row) if store.has_audio[row] else None,
        None if np.isnan(box).any() else box,
        right,
    )


def predicted(
    probabilities: Float[Tensor, "classes"], names: Sequence[str], multilabel: bool
) -> list[str]:
    """Return the classes that a clip is said to have: the likeliest, or all that are likely."""
    if not multilabel:
        return [names[int(probabilities.argmax())]]
    return [name for name, value in zip(names, probabilities, strict=True) if value > SURE]
