"""IEMOCAP: ten actors in scripted and improvised dialogues, in pairs of a woman and a man.

**Layout**, in the folders ``Session1`` to ``Session5`` of IEMOCAP_full_release::

    dialog/EmoEvaluation/Ses01F_impro01.txt          times and labels of a dialogue's utterances
    dialog/avi/DivX/Ses01F_impro01.avi               both people in one picture
    sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav    the sound of one utterance

The letter of an utterance (F000) says who speaks, the letter of the dialogue (Ses01F) whose face is
recorded with markers. That person is in the left half of the picture and the other one in the right
half, so the speaker is seen on the left where the letters are the same. (So does the code of Dai et
al., 2021, https://arxiv.org/abs/2103.09666.) Pictures of an utterance are those of its time and of
the speaker's half.

**Labels** (``label=``): ``emotion_4``: angry, happy (with excited), neutral, sad, 5,531 utterances,
1,085, 1,023, 1,151, 1,031 and 1,241 in the five sessions; ``emotion_6``: excited by itself, and
frustrated, 7,380 utterances; ``dimensions``: activation, dominance and valence from 1 to 5, means
of the evaluators, all 10,039 utterances.

**License**: for research, on request. **Download**: https://sail.usc.edu/iemocap, 18 GB. Busso et
al., 2008, https://doi.org/10.1007/s10579-008-9076-6.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from avfusion.corpora.labels import join_classes
from avfusion.corpora.media import AUDIO_SUFFIXES, VIDEO_SUFFIXES
from avfusion.corpora.published import (
    NO_FILE,
    Faults,
    NamedFile,
    PublishedCorpus,
    Size,
    Take,
    check_choice,
)
from avfusion.corpora.recording import Box, LeftOut, Recording

DIMENSIONS = ("activation", "dominance", "valence")
FOUR_CLASSES = {"ang": "angry", "hap": "happy", "exc": "happy", "neu": "neutral", "sad": "sad"}
SIX_CLASSES = FOUR_CLASSES | {"exc": "excited", "fru": "frustrated"}
CLASSES = {"emotion_4": FOUR_CLASSES, "emotion_6": SIX_CLASSES}  # names by the codes of the tables
NUM_UTTERANCES = {"emotion_4": 5_531, "emotion_6": 7_380, "dimensions": 10_039}
GENDERS = {"F": "female", "M": "male"}
SCENARIOS = {"i": "improvised", "s": "scripted"}
SUBJECTS = [f"Ses{session:02d}{letter}" for session in range(1, 6) for letter in GENDERS]
LEFT_HALF, RIGHT_HALF = Box(0.0, 0.0, 0.5, 1.0), Box(0.5, 0.0, 1.0, 1.0)
UTTERANCE = re.compile(
    r"\[(?P<start>[\d.]+) - (?P<end>[\d.]+)\]\s+(?P<name>Ses\w+_(?P<speaker>[FM])\w{3})\s+"
    r"(?P<emotion>[a-z]{3})\s+"
    r"\[(?P<valence>[\d.]+), (?P<activation>[\d.]+), (?P<dominance>[\d.]+)\]"
)


class Utterance(NamedTuple):
    """A line of a table; ``span`` in seconds, ``numbers`` by dimension."""

    name: str
    speaker: str
    span: tuple[float, float]
    emotion: str
    numbers: Mapping[str, float]


class Iemocap(PublishedCorpus):
    """IEMOCAP; the docstring of this module describes it.

    Args:
        label: ``emotion_4``, ``emotion_6`` or ``dimensions``.
    """

    name = "iemocap"
    title = "IEMOCAP"
    layout = (
        "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt, Session1/dialog/avi/DivX/"
        "Ses01F_impro01.avi and Session1/sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav"
    )
    suffixes = AUDIO_SUFFIXES | VIDEO_SUFFIXES | {".txt"}
    pattern = re.compile(
        r"(?:^|/)EmoEvaluation/(?P<table>Ses\d\d[FM]_(?:impro|script)\w+)\.txt$|\.txt$"
        r"|(?:^|/)(?P<dialogue>Ses\d\d[FM]_(?:impro|script)\w+?)(?:_(?P<turn>[FM]\w{3}))?"
        r"\.(?!txt$)\w+$"
    )

    def __init__(
        self,
        root: str | Sequence[str],
        label: str = "emotion_4",
        modalities: str = "both",
        include_known_bad: bool = False,
        on_error: str = "skip",
    ) -> None:
        super().__init__(root, modalities, include_known_bad, on_error)
        check_choice("label", label, [*NUM_UTTERANCES])
        self.label = label
        self.labels = "single_label" if label in CLASSES else "continuous"

    @property
    def size(self) -> Size:
        """All utterances that have such a label."""
        return Size(NUM_UTTERANCES[self.label], SUBJECTS)

    def read_takes(self, files: Sequence[NamedFile], faults: Faults) -> Iterator[Take | LeftOut]:
        """Label sounds and spans of videos by the tables of their dialogues."""
        tables: dict[str, Path] = {}
        sounds: dict[str, list[Path]] = defaultdict(list)
        videos: dict[str, list[Path]] = defaultdict(list)
        for file in files:
            named = file.name.groupdict()
            if named["table"]:
                tables.setdefault(named["table"], file.path)
            elif named["turn"]:
                sounds[f"{named['dialogue']}_{named['turn']}"].append(file.path)
            elif named["dialogue"] and file.path.suffix.lower() in VIDEO_SUFFIXES:
                videos[named["dialogue"]].append(file.path)

        if not tables and (sounds or videos):
            raise FileNotFoundError(
                f"{faults.location} holds {len(sounds)} sounds and {len(videos)} videos of IEMOCAP "
                "and none of the tables that label them, "
                "Session1/dialog/EmoEvaluation/Ses01F_impro01.txt, ...: name the folder of "
                "Session1, ..., Session5."
            )
        for dialogue, table in tables.items():
            for one in read_utterances(table):
                files_of = {"sound": sounds[one.name], "picture": videos[dialogue]}
                yield from self._describe_utterance(one, table, files_of)

    def _describe_utterance(
        self, one: Utterance, table: Path, files: Mapping[str, Sequence[Path]]
    ) -> Iterator[Take | LeftOut]:
        dialogue = table.stem
        label, numbers = join_classes(DIMENSIONS), tuple(one.numbers[name] for name in DIMENSIONS)
        attributes = {
            "dialogue": dialogue,
            "gender": GENDERS[one.speaker],
            "scenario": SCENARIOS[dialogue.partition("_")[2][0]],
        }
        if self.label in CLASSES:
            label, numbers = CLASSES[self.label].get(one.emotion, ""), ()
        else:
            attributes["emotion"] = one.emotion
        if not label:
            return  # of another emotion, or of none that most evaluators agree on

        session, marked = dialogue[3:5], dialogue[5]
        for kind, paths in files.items():
            for path in paths:
                yield Take(
                    one.name,
                    kind,
                    path,
                    label,
                    subject=f"Ses{session}{one.speaker}",
                    session=f"Session{int(session)}",
                    attributes=attributes,
                    numbers=numbers,
                    span=one.span,
                    region=LEFT_HALF if one.speaker == marked else RIGHT_HALF,
                )
        if not any(files.values()):
            yield LeftOut(one.name, NO_FILE, source=table)

    def list_outputs(self, recordings: Sequence[Recording]) -> list[str]:
        """List the classes, or the dimensions."""
        return super().list_outputs(recordings) if self.label in CLASSES else [*DIMENSIONS]


def read_utterances(table: Path) -> Iterator[Utterance]:
    """Read the utterances of a dialogue out of its table.

    Raises:
        ValueError: where it has none.
    """
    text = table.read_text(encoding="utf-8", errors="replace")
    lines = [*UTTERANCE.finditer(text)]
    if not lines:
        raise ValueError(
            f"{table} has no line such as [6.2901 - 8.2357] Ses01F_impro01_F000 neu [2.5000, "
            "2.5000, 2.5000]: get it anew."
        )
    for line in lines:
        named = line.groupdict()
        span = (float(named["start"]), float(named["end"]))
        numbers = {name: float(named[name]) for name in DIMENSIONS}
        yield Utterance(named["name"], named["speaker"], span, named["emotion"], numbers)
