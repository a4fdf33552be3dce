"""Inference: predictions of a network for the clips of a store, and for recordings directly."""

import csv
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
from avfusion.preparation.shards import decode
from avfusion.training.task import FusionTask


class Answer(NamedTuple):
    """The prediction of a clip, with its record and row, and where the network looked.

    It is what the target makes of the outputs: probabilities of classes, or numbers. It is None
    where the clip has nothing that the network reads: it would answer the same for all of these.
    """

    clip: ClipRecord
    row: int
    prediction: Float[Tensor, "outputs"] | None
    glimpses: Float[Tensor, "glimpses pictures rows columns"] | None = None
    note: str = ""


def collect_answers(
    store: Store, batches: Iterable[Any], modalities: Sequence[str] = MODALITIES
) -> list[Answer]:
    """Return an answer for each clip, in the order of the store; ``modalities`` were read."""
    with (store.root / "report.csv").open(newline="", encoding="utf-8") as file:
        notes = {row["clip_id"]: row["reason"] for row in csv.DictReader(file)}
    only = f", the network takes only the {modalities[0]}" if len(modalities) == 1 else ""
    there = {"face": store.has_face, "audio": store.has_audio}
    batches = list(batches)
    clips = iter(store.records([row for rows, *_ in batches for row in rows.tolist()]))
    answers = []
    for rows, predictions, glimpses in batches:
        for place, row in enumerate(rows.tolist()):
            clip = next(clips)
            looks = None if glimpses is None else glimpses[place]
            answer = Answer(clip, row, predictions[place], looks, notes[clip.clip_id])
            if not any(there[modality][row] for modality in modalities):
                note = f"not answered{only}: {answer.note}"
                answer = answer._replace(prediction=None, note=note)
            answers.append(answer)
    return answers


log = logging.getLogger(__name__)


def answer_recordings(
    recordings: Sequence[Recording],
    features: Features,
    task: FusionTask,
    batch_size: int = 32,
) -> list[Answer]:
    """Return an answer for each recording that can be decoded; the others are logged.

    They are what a store of these recordings would give with the same batch size, on the same
    device and in the precision of the task's weights: the same clips share a batch, and pictures
    are divided on the device. Decoders run in this process: one that crashes ends it.

    Raises:
        ValueError: where none of them can be decoded.
    """
    answers: list[Answer] = []
    decoded = _decoded(recordings, features)
    while found := list(islice(decoded, batch_size)):
        first = len(answers)
        clips = batch_clips([clip for _, clip in found], features, first)
        on_device = clips.map(lambda part: part.to(task.device))
        with _evaluating(task):
            _, predictions, glimpses = task.predict_step(on_device.with_floats(), 0)
        for place, (recording, clip) in enumerate(found):
            record = ClipRecord.of(recording, clip, 0, first + place)
            looks = None if glimpses is None else glimpses[place].cpu()
            prediction = predictions[place].cpu()
            answers.append(Answer(record, first + place, prediction, looks, record.note))
    if not answers:
        raise ValueError("None of the recordings can be used; the log says why of each.")
    return answers


def batch_clips(clips: Sequence[ClipFeatures], features: Features, first: int = 0) -> Clips:
    """Return the batch that a store of these clips would give; rows count from ``first``."""
    arrays = features.arrays(len(clips))
    lengths = {name: [1] * len(clips) for name, one in features.streams.items() if one.lengths}
    for place, clip in enumerate(clips):
        for name, values in features.values(clip).items():
            arrays[name][place, : len(values)] = values
            if name in lengths:
                lengths[name][place] = max(1, len(values))
    boxes = [clip.box or [float("nan")] * 4 for clip in clips]
    # Channels of pictures stay last in memory, as convolutions like them.
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


def _decoded(
    recordings: Sequence[Recording], features: Features
) -> Iterator[tuple[Recording, ClipFeatures]]:
    for recording in recordings:
        try:
            with _one_thread():
                clip = decode(features, recording)
        except Unreadable as error:
            log.warning("%s cannot be used: %s.", recording.clip_id, error)
        else:
            yield recording, clip


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute as in preparation: more threads would change the last bits."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@contextmanager
def _evaluating(task: FusionTask) -> Iterator[None]:
    """Let a network answer, not learn, for a while."""
    training = task.training
    task.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        task.train(training)
