"""CREMA-D: 91 actors say twelve sentences in six emotions, rated by a crowd.

**Layout**, a clone of the publisher's repository: ``VideoFlash/1001_IEO_HAP_HI.flv`` (pictures and
sound), ``AudioWAV/1001_IEO_HAP_HI.wav``, and the same sound as ``AudioMP3``; ``VideoMP4`` is a
folder that others have made. The parts of a name are actor, sentence, emotion and level (``LO``,
``MD``, ``HI``, ``XX`` unspecified). A clone without git-LFS has pointers in the place of all media.

**Labels**: angry, disgust, fear, happy, neutral, sad; the emotion that was *intended*, or what the
crowd perceived most often in the ``voice``, in the ``face``, or in ``both``, from
``processedResults/summaryTable.csv``. The crowd agrees with the intent in 41.6 %, 66.3 % and 72.2 %
of the clips, so a score has to say which label it is of. Votes may be tied, as in ``A:D``.
``VideoDemographics.csv`` gives sex and age of the actors.

**Clips**: 7,442, in FLV of 480 x 360 pixels at 29.97 a second. Four are known to be bad
(https://github.com/CheyneyComputerScience/CREMA-D/issues/8) and left out, which leaves 7,438.

**License**: Open Database License. **Download**: ``git lfs clone
https://github.com/CheyneyComputerScience/CREMA-D``. Cao et al., 2014,
https://doi.org/10.1109/TAFFC.2014.2336244.
"""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from avfusion.corpora.published import (
    Faults,
    KnownDefect,
    NamedFile,
    PublishedCorpus,
    Size,
    Take,
    check_choice,
    find_media_kind,
)
from avfusion.corpora.recording import LeftOut
from avfusion.corpora.table import read_filled_rows

EMOTIONS = {
    "ANG": "angry",
    "DIS": "disgust",
    "FEA": "fear",
    "HAP": "happy",
    "NEU": "neutral",
    "SAD": "sad",
}
VOTED_EMOTIONS = {code[0]: name for code, name in EMOTIONS.items()}
SENTENCES = "DFA IEO IOM ITH ITS IWL IWW MTI TAI TIE TSI WSI".split()
LEVELS = {"LO": "low", "MD": "medium", "HI": "high", "XX": "unspecified", "X": "unspecified"}
ACTORS = [str(number) for number in range(1001, 1092)]
VOTE_COLUMNS = {"voice": "VoiceVote", "face": "FaceVote", "both": "MultiModalVote"}
VOTES, DEMOGRAPHICS = "processedResults/summaryTable.csv", "VideoDemographics.csv"
ISSUE_ADDRESS = "https://github.com/CheyneyComputerScience/CREMA-D/issues/8"
TIED_REASON = "tied votes"


