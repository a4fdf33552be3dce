"""Inference: predictions of a network for the clips of a store, and for recordings directly."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.corpora import Recording
from avfusion.data.batch import Clips
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.index import ClipRecord
from avfusion.data.store import REPORT_FILE
from avfusion.features import ClipFeatures, Features, Unreadable
from avfusion.features.clip import MODALITIES, NOTE_SEPARATOR
from avfusion.features.face import FRAMES
from avfusion.files import read_csv
from avfusion.models.networks.missing_modality import find_stand_in
from avfusion.preparation.shards import decode_recording
from avfusion.preparation.streams import compute_in_one_thread
from avfusion.training.task import FusionTask

log = logging.getLogger(__name__)

NOUNS = {"face": "face", "audio": "voice"}
STAND_INS = {
    "zeros": "zeros stand in for the {}",
    "learned": "a learned vector stands in for the {}",
    "imagined": "the {} is imagined",
}


class ClipPrediction(NamedTuple):
    """Prediction for one clip.

    Attributes:
        clip: Its record in the index.
        row: Its row in the index.
        values: Prediction of the target: probabilities of classes, or numbers. None
            where the clip has no modality that the network reads.
        glimpses: Attention maps, where the network has attention.
        note: Missing modalities and their stand-ins, in words.
    """

    clip: ClipRecord
    row: int
    values: Float[Tensor, "outputs"] | None
    glimpses: Float[Tensor, "glimpses pictures rows columns"] | None = None
    note: str = ""


def collect_predictions(
    data: FaceAudioDataModule, batches: Iterable[Any], network: nn.Module
) -> list[ClipPrediction]:
    """Join predicted batches with the records of their clips, in the order of the store.

    ``batches`` come from ``Trainer.predict`` with these data and a task of this network.
    """
    store, stand_in = data.store, find_stand_in(network)
    notes = {row["clip_id"]: row["reason"] for row in read_csv(store.file(REPORT_FILE))}
    available = {"face": store.has_face, "audio": store.has_audio}
    batches = list(batches)
    clips = iter(store.records([row for rows, *_ in batches for row in rows.tolist()]))

    predictions = []
    for rows, values, glimpses in batches:
        for index, row in enumerate(rows.tolist()):
            clip = next(clips)
            maps = None if glimpses is None else glimpses[index]
            known = ClipPrediction(clip, row, values[index], maps, notes[clip.clip_id])
            has = {modality: bool(flags[row]) for modality, flags in available.items()}
            predictions.append(note_missing(known, has, data.modalities, stand_in))

    return predictions


def note_missing(
    prediction: ClipPrediction, has: Mapping[str, bool], read: Sequence[str], stand_in: str
) -> ClipPrediction:
    """Note what stands in for a modality that a clip lacks.

    Where it lacks all that a network reads, there is no prediction.

    Args:
        has: Whether the clip has a modality, recorded and not taken away.
        read: The modalities that the network reads.
        stand_in: A key of ``STAND_INS``.
    """
    recorded = {"face": prediction.clip.has_face, "audio": prediction.clip.has_audio}
    missing = [modality for modality in read if not has[modality]]
    notes = [prediction.note] if prediction.note else []
    notes += [f"{NOUNS[one]} taken away" for one in missing if recorded[one]]

    if missing and len(missing) == len(read):
        only = f", the network takes only the {read[0]}" if len(read) == 1 else ""
        note = f"no prediction{only}: {NOTE_SEPARATOR.join(notes)}"
        return prediction._replace(values=None, note=note)

    notes += [STAND_INS[stand_in].format(NOUNS[modality]) for modality in missing]
    return prediction._replace(note=NOTE_SEPARATOR.join(notes))


def predict_recordings(
    recordings: Sequence[Recording],
    features: Features,
    task: FusionTask,
    batch_size: int = 32,
    modalities: Sequence[str] = MODALITIES,
) -> list[ClipPrediction]:
    """Predict for each recording that can be decoded; the others are logged.

    Predictions are those of a store of these recordings with the same batch size, on the same
    device and in the precision of the task's weights: the same clips share a batch, and pictures
    are scaled on the device. Decoders run in this process: one that crashes ends it.
    ``modalities`` are those that the network reads.

    Raises:
        ValueError: None of the recordings can be decoded.
    """
    predictions: list[ClipPrediction] = []
    stand_in = find_stand_in(task.network)
    decoded = _decode_recordings(recordings, features)
    while found := list(islice(decoded, batch_size)):
        first = len(predictions)
        clips = make_batch([clip for _, clip in found], features, first)
        on_device = clips.map(lambda part: part.to(task.device))
        with _evaluation_mode(task):
            _, values, glimpses = task.predict_step(on_device.with_floats(), 0)

        for index, (recording, clip) in enumerate(found):
            row = first + index
            record = ClipRecord.of(recording, clip, 0, row)
            maps = None if glimpses is None else glimpses[index].cpu()
            known = ClipPrediction(record, row, values[index].cpu(), maps, record.note)
            has = {"face": clip.has_face, "audio": clip.has_audio}
            predictions.append(note_missing(known, has, modalities, stand_in))

    if not predictions:
        raise ValueError("None of the recordings can be used; the log has the reason for each.")
    return predictions


def make_batch(clips: Sequence[ClipFeatures], features: Features, first: int = 0) -> Clips:
    """Make the batch that a store of these clips would give; rows count from ``first``."""
    arrays = features.arrays(len(clips))
    lengths = {name: [1] * len(clips) for name, one in features.streams.items() if one.lengths}
    for index, clip in enumerate(clips):
        for name, values in features.values(clip).items():
            arrays[name][index, : len(values)] = values
            if name in lengths:
                lengths[name][index] = max(1, len(values))

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
            with compute_in_one_thread():
                clip = decode_recording(features, recording)
        except Unreadable as error:
            log.warning("%s cannot be used: %s.", recording.clip_id, error)
        else:
            yield recording, clip


@contextmanager
def _evaluation_mode(task: FusionTask) -> Iterator[None]:
    training = task.training
    task.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        task.train(training)
