"""GRID: 34 talkers say a thousand sentences of six words each.

**Layout**: ``s1/bbaf2n.mpg`` or ``s1/video/mpg_6000/bbaf2n.mpg`` (pictures and sound) and
``s1/bbaf2n.wav`` (sound of 25 kHz), whatever lies between the folder of a talker and the file. The
six letters are those of the words: ``bbaf2n`` is "bin blue at f two now".

**Labels**: the talker, or one of the words: command, color, preposition, letter, digit, adverb.
Words do not depend on talkers, so leave talkers out (``data.protocol=subject_k``); to identify
talkers, ``data.protocol=ranges_5`` tests on ranges of each talker's sentences, by their codes.

**Clips**: 34,000 of three seconds; ``s21`` has no video. 720 x 576 or 360 x 288 pixels at 25 a
second.

**License**: CC BY 4.0. **Download**: https://zenodo.org/records/3625687. Cooke et al., 2006,
https://doi.org/10.1121/1.2229005.
"""

import re
from collections.abc import Sequence

from avfusion.corpora.published import (
    NamedFile,
    PublishedCorpus,
    Size,
    Take,
    check_choice,
    find_media_kind,
)

DIGITS = "zero one two three four five six seven eight nine".split()
WORDS = {  # by slot and letter
    "command": {"b": "bin", "l": "lay", "p": "place", "s": "set"},
    "color": {"b": "blue", "g": "green", "r": "red", "w": "white"},
    "preposition": {"a": "at", "b": "by", "i": "in", "w": "with"},
    "letter": {letter: letter for letter in "abcdefghijklmnopqrstuvxyz"},
    "digit": {"z": "zero"} | {str(number): DIGITS[number] for number in range(1, 10)},
    "adverb": {"a": "again", "n": "now", "p": "please", "s": "soon"},
}
UNFILMED_TALKER = "s21"
TALKERS = [f"s{number}" for number in range(1, 35)]


class Grid(PublishedCorpus):
    """GRID; the docstring of this module describes it.

    Args:
        label: ``talker``, or the word of a slot: ``command``, ``color``, ``preposition``,
            ``letter``, ``digit`` or ``adverb``.
    """

    name = "grid"
    title = "GRID"
    layout = "s1/bbaf2n.mpg"
    pattern = re.compile(r"(?:^|/)(s\d{1,2})/(?:.*/)?([a-z]{4}[0-9z][a-z])\.\w+$", re.IGNORECASE)

    def __init__(
        self,
        root: str | Sequence[str],
        label: str = "talker",
        modalities: str = "both",
        include_known_bad: bool = False,
        on_error: str = "skip",
    ) -> None:
        super().__init__(root, modalities, include_known_bad, on_error)
        check_choice("label", label, ("talker", *WORDS))
        self.label = label
        self.allowed_leaks = ("subject_overlap",) if label == "talker" else ()
        self.class_names = tuple(TALKERS if label == "talker" else WORDS[label].values())

    @property
    def size(self) -> Size:
        """A thousand clips of each talker; one was not filmed."""
        talkers = [one for one in TALKERS if one != UNFILMED_TALKER or self.modalities == "audio"]
        return Size(1000 * len(talkers), talkers)

    def describe(self, file: NamedFile) -> Take:
        """Read the folder of the talker and the six letters."""
        talker, code = (part.lower() for part in file.name.groups())
        if talker not in TALKERS:
            raise ValueError(f"talker {talker}")
        words = {}
        for (slot, known), letter in zip(WORDS.items(), code, strict=True):
            if letter not in known:
                raise ValueError(f"{slot} {letter}")
            words[slot] = known[letter]
        return Take(
            clip_id=f"{talker}_{code}",
            kind=find_media_kind(file.path),
            path=file.path,
            label=talker if self.label == "talker" else words[self.label],
            subject=talker,
            attributes=words,
        )
