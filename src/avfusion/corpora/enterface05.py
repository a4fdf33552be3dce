"""eNTERFACE'05: 43 people react to stories in six emotions, in English.

**Layout**: ``subject 1/anger/sentence 1/s1_an_1.avi``. The folders give subject, emotion and
sentence; names do not, as those of ``subject 11`` begin with ``s12``, those of ``subject 3`` with
``s_3``. Hyphens or underscores stand for the blanks in copies. ``subject 6`` has no folders of
sentences: each of its six files is a whole session of a minute or two, which is left out.

**Labels**: anger, disgust, fear, happiness, sadness, surprise. Each emotion has five sentences of
its own, so that **the words alone reveal the label**.

**Clips**: 1,287 of 43 subjects, 30 each; of ``subject 23`` 27. Its authors count 42 subjects. 720 x
576 pixels at 25 a second, sound 48 kHz.

**License**: free for research, terms in the archive. **Download**:
https://enterface.net/enterface05/ (``project2_database.zip``, 0.8 GB). Martin et al., 2006,
https://doi.org/10.1109/ICDEW.2006.145.
"""

import re
from collections.abc import Mapping

from avfusion.corpora.published import (
    KnownDefect,
    NamedFile,
    PublishedCorpus,
    Size,
    Take,
    find_media_kind,
)

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")
WHOLE_SESSIONS = "6"  # the subject without folders of sentences
SUBJECTS = [str(number) for number in range(1, 45) if str(number) != WHOLE_SESSIONS]
SESSION_DEFECT = KnownDefect("a whole session, not cut into sentences", "no folders of sentences")


class Enterface05(PublishedCorpus):
    """eNTERFACE'05; the docstring of this module describes it."""

    name = "enterface05"
    title = "eNTERFACE'05"
    layout = "subject 1/anger/sentence 1/s1_an_1.avi"
    pattern = re.compile(
        rf"(?:^|/)subject[ _-]?(\d+)/({'|'.join(EMOTIONS)})/(?:sentence[ _-]?(\d)/)?[^/]+\.\w+$",
        re.IGNORECASE,
    )
    class_names = EMOTIONS
    known_bad: Mapping[str, KnownDefect] = {
        f"s{WHOLE_SESSIONS}_{emotion[:2]}": SESSION_DEFECT for emotion in EMOTIONS
    }

    @property
    def size(self) -> Size:
        """1,287 clips of 43 people."""
        return Size(1287, SUBJECTS)

    def describe(self, file: NamedFile) -> Take:
        """Read the folders of a file."""
        subject, emotion, sentence = file.name.groups()
        subject, emotion = str(int(subject)), emotion.lower()
        if subject not in (*SUBJECTS, WHOLE_SESSIONS):
            raise ValueError(f"subject {subject}")
        if sentence is None and subject != WHOLE_SESSIONS:
            raise ValueError("no folder of a sentence")
        number = f"_{sentence}" if sentence else ""
        return Take(
            clip_id=f"s{subject}_{emotion[:2]}{number}",
            kind=find_media_kind(file.path),
            path=file.path,
            label=emotion,
            subject=subject,
            attributes={"sentence": f"{emotion[:2]}{number}"},
        )
