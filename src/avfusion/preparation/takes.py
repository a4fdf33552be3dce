"""Takes with clips in several splits, such as the face in one and the voice in another."""

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePath
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from avfusion.corpora.recording import SPLITS
from avfusion.corpora.spelling import normalize_name
from avfusion.corpora.table import TAKE_COLUMN
from avfusion.data.splits import LEFT_OUT, Splits
from avfusion.data.store import Store

# Seven numbers of RAVDESS, of which the first one is the modality.
RAVDESS_NAME = re.compile(r"\d\d((?:-\d\d){6})")
MODALITY_WORDS = frozenset(
    "audio voice voices sound sounds speech wav video videos face faces picture pictures image "
    "images frames visual".split()
)
Key = tuple[str, ...]


class _Clip(NamedTuple):
    """A clip in a split, with what identifies its take."""

    clip_id: str
    split: str
    has_face: bool
    subject: str
    label: str
    source: str


def find_split_takes(store: Store, splits: Splits) -> list[str]:
    """Name the clips of each take that is in more than one split.

    Clips are of one take where the column ``attribute.take`` says so, of one subject. Without it, a
    clip of a face alone and one of a voice alone are, where subject and label are the same and
    where their ids, or the names of their files, are: but for words for a modality, or the number
    that stands for it in RAVDESS, ``02-01-06-01-02-01-12`` and ``03-01-06-01-02-01-12``. A name
    that several faces, or several voices, of the subject have identifies no take.
    """
    used = splits.numbers != LEFT_OUT
    known = np.zeros(len(store), bool)
    groups: dict[Key, dict[str, str]] = defaultdict(dict)
    if TAKE_COLUMN in store.index.names:
        takes = [normalize_name(name or "") for name in store.texts(TAKE_COLUMN)]
        subjects = [normalize_name(name or "") for name in store.texts("subject")]
        known = np.array(takes, bool) & np.array(subjects, bool)
        ids = store.texts("clip_id")
        for row in np.flatnonzero(known & used).tolist():
            key = ("take", subjects[row], takes[row])
            groups[key][str(ids[row])] = SPLITS[splits.numbers[row]]

    halves = list(_read_halves(store, splits, used & ~known))
    for tell in (_name_take_by_id, _name_take_by_file):
        sides: dict[Key, dict[bool, list[_Clip]]] = defaultdict(lambda: {True: [], False: []})
        for clip in halves:
            if name := tell(clip):
                sides[clip.subject, clip.label, name][clip.has_face].append(clip)
        for half, both in sides.items():
            if len(both[True]) == len(both[False]) == 1:
                groups[half] |= {clip.clip_id: clip.split for clip in both[True] + both[False]}

    named = (
        " = ".join(f"{clip} ({split})" for clip, split in clips.items())
        for clips in groups.values()
        if len({*clips.values()}) > 1
    )
    return list(dict.fromkeys(named))


def _read_halves(
    store: Store, splits: Splits, selected: Bool[np.ndarray, "clips"]
) -> Iterable[_Clip]:
    """Read the clips with one modality, of subjects that are known, where there are both kinds."""
    has_face, has_audio = (store.column(name).astype(bool) for name in ("has_face", "has_audio"))
    faces, voices = selected & has_face & ~has_audio, selected & has_audio & ~has_face
    if not (faces.any() and voices.any()):
        return
    rows = np.flatnonzero(faces | voices)
    columns = store.columns("clip_id", "subject", "label", "face_source", "audio_source")
    for row, clip in zip(rows.tolist(), columns.take(rows).to_pylist(), strict=True):
        if subject := normalize_name(clip["subject"]):
            source = clip["face_source"] or clip["audio_source"] or ""
            split = SPLITS[splits.numbers[row]]
            yield _Clip(clip["clip_id"], split, bool(faces[row]), subject, clip["label"], source)


def _name_take_by_id(clip: _Clip) -> str:
    return strip_modality(clip.clip_id)


def _name_take_by_file(clip: _Clip) -> str:
    return strip_modality(PurePath(clip.source).stem)


def strip_modality(name: str) -> str:
    """Strip what says which modality it is of from a name; empty where nothing else is left."""
    if found := RAVDESS_NAME.fullmatch(name):
        return found[1]
    words = re.findall(r"[^\W_]+", name.casefold())
    return " ".join(word for word in words if word not in MODALITY_WORDS)
