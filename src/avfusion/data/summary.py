"""What a store holds, or would hold, for people to read."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from avfusion.corpora import SPLITS, Contents, Corpus
from avfusion.corpora.labels import classes_of
from avfusion.corpora.recording import listed
from avfusion.corpora.spelling import canonical
from avfusion.data.prepare import Preparation, pace_file
from avfusion.data.store import Store
from avfusion.data.work import Pace
from avfusion.features import Features
from avfusion.features.mfcc import SAMPLE_RATE

MOST_CLASSES = 40  # rows of the table
# Of the clips that are kept: their sounds as recorded, and what the settings keep of them.
HOURS = (("hours of sound", "seconds", 1), ("hours kept", "samples", SAMPLE_RATE))


def summary(path: Path, already_there: bool = False) -> str:
    """Say what a store holds, what was left out, and how to train on it.

    Of one that was ``already_there`` no speed is told: nothing was decoded this time.
    """
    store = Store(path)
    description, skipped = store.description, store.description["skipped"]
    state = " is already there" if already_there else ""
    lines = [f"{path}{state}: {len(store)} clips of {description['corpus']}"]
    lines += table(store.index, description["class_names"], store.multilabel)
    if not already_there:
        lines += paces(path, len(store) + sum(skipped.values()))
    if skipped:
        counts = ", ".join(f"{reason} ({count})" for reason, count in skipped.items())
        lines.append(
            f"Skipped {sum(skipped.values())}: {counts}. Each is listed in {path}/report.csv."
        )
    if description["shared_subjects"] is None:
        lines.append("Nothing says who is in which clip: that splits share nobody is unknown.")
    elif description["shared_subjects"]:
        count = len(description["shared_subjects"])
        lines.append(f"{count} subjects are in several splits; every result will record it.")
    for name, found in description["leaks"].items():
        if found:
            lines.append(f"{name} ({len(found)}), which every result records: {listed(found)}")
    maps = description.get("face_map")
    if maps is not None:
        lines.append(
            f"Face maps of {maps['channels']} channels, by the encoder of {maps['weights']}."
        )
    return "\n".join([*lines, *next_command(path, description)])


def next_command(path: Path, description: Mapping[str, Any]) -> list[str]:
    """Return what a store can be used for, and the command."""
    if not description["clips"]["train"]:
        command = f"eval.py ckpt_path=<run> data=store data.store={path}"
        return ["Test on it with:", f"  python src/{command}"]
    lines = ["Train on it with:", f"  python src/train.py data=store data.store={path}"]
    if description.get("multilabel"):
        lines[1] += " loss=bce"
    if "face_map" in description:
        lines[1] += " model/face_encoder=stored data.augmentation.face=null"
    return lines


def paces(path: Path, clips: int) -> list[str]:
    """Return a line about the time that the preparation took, where it was made here."""
    if not pace_file(path).exists():
        return []
    pace = Pace(*json.loads(pace_file(path).read_text(encoding="utf-8")))
    rate = f"{pace.clips / pace.seconds:.1f} clips/s"
    part = "" if pace.clips == clips else f" (of {clips}: the others before an interruption)"
    return [f"{rate}: {pace.clips} clips{part} in {pace.seconds:.1f} s."]


def preview(corpus: Corpus, features: Features, stores: str | Path, limit: int | None) -> str:
    """Say what a preparation would do; nothing is decoded or written."""
    plan = Preparation(corpus, features, stores, limit)
    contents, root = plan.contents, plan.root
    clip_bytes = sum(array.nbytes for array in features.arrays(1).values())
    size = len(contents.recordings) * clip_bytes / 1e9
    maps = " and face maps" if features.maps is not None else ""
    state = "is already there" if plan.is_done else "would be written"
    if not plan.is_done and Path(f"{root}.parts").exists():
        state = f"is begun, {written_before(root)} clips at least; it would be gone on with"
    lines = [
        f"{root} {state}: {len(contents.recordings)} clips of {corpus.name}, {size:.2f} GB{maps}"
    ]
    return "\n".join(lines + table(rows(contents), contents.class_names, contents.multilabel))


def written_before(root: Path) -> int:
    """Return how many clips an interrupted preparation has written."""
    journals = Path(f"{root}.parts").glob("*_*.json")
    return sum(journal.read_text(encoding="utf-8").count('"reason"') for journal in journals)


def rows(contents: Contents) -> list[dict[str, str]]:
    """Return what a table needs of contents."""
    return [
        {"split": clip.split, "label": clip.label, "subject": clip.subject}
        for clip in contents.recordings
    ]


def table(
    clips: Sequence[Mapping[str, Any]], class_names: Sequence[str], multilabel: bool = False
) -> list[str]:
    """Return the lines of a table of clips, hours, subjects and classes by split."""
    by_split = {split: [clip for clip in clips if clip["split"] == split] for split in SPLITS}
    lines = [("", *SPLITS), ("clips", *(str(len(some)) for some in by_split.values()))]
    for name, column, rate in HOURS:
        if clips and column in clips[0]:
            hours = [sum(float(clip[column]) for clip in some) for some in by_split.values()]
            lines.append((name, *(f"{units / rate / 3600:.2f}" for units in hours)))
    subjects = [
        len({canonical(clip["subject"]) for clip in some} - {""}) for some in by_split.values()
    ]
    lines.append(("subjects", *map(str, subjects)))
    labels = [
        Counter(name for clip in some for name in classes_of(clip["label"], multilabel))
        for some in by_split.values()
    ]
    for name in class_names[:MOST_CLASSES]:
        lines.append((f"  {name}", *(str(count[name]) for count in labels)))
    width = max(len(line[0]) for line in lines) + 2
    text = [line[0].ljust(width) + "".join(cell.rjust(8) for cell in line[1:]) for line in lines]
    more = len(class_names) - MOST_CLASSES
    return [*text, f"  and {more} more classes"] if more > 0 else text
