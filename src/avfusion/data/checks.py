"""Checks that a store, and the way it is read, fit a training or a test."""

import logging
from collections.abc import Callable, Iterable, Sequence

import numpy as np

from avfusion.corpora.recording import SPLITS
from avfusion.data.augmentation import NUM_MFCC_BLOCKS, AudioAugmentation
from avfusion.data.batch import Clips
from avfusion.data.index import to_numpy
from avfusion.data.splits import Splits
from avfusion.data.store import Store
from avfusion.features import AudioFeatures
from avfusion.features.clip import MODALITIES
from avfusion.features.identity import CLASS, get_name
from avfusion.messages import join_items, pluralize
from avfusion.targets import Target

log = logging.getLogger(__name__)


def check_reading(batch_size: int, eval_split: str, num_workers: int) -> None:
    """Refuse numbers and a split that cannot be."""
    if batch_size < 1:
        raise ValueError(f"data.batch_size must be at least 1, got {batch_size}.")
    if eval_split not in SPLITS:
        raise ValueError(
            f"data.eval_split must be one of {SPLITS}, got {eval_split!r} (which is split= of "
            "eval and predict)."
        )

    if num_workers < 0:
        raise ValueError(f"data.num_workers must be at least 0, got {num_workers}.")


def check_modalities(removed: Sequence[str], read: Sequence[str]) -> None:
    """Refuse to take away what there is not, or all that a network reads."""
    if unknown := [name for name in removed if name not in MODALITIES]:
        raise ValueError(
            f"{join_items(unknown)} cannot be taken away: the modalities are "
            f"{join_items(MODALITIES)}."
        )
    if removed and all(name in removed for name in read):
        raise ValueError(
            f"Without {join_items(removed)} nothing is left of what the network reads, "
            f"{join_items(read)}: leave modalities at null, or choose a network that reads the "
            "other modality, too."
        )


def find_removed(modalities: Sequence[str] | str | None) -> tuple[str, ...]:
    """Find the modalities that clips are to lose where only some are named to stay.

    Raises:
        ValueError: One of the names is no modality, or there is none.
    """
    if modalities is None:
        return ()
    kept = [modalities] if isinstance(modalities, str) else list(modalities)
    if not kept or any(name not in MODALITIES for name in kept):
        raise ValueError(
            f"modalities must be some of {join_items(MODALITIES)}, such as [face], got {kept}."
        )
    return tuple(name for name in MODALITIES if name not in kept)


def check_splits(splits: Splits, *names: str) -> None:
    """Refuse splits without clips."""
    clips = splits.counts()
    empty = [name for name in names if not clips[name]]
    if empty:
        raise ValueError(
            f"{splits.spelled} gives the store in {splits.root} no "
            f"{' and no '.join(empty)} clips, only {clips}: choose another split, or other "
            "data.splits."
        )


def check_batch(splits: Splits, batch_size: int) -> None:
    """Refuse batches that no epoch of training fills."""
    clips = splits.counts()["train"]
    if batch_size > clips:
        raise ValueError(
            f"data.batch_size={batch_size} is more than the {clips} training clips of "
            f"{splits.root}: set data.batch_size={clips} or less."
        )


def check_labels(store: Store, splits: Splits, split: str, target: Target) -> None:
    """Refuse labels of the split to test on that are none of the classes."""
    labels = store.labels.counts(splits.where(split))
    named = {name for label in labels for name in target.classes_of(label)}
    other = sorted(named - set(target.output_names))
    if other:
        raise ValueError(
            f"The {split} split of {store.address} has labels that the network does not know, "
            f"{join_items(other)}: it knows {', '.join(target.output_names)}."
        )


def check_augmentation(store: Store, augmentation: Sequence[Callable[[Clips], Clips]]) -> None:
    """Refuse to hide bands of audio frames whose blocks are unknown."""
    audio = store.description["features"]["audio"]
    for change in augmentation:
        if not isinstance(change, AudioAugmentation):
            continue
        stream = store.streams.get(change.stream)
        if stream is not None and stream.kind != "sequence":
            raise ValueError(
                f"The {change.stream} of {store.address} has no time axis, along which "
                "data.augmentation.audio hides stretches: set data/augmentation=none."
            )
        if not change.band:
            continue
        features = store.streams[change.stream].shape[-1]
        known = change.stream == AudioFeatures.stream and audio[CLASS] == get_name(AudioFeatures)
        if change.blocks is None and not known:
            raise ValueError(
                f"The {change.stream} of {store.address} are no MFCC of {get_name(AudioFeatures)}, "
                "and data.augmentation.audio hides bands of MFCC and of their differences: set "
                "data.augmentation.audio.blocks=1 where a frame is one spectrum (of "
                f"{features} numbers), or data.augmentation.audio.band=0 to hide none."
            )
        blocks = change.blocks or NUM_MFCC_BLOCKS
        if features % blocks:
            raise ValueError(
                f"data.augmentation.audio.blocks={blocks} does not divide the {features} numbers "
                f"of an audio frame of {store.address}: name how many parts of one size a frame "
                "has."
            )


def check_streams(requested: Sequence[str], streams: Iterable[str], source: str) -> None:
    """Refuse names of streams that a store lacks."""
    missing = [name for name in requested if name not in streams]
    if missing:
        raise ValueError(
            f"{source} has no stream {' and no '.join(missing)}, which the network reads, only "
            f"{', '.join(streams)}: let its encoders read one of these (their key stream), or add "
            "it with src/prepare.py, as in features/audio_stream=whisper, face maps with "
            "features.face_maps.run=<run> or features/face_maps=timm (data.features... where "
            "training prepares the data itself)."
        )


def check_recorded(requested: Sequence[str], store: Store) -> None:
    """Refuse streams of recordings where some clips bring features in their place."""
    for name in requested:
        brought = f"{store.streams[name].modality}_features"
        if name == brought or brought not in store.streams:
            continue
        digests = store.columns(f"{store.streams[name].modality}_digest").column(0)
        rows = np.flatnonzero(store.has_modality(name) & to_numpy(digests.is_null()))
        if len(rows):
            raise ValueError(
                f"{pluralize(len(rows), 'clip')} of {store.address}, such as "
                f"{store.record(int(rows[0])).clip_id}, bring {brought} and no recording, so "
                f"{name} holds nothing of them: read {brought}, or give their recordings."
            )


def keep_applicable(
    augmentation: Sequence[Callable[[Clips], Clips]], streams: Sequence[str]
) -> list[Callable[[Clips], Clips]]:
    """Changes of what is read; of the others, a sentence says that they are left out."""
    changed = {change: getattr(change, "stream", None) for change in augmentation}
    for change, stream in changed.items():
        if stream is not None and stream not in streams:
            log.info(
                "%s changes the stream %s, which this network does not read: it is left out.",
                type(change).__name__,
                stream,
            )

    return [change for change, stream in changed.items() if stream in (None, *streams)]
