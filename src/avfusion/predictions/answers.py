"""What a network answers for each clip of a store."""

import csv
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from jaxtyping import Float
from torch import Tensor

from avfusion.data.record import ClipRecord
from avfusion.data.store import Store
from avfusion.features.stream import MODALITIES


class Answer(NamedTuple):
    """The probabilities of a clip, with its record and row, and where the network looked.

    They are None where the clip has nothing that the network reads: it would answer the same for
    each of them.
    """

    clip: ClipRecord
    row: int
    probabilities: Float[Tensor, "classes"] | None
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
    for rows, probabilities, glimpses in batches:
        for place, row in enumerate(rows.tolist()):
            clip = next(clips)
            looks = None if glimpses is None else glimpses[place]
            answer = Answer(clip, row, probabilities[place], looks, notes[clip.clip_id])
            if not any(there[modality][row] for modality in modalities):
                note = f"not answered{only}: {answer.note}"
                answer = answer._replace(probabilities=None, note=note)
            answers.append(answer)
    return answers