class CremaD(PublishedCorpus):
    """CREMA-D; the docstring of this module describes it.

    Args:
        label: ``intended``, or what the crowd perceived in the ``voice``, the ``face`` or ``both``.
        ties: ``leave_out``, or ``intended``: of several emotions with as many votes the intended
            one, if it is among them.
    """

    name = "crema_d"
    title = "CREMA-D"
    layout = "VideoFlash/1001_IEO_HAP_HI.flv"
    pattern = re.compile(r"(?:^|/)(\d{4})_([A-Z]{3})_([A-Z]{3})_([A-Z]{1,2})\.\w+$")
    class_names = tuple(EMOTIONS.values())
    known_bad: Mapping[str, KnownDefect] = {
        "1076_MTI_SAD_XX": KnownDefect("no sound and no face", ISSUE_ADDRESS),
        "1076_MTI_NEU_XX": KnownDefect("no sound", ISSUE_ADDRESS),
        "1064_TIE_SAD_XX": KnownDefect("no duration", ISSUE_ADDRESS),
        "1064_IEO_DIS_MD": KnownDefect("a minute of several emotions", ISSUE_ADDRESS),
    }

    def __init__(
        self,
        root: str | Sequence[str],
        label: str = "intended",
        ties: str = "leave_out",
        modalities: str = "both",
        include_known_bad: bool = False,
        on_error: str = "skip",
    ) -> None:
        super().__init__(root, modalities, include_known_bad, on_error)
        check_choice("label", label, ("intended", *VOTE_COLUMNS))
        check_choice("ties", ties, ("leave_out", "intended"))
        self.label = label
        self.ties = ties
        self.votes: dict[str, str] = {}
        self.actors: dict[str, dict[str, str]] = {}

    @property
    def size(self) -> Size:
        """7,442 clips of 91 actors."""
        return Size(7442, ACTORS)

    def read_takes(self, files: Sequence[NamedFile], faults: Faults) -> Iterator[Take | LeftOut]:
        """Read the tables, then the names; of two files of a sound, the one that is not MP3."""
        if table := self._find_table(DEMOGRAPHICS):
            self.actors = {row["ActorID"]: row for row in read_table(table, ("ActorID", "Sex"))}
        if self.label != "intended":
            self.votes = self._read_votes()
        ordered = sorted(files, key=lambda file: file.path.suffix.lower() == ".mp3")
        yield from super().read_takes(ordered, faults)

    def describe(self, file: NamedFile) -> Take | LeftOut:
        """Read the four parts of a name, and the ratings of the crowd."""
        actor, sentence, emotion, level = file.name.groups()
        codes = {
            "actor": (actor, ACTORS),
            "sentence": (sentence, SENTENCES),
            "emotion": (emotion, EMOTIONS),
            "level": (level, LEVELS),
        }
        for part, (code, known) in codes.items():
            if code not in known:
                raise ValueError(f"{part} {code}")
        clip_id = f"{actor}_{sentence}_{emotion}_{'XX' if level == 'X' else level}"
        label = EMOTIONS[emotion]
        if self.label != "intended":
            voted = self.votes.get(clip_id)
            if not voted:
                return LeftOut(clip_id, "no votes", source=file.path)
            if len(voted) == 1:
                label = VOTED_EMOTIONS[voted]
            elif self.ties == "leave_out" or emotion[0] not in voted:
                return LeftOut(clip_id, TIED_REASON, ":".join(voted), file.path)

        details = self.actors.get(actor, {})
        return Take(
            clip_id=clip_id,
            kind=find_media_kind(file.path),
            path=file.path,
            label=label,
            subject=actor,
            attributes={
                "age": details.get("Age", ""),
                "gender": details.get("Sex", "").lower(),
                "intended": EMOTIONS[emotion],
                "level": LEVELS[level],
                "sentence": sentence,
            },
        )

    def _read_votes(self) -> dict[str, str]:
        """Letters of the emotions that most of the crowd perceived, by clip."""
        table, column = self._find_table(VOTES), VOTE_COLUMNS[self.label]
        if table is None:
            raise FileNotFoundError(
                f"corpus.label={self.label} needs {VOTES} of {self.title}, and it is not in "
                f"{self.roots[0]}: put it there, or set corpus.label=intended."
            )
        return {
            row["FileName"]: "".join(letter for letter in row[column] if letter in VOTED_EMOTIONS)
            for row in read_table(table, ("FileName", column))
        }

    def _find_table(self, name: str) -> Path | None:
        """Find a table in a root or in the two folders above, in its own folder or not."""
        folders = [folder for root in self.roots for folder in (root, *root.parents[:2])]
        paths = [folder / part for folder in folders for part in (name, Path(name).name)]
        return next((path for path in paths if path.is_file()), None)


def read_table(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """Read the rows of a table of the publisher, which must have some columns.

    Raises:
        ValueError: where it has not, such as a pointer of git-LFS.
    """
    with path.open(newline="", encoding="utf-8-sig") as file:
        try:
            lines = [cells for _, cells in read_filled_rows(file)]
        except (csv.Error, UnicodeDecodeError) as error:
            raise ValueError(f"{path} is no table ({error}): download it anew.") from error
    header, *rows = lines or [[]]
    if missing := [name for name in columns if name not in header]:
        raise ValueError(
            f"{path} has no column {', '.join(missing)}, but {', '.join(header)[:200]}: "
            "download it anew."
        )
    return [dict(zip(header, cells, strict=False)) for cells in rows]
