"""MELD: utterances of the series Friends, in dialogues of several speakers.

**Layout**, as MELD.Raw.tar.gz and the three archives in it unpack, in any folders::

    train_splits/dia0_utt0.mp4, dev_splits_complete/..., output_repeated_splits_test/...
    train_sent_emo.csv, dev_sent_emo.csv, test_sent_emo.csv

Dialogues are counted anew in each split, so that the split is part of a clip's id, as in
``train_dia0_utt0``.

**Labels**: the tables name the emotion (anger, disgust, fear, joy, neutral, sadness, surprise) and
the sentiment (negative, neutral, positive) of each utterance, and its speaker.

**Clips**: 13,708 utterances, of which 9,989 are for training, 1,109 (dev) for validation and 2,610
for the test. Videos that no table names count for nothing, as the authors advise for
``final_videos_test...`` (https://github.com/declare-lab/MELD/issues/22). Of four clips the videos
are missing, damaged or cut at the wrong times; they are left out.

**The official splits share speakers**: the six friends speak in 95.8 % of the test. They measure
how well emotions of known people are recognized, and every result says so.

**License**: GPL-3.0 for the annotations, the series is Warner Bros'. **Download**: MELD.Raw.tar.gz,
10.9 GB, linked from https://affective-meld.github.io. Poria et al., 2019,
https://doi.org/10.18653/v1/P19-1050.
"""

import csv
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from avfusion.corpora.media import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from avfusion.corpora.published import (
    NO_FILE,
    Faults,
    KnownDefect,
    NamedFile,
    PublishedCorpus,
    Take,
    check_choice,
    find_media_kind,
)
from avfusion.corpora.recording import LeftOut
from avfusion.messages import join_items, pluralize

CLASSES = {
    "emotion": ("anger", "disgust", "fear", "joy", "neutral", "sadness", "surprise"),
    "sentiment": ("negative", "neutral", "positive"),
}
COLUMNS = ("Emotion", "Sentiment", "Speaker", "Dialogue_ID", "Utterance_ID", "Season", "Episode")
SPLITS = {"train": "train", "dev": "val", "test": "test"}  # by the first word of a table's name
ISSUES = "https://github.com/declare-lab/MELD/issues"

Row = Mapping[str, str]  # cells by column


class Meld(PublishedCorpus):
    """MELD; the docstring of this module describes it.

    Args:
        label: ``emotion`` or ``sentiment``; the other one is an attribute.
    """

    name = "meld"
    title = "MELD"
    layout = "train_splits/dia0_utt0.mp4 and train_sent_emo.csv"
    suffixes = AUDIO_SUFFIXES | VIDEO_SUFFIXES | {".csv"}
    pattern = re.compile(
        r"(?:^|/)(?P<table>train|dev|test)_sent_emo\.csv$|\.csv$"
        r"|(?:^|/)(?P<folder>train|dev|test)(?:_splits\w*)?/(?P<stem>dia\d+_utt\d+)\.\w+$"
        r"|(?:^|/)output_repeated_splits_test/(?P<test>dia\d+_utt\d+)\.\w+$"
        r"|(?:^|/)final_videos_test\w+\.\w+$"
    )
    known_bad: Mapping[str, KnownDefect] = {
        "train_dia125_utt3": KnownDefect("damaged", f"{ISSUES}/39"),
        "dev_dia110_utt7": KnownDefect("missing in the archive", f"{ISSUES}/22"),
        "test_dia38_utt4": KnownDefect("cut at the wrong times", f"305 s, {ISSUES}/20"),
        "test_dia220_utt0": KnownDefect("cut at the wrong times", f"235 s, {ISSUES}/20"),
    }
    allowed_leaks = ("subject_overlap",)

    def __init__(
        self,
        root: str | Sequence[str],
        label: str = "emotion",
        modalities: str = "both",
        include_known_bad: bool = False,
        on_error: str = "skip",
    ) -> None:
        super().__init__(root, modalities, include_known_bad, on_error)
        check_choice("label", label, [*CLASSES])
        self.label = label
        self.class_names = CLASSES[label]

    def read_takes(self, files: Sequence[NamedFile], faults: Faults) -> Iterator[Take | LeftOut]:
        """Label the videos that the tables name."""
        tables: dict[str, Path] = {}
        videos: dict[str, list[Path]] = defaultdict(list)
        for file in files:
            named = file.name.groupdict()
            if named["table"]:
                tables.setdefault(named["table"], file.path)
            elif stem := named["stem"] or named["test"]:
                videos[f"{named['folder'] or 'test'}_{stem}"].append(file.path)
        self._check_tables(tables, videos, faults)

        for table in [name for name in SPLITS if name in tables]:
            for row in read_table(tables[table]):
                clip_id = f"{table}_dia{row['Dialogue_ID']}_utt{row['Utterance_ID']}"
                if clip_id not in videos:
                    bad = self.known_bad.get(clip_id, KnownDefect(NO_FILE, ""))
                    yield LeftOut(clip_id, bad.reason, bad.source, tables[table])
                for path in videos[clip_id]:
                    yield self._describe_row(clip_id, row, path, tables[table])

    def _check_tables(
        self, tables: Mapping[str, Path], videos: Mapping[str, Sequence[Path]], faults: Faults
    ) -> None:
        unlabeled = Counter(clip_id.partition("_")[0] for clip_id in videos)
        missing = [
            f"{name}_sent_emo.csv for {pluralize(unlabeled[name], 'video')}"
            for name in unlabeled
            if name not in tables
        ]
        if missing:
            sentence = (
                f"{faults.location} lacks {' and '.join(missing)}: put the tables of MELD beside "
                "them, or name their folder, too, as in corpus.root=[<videos>,<tables>]."
            )
            if not tables:
                raise FileNotFoundError(sentence)
            faults.sentences.append(sentence)

    def _describe_row(self, clip_id: str, row: Row, path: Path, table: Path) -> Take:
        labels = {name: row[name.capitalize()].strip().lower() for name in CLASSES}
        label = labels.pop(self.label)
        if label not in self.class_names:
            raise ValueError(
                f"{table} labels {clip_id} with the {self.label} {label!r}, expected one of "
                f"{join_items(self.class_names)}: get the table anew."
            )

        table_name, dialogue, _ = clip_id.split("_")
        return Take(
            clip_id,
            find_media_kind(path),
            path,
            label,
            subject=row["Speaker"].strip(),
            session=f"s{int(row['Season']):02d}e{int(row['Episode']):02d}",
            split=SPLITS[table_name],
            attributes={"dialogue": f"{table_name}_{dialogue}", **labels},
        )


def read_table(path: Path) -> list[Row]:
    """Read the rows of a table; letters of its sentences that are not UTF-8 do not matter."""
    with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
        reader = csv.DictReader(file)
        columns = reader.fieldnames or []
        if missing := [name for name in COLUMNS if name not in columns]:
            raise ValueError(
                f"{path} has no column {join_items(missing)}, it has {join_items(columns, 20)}: "
                "get it anew from https://github.com/declare-lab/MELD."
            )
        return list(reader)
