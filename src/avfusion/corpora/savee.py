"""SAVEE: four men say TIMIT sentences in seven emotions.

**Layout**: ``AudioVisualClip/DC/a1.avi`` (pictures and sound) and ``AudioData/DC/a1.wav``; in
circulation, too: all sounds in one folder as ``DC_a01.wav``. The folder is the speaker, the letters
are the emotion, the number is the sentence.

**Labels**: anger ``a``, disgust ``d``, fear ``f``, happiness ``h``, neutral ``n``, sadness ``sa``,
surprise ``su``.

**Clips**: 480, of each of DC, JE, JK and KL 30 neutral ones and 15 of each other emotion. Their
faces have blue markers. Leave one speaker out: there are no more.

**License**: free for research after registration. **Download**:
http://kahlan.eps.surrey.ac.uk/savee/. Haq and Jackson, 2010,
https://doi.org/10.4018/978-1-61520-919-4.ch017.
"""

import re

from avfusion.corpora.published import NamedFile, PublishedCorpus, Size, Take, find_media_kind

SPEAKERS = ("DC", "JE", "JK", "KL")
EMOTIONS = {
    "a": "anger",
    "d": "disgust",
    "f": "fear",
    "h": "happiness",
    "n": "neutral",
    "sa": "sadness",
    "su": "surprise",
}


class Savee(PublishedCorpus):
    """SAVEE; the docstring of this module describes it."""

    name = "savee"
    title = "SAVEE"
    layout = "AudioVisualClip/DC/a1.avi"
    pattern = re.compile(r"(?:^|/)(DC|JE|JK|KL)[/_](sa|su|[adfhn])(\d{1,2})\.\w+$", re.IGNORECASE)
    class_names = tuple(EMOTIONS.values())

    @property
    def size(self) -> Size:
        """480 clips of four men."""
        return Size(480, SPEAKERS)

    def describe(self, file: NamedFile) -> Take:
        """Read speaker, emotion and sentence."""
        speaker, emotion, sentence = file.name.groups()
        emotion, number = emotion.lower(), int(sentence)
        if not 1 <= number <= (30 if emotion == "n" else 15):
            raise ValueError(f"sentence {number}")
        return Take(
            clip_id=f"{speaker.upper()}_{emotion}{number:02d}",
            kind=find_media_kind(file.path),
            path=file.path,
            label=EMOTIONS[emotion],
            subject=speaker.upper(),
            attributes={"gender": "male", "sentence": f"{emotion}{number:02d}"},
        )
