"""What a network was trained on: where it is tested on that again, a score shows memory."""

import hashlib
import logging
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from avfusion.corpora.recording import listed
from avfusion.corpora.spelling import canonical
from avfusion.data.store import Store

log = logging.getLogger(__name__)
Digests = Mapping[str, str]  # of subjects and of recordings, each joined by blanks
WHAT = {"subjects": "subjects", "recordings": "clips whose sound or picture"}


def trained_on(store: Store) -> dict[str, str]:
    """Return the digests of the training split: of equal length, and without anybody's name."""
    clips = [clip for clip in store.index if clip["split"] == "train"]
    return {
        "subjects": joined(of_subject(clip["subject"]) for clip in clips if clip["subject"]),
        "recordings": joined(digest for clip in clips for digest in of_recording(clip)),
    }


def joined(digests: Iterable[str]) -> str:
    """Return digests in order, each once, as one string: a list would be slow to check and load."""
    return " ".join(sorted(set(digests)))


def together(one: Digests, other: Digests) -> dict[str, str]:
    """Return the digests of two trainings, one of which went on from the other."""
    return {kind: joined(f"{one[kind]} {other.get(kind, '')}".split()) for kind in one}


def of_subject(name: str) -> str:
    """Return sixteen digits for a subject, the same for all spellings that look alike."""
    return hashlib.sha256(canonical(name).encode()).hexdigest()[:16]


def of_recording(clip: Mapping[str, str]) -> list[str]:
    """Return the digests of a clip's picture and sound, where it has them."""
    return [digest for digest in (clip["face_digest"], clip["audio_digest"]) if digest]


def find_seen(digests: Digests, store: Store, splits: Collection[str]) -> dict[str, list[str]]:
    """Return the subjects of some splits, and the ids of their clips, that were trained on."""
    known = {kind: set(text.split()) for kind, text in digests.items()}
    clips = [clip for clip in store.index if clip["split"] in splits]
    subjects = {
        canonical(clip["subject"]): clip["subject"]
        for clip in reversed(clips)  # the first spelling stays
        if of_subject(clip["subject"]) in known["subjects"]
    }
    recordings = [c["clip_id"] for c in clips if known["recordings"].intersection(of_recording(c))]
    return {
        "subjects_seen_in_training": sorted(subjects.values()),
        "recordings_seen_in_training": recordings,
    }


def check_seen(
    file: Path,
    recipe: Mapping[str, Any],
    store: Store,
    splits: Collection[str],
    allowed: Collection[str],
) -> dict[str, list[str]]:
    """Return what a checkpoint was trained on of splits, or refuse it where it is not allowed.

    Within its own store it is that store which keeps the promise.
    """
    if recipe["description"].get("checksums") == store.description["checksums"]:
        return {}
    if "trained_on" not in recipe:
        log.warning("%s does not say what it was trained on: some of it may be tested on.", file)
        return {}
    seen = find_seen(recipe["trained_on"], store, splits)
    for name, found in seen.items():
        if found and name not in allowed:
            raise ValueError(
                f"{file} was trained on {len(found)} {WHAT[name.partition('_')[0]]} of the "
                f"{' and '.join(splits)} split of {store.root} ({listed(found)}), so a test would "
                f"score memory: choose other clips, or set allow_{name}=true (such as where other "
                "people have the same names), which every result then records."
            )
    return seen
