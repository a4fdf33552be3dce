"""VoxCeleb1: voices of 1,251 celebrities in videos of YouTube, for speaker identification.

**Layout**, as the archives unpack, in one folder or in several (``vox1_dev_wav``,
``vox1_test_wav``): ``wav/id10001/1zcIwhmdeo4/00001.wav``, which are speaker, video and utterance;
beside them ``iden_split.txt``, the list of the identification task, and ``vox1_meta.csv``, gender
and nationality of the speakers, if it is there.

**Labels**: the speaker.

**Clips**: 153,516 utterances. The list assigns 138,361 of them to training (1), 6,904 to validation
(2) and 8,251 to the test (3). Speakers are the classes, so that all splits share them; that is in
the nature of identification, and every result says it.

**License**: CC BY 4.0 for the annotations. **Download**:
https://www.robots.ox.ac.uk/~vgg/data/voxceleb/vox1.html, 39 GB, and the list from
https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta/iden_split.txt. Only sounds are published.
Nagrani et al., 2017, https://doi.org/10.21437/Interspeech.2017-950.
"""

import csv
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from avfusion.corpora.media import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from avfusion.corpora.published import (
    Faults,
    NamedFile,
    PublishedCorpus,
    Size,
    Take,
    find_media_kind,
)
from avfusion.corpora.recording import SPLITS
from avfusion.messages import join_items, pluralize

LIST, META = "iden_split.txt", "vox1_meta.csv"
LIST_ADDRESS = "https://www.robots.ox.ac.uk/~vgg/data/voxceleb/meta/iden_split.txt"
LIST_LINE = re.compile(r"(?P<split>[123])\s+(?P<clip>id1\d{4}/\S+/\d{5})\.\w+")
GENDERS = {"f": "female", "m": "male"}


class Voxceleb1(PublishedCorpus):
    """VoxCeleb1, the identification task; the docstring of this module describes it."""

    name = "voxceleb1"
    title = "VoxCeleb1"
    layout = "wav/id10001/1zcIwhmdeo4/00001.wav and iden_split.txt"
    suffixes = AUDIO_SUFFIXES | VIDEO_SUFFIXES | {".csv", ".txt"}
    pattern = re.compile(
        r"(?:^|/)(?P<clip>(?P<speaker>id1\d{4})/(?P<video>[^/]+)/\d{5})\.(?!txt$)\w+$"
        r"|(?:^|/)(?P<table>iden_split\.txt|vox1_meta\.csv)$|\.csv$|\.txt$"
    )
    size = Size(splits={"train": 138_361, "val": 6_904, "test": 8_251})
    allowed_leaks = ("subject_overlap",)

    def __init__(
        self,
        root: str | Sequence[str],
        modalities: str = "audio",
        include_known_bad: bool = False,
        on_error: str = "skip",
    ) -> None:
        super().__init__(root, modalities, include_known_bad, on_error)

    def find_problem(self, path: Path) -> str:
        """Leave the files alone: checking each of 150,000 takes minutes on a network drive."""
        return ""

    def read_takes(self, files: Sequence[NamedFile], faults: Faults) -> Iterator[Take]:
        """Assign the files that the list names to its splits."""
        tables = {file.name["table"]: file.path for file in files if file.name["table"]}
        for root in self.roots:  # they may lie beside the folder of the sounds
            for name in (LIST, META):
                if (root.parent / name).is_file():
                    tables.setdefault(name, root.parent / name)
        sounds = [file for file in files if file.name["clip"]]
        if sounds and LIST not in tables:
            raise FileNotFoundError(
                f"{faults.location} holds {pluralize(len(sounds), 'file')} of VoxCeleb1 and no "
                f"{LIST}, which says what they are for: put it there, from {LIST_ADDRESS}."
            )

        splits = read_splits(tables[LIST]) if LIST in tables else {}
        people = read_people(tables[META]) if META in tables else {}
        unlisted = []
        for file in sounds:
            clip_id, speaker, video = file.name.group("clip", "speaker", "video")
            if clip_id not in splits:
                unlisted.append(file.text)
                continue
            yield Take(
                clip_id,
                find_media_kind(file.path),
                file.path,
                label=speaker,
                subject=speaker,
                session=video,
                split=splits[clip_id],
                attributes=people.get(speaker, {}),
            )
        if unlisted:
            verb = "is" if len(unlisted) == 1 else "are"
            faults.sentences.append(
                f"{pluralize(len(unlisted), 'file')} of VoxCeleb1 {verb} not in {tables[LIST]} and "
                f"count for nothing: {join_items(unlisted, 3)}."
            )


def read_splits(path: Path) -> dict[str, str]:
    """Read which split each clip of the list is assigned to."""
    splits = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        match = LIST_LINE.fullmatch(line.strip())
        if not match:
            raise ValueError(
                f"Line {number} of {path} is {line[:80]!r}, expected one such as 1 "
                f"id10001/1zcIwhmdeo4/00001.wav: get the list anew from {LIST_ADDRESS}."
            )
        splits[match["clip"]] = SPLITS[int(match["split"]) - 1]
    return splits


def read_people(path: Path) -> dict[str, dict[str, str]]:
    """Read gender and nationality of each speaker."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return {
        row["VoxCeleb1 ID"]: {
            "gender": GENDERS.get(row["Gender"], row["Gender"]),
            "nationality": row["Nationality"],
        }
        for row in rows
    }
