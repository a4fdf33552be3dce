"""MEAD: 60 actors say sentences in eight emotions of three levels, filmed from seven sides.

**Layout**: ``M003/video/front/angry/level_1/001.mp4`` and ``M003/audio/angry/level_1/001.m4a``, as
the archives of an actor unpack; folders between the actor's and these, such as ``video-001``, do
not matter. Pictures and sound are in different files of one number.

**Labels**: angry, contempt, disgusted, fear, happy, neutral, sad, surprised. Levels are 1 (weak) to
3 (strong); neutral has the first only. ``M`` are men, ``W`` are women.

**Clips**: about 30 sentences of each emotion and level; 48 actors are public. 1920 x 1080 pixels at
30 a second, sound 48 kHz.

**License**: free for research, no redistribution. **Download**:
https://wywu.github.io/projects/MEAD/MEAD.html. Wang et al., 2020,
https://doi.org/10.1007/978-3-030-58589-1_42.
"""

import re
from collections.abc import Sequence

from avfusion.corpora.published import NamedFile, PublishedCorpus, Take, check_choice

EMOTIONS = ("angry", "contempt", "disgusted", "fear", "happy", "neutral", "sad", "surprised")
VIEWS = ("front", "left_30", "left_60", "right_30", "right_60", "top", "down")
GENDERS = {"M": "male", "W": "female"}


class Mead(PublishedCorpus):
    """MEAD; the docstring of this module describes it.

    Args:
        view: the side that pictures are taken from: ``front``, ``left_30``, ``left_60``,
            ``right_30``, ``right_60``, ``top`` or ``down``.
    """

    name = "mead"
    title = "MEAD"
    layout = "M003/video/front/angry/level_1/001.mp4 and M003/audio/angry/level_1/001.m4a"
    pattern = re.compile(
        r"(?:^|/)([MW])(\d{3})/(?:.*/)?(?:video/(\w+)|audio)/(\w+)/level_(\d)/(\d{3})\.\w+$"
    )
    class_names = EMOTIONS

    def __init__(
        self,
        root: str | Sequence[str],
        view: str = "front",
        modalities: str = "both",
        include_known_bad: bool = False,
        on_error: str = "skip",
    ) -> None:
        super().__init__(root, modalities, include_known_bad, on_error)
        check_choice("view", view, VIEWS)
        self.view = view

    def describe(self, file: NamedFile) -> Take | None:
        """Read the folders of a file."""
        sex, actor, view, emotion, level, number = file.name.groups()
        if emotion not in EMOTIONS:
            raise ValueError(f"emotion {emotion}")
        if view not in (None, *VIEWS):
            raise ValueError(f"view {view}")
        if level not in "123":
            raise ValueError(f"level {level}")
        if view not in (None, self.view):
            return None
        return Take(
            clip_id=f"{sex}{actor}_{emotion}_{level}_{number}",
            kind="sound" if view is None else "picture",
            path=file.path,
            label=emotion,
            subject=f"{sex}{actor}",
            attributes={"gender": GENDERS[sex], "level": level},
        )
