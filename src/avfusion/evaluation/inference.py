"""Inference: predictions of a network for the clips of a store, and for recordings directly."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from avfusion.corpora import Recording
from avfusion.data.batch import Clips
from avfusion.data.index import ClipRecord
from avfusion.data.store import Store
from avfusion.features import ClipFeatures, Features, Unreadable
from avfusion.features.clip import MODALITIES
from avfusion.features.face import FRAMES
from avfusion.files import read_csv
from avfusion.preparation.shards import decode
from avfusion.training.task import FusionTask

log = logging.getLogger(__name__)


class ClipPrediction(NamedTuple):
    """Prediction for one clip.

    Attributes:
        clip: Its record in the index.
        row: Its row in the index.
        values: What the target makes of the outputs: probabilities of classes, or numbers. None
            where the clip has no modality that the network reads.
        glimpses: Attention maps, where the network has attention.
        note: What the clip lacks, for people to read.
    """

    clip: ClipRecord
    row: int
    values: Float[Tensor, "outputs"] | None
    glimpses: Float[Tensor, "glimpses pictures rows columns"] | None = None
    note: str = ""


def collect_predictions(
    store: Store, batches: Iterable[Any], modalities: Sequence[str] = MODALITIES
) -> list[ClipPrediction]:
    """Join predicted batches with the records of their clips, in the order of the store.

    ``batches`` come from ``Trainer.predict``; ``modalities`` are those that the network reads.
    """
    notes = {row["clip_id"]: row["reason"] for row in read_csv(store.root / "report.csv")}
    only = f", the network takes only the {modalities[0]}" if len(modalities) == 1 else ""
    available = {"face": store.has_face, "audio": store.has_audio}
    batches = list(batches)
    clips = iter(store.records([row for rows, *_ in batches for row in rows.tolist()]))

    predictions = []
    for rows, values, glimpses in batches:
        for place, row in enumerate(rows.tolist()):
            clip = next(clips)
            maps = None if glimpses is None else glimpses[place]
            prediction = ClipPrediction(clip, row, values[place], maps, notes[clip.clip_id])
            if not any(available[modality][row] for modality in modalities):
                note = f"no prediction{only}: {prediction.note}"
                prediction = prediction._replace(values=None, note=note)
            predictions.append(prediction)

    return predictions


def predict_recordings(
    recordings: Sequence[Recording],
    features: Features,
    task: FusionTask,
    batch_size: int = 32,
) -> list[ClipPrediction]:
    """Predict for each recording that can be decoded; the others are logged.

    Predictions are those of a store of these recordings with the same batch size, on the same
    device and in the precision of the task's weights: the same clips share a batch, and pictures
    are scaled on the device. Decoders run in this process: one that crashes ends it.

    Raises:
        ValueError: None of the recordings can be decoded.
    """
    predictions: list[ClipPrediction] = []
    decoded = _decode_recordings(recordings, features)
    while found := list(islice(decoded, batch_size)):
        first = len(predictions)
        clips = make_batch([clip for _, clip in found], features, first)
        on_device = clips.map(lambda part: part.to(task.device))
        with _evaluation_mode(task):
            _, values, glimpses = task.predict_step(on_device.with_floats(), 0)

        for place, (recording, clip) in enumerate(found):
            row = first + place
            record = ClipRecord.of(recording, clip, 0, row)
            maps = None if glimpses is None else glimpses[place].cpu()
            predicted = values[place].cpu()
            predictions.append(ClipPrediction(record, row, predicted, maps, record.note))

    if not predictions:
        raise ValueError("None of the recordings can be used; the log has the reason for each.")
    return predictions


def make_batch(clips: Sequence[ClipFeatures], features: Features, first: int = 0) -> Clips:
    """Make the batch that a store of these clips would give; rows count from ``first``."""
    arrays = features.arrays(len(clips))
    lengths = {name: [1] * len(clips) for name, one in features.streams.items() if one.lengths}
    for place, clip in enumerate(clips):
        for name, values in features.values(clip).items():
            arrays[name][place, : len(values)] = values
            if name in lengths:
                lengths[name][place] = max(1, len(values))

    boxes = [clip.box or [float("nan")] * 4 for clip in clips]
    # Channels of pictures stay last in memory, the layout in which convolutions are fast.
    arrays[FRAMES] = arrays[FRAMES].transpose(0, 1, 4, 2, 3)
    arrays |= {name: arrays[name][:, : max(steps)] for name, steps in lengths.items()}
    return Clips(
        streams={name: torch.from_numpy(array) for name, array in arrays.items()},
        lengths={name: torch.tensor(steps) for name, steps in lengths.items()},
        has_face=torch.tensor([clip.has_face for clip in clips]),
        has_audio=torch.tensor([clip.has_audio for clip in clips]),
        label=torch.full((len(clips),), -1),
        box=torch.from_numpy(np.array(boxes, np.float32)),
        row=torch.arange(first, first + len(clips)),
    )


def _decode_recordings(
    recordings: Sequence[Recording], features: Features
) -> Iterator[tuple[Recording, ClipFeatures]]:
    for recording in recordings:
        try:
            with _single_thread():
                clip = decode(features, recording)
        except Unreadable as error:
            log.warning("%s cannot be used: %s.", recording.clip_id, error)
        else:
            yield recording, clip


@contextmanager
def _single_thread() -> Iterator[None]:
    """Compute as in preparation: more threads would change the last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _evaluation_mode(task: FusionTask) -> Iterator[None]:
    training = task.training
    task.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        task.train(training)
