"""What of a store does not fit a training or a test."""

from collections.abc import Callable, Sequence

from avfusion.corpora.labels import classes_of
from avfusion.corpora.recording import listed
from avfusion.data.augmentation import FaceAugmentation
from avfusion.data.clips import Clips
from avfusion.data.store import Store


def check_splits(store: Store, *splits: str) -> None:
    """Refuse splits without clips."""
    clips = store.description["clips"]
    empty = [split for split in splits if not clips[split]]
    if empty:
        raise ValueError(
            f"The store in {store.root} has no {' and no '.join(empty)} clips, only {clips}: "
            "choose another split, or prepare the corpus with others."
        )


def check_batch(store: Store, batch_size: int) -> None:
    """Refuse batches that no epoch of training fills."""
    clips = store.description["clips"]["train"]
    if batch_size > clips:
        raise ValueError(
            f"data.batch_size={batch_size} is more than the {clips} training clips of "
            f"{store.root}: set data.batch_size={clips} or less."
        )


def check_labels(store: Store, split: str, class_names: Sequence[str]) -> None:
    """Refuse labels of the split to test on that are none of the classes."""
    labels = {store.index[row]["label"] for row in store.rows(split)}
    named = {name for label in labels for name in classes_of(label, store.multilabel)}
    other = sorted(named - set(class_names))
    if other:
        raise ValueError(
            f"The {split} split of {store.root} has labels that the network does not know, "
            f"{listed(other)}: it knows {', '.join(class_names)}."
        )


def check_unchanged(augmentation: Sequence[Callable[[Clips], Clips]]) -> None:
    """Refuse changes of pictures, for networks that read stored face maps in their place."""
    if any(isinstance(change, FaceAugmentation) for change in augmentation):
        raise ValueError(
            "Face maps are stored and cannot be augmented as pictures can: set "
            "data.augmentation.face=null, or choose another model/face_encoder."
        )
