"""AFEW: acted facial expressions in the wild, short scenes of movies, as in the EmotiW challenges.

**Layout**, as the archives unpack, side by side: ``Train/Angry/000046280.avi``, ``Val/Angry/...``,
or ``Train_AFEW``, ``Val_AFEW``; ``Test`` likewise where its labels are known.

**Labels**: the folder: Angry, Disgust, Fear, Happy, Neutral, Sad, Surprise.

**Clips**: 773 to train on, 383 to validate on and, in the edition of 2016, 593 to test on. The
organizers keep the labels of the test to themselves. Without them the official validation is the
test, as in most of the literature, and a tenth of the training clips validates, so that the best
epoch is not chosen on the test. Names say nothing of actors.

**Published**: by face and voice, accuracy 60.64 % on the official test, which is not what is tested
here (Vielzeuf et al., 2018, https://arxiv.org/abs/1808.02668).

**License**: for research, on request. **Download**: https://cs.anu.edu.au/few, 3 GB. Dhall et al.,
2012, https://doi.org/10.1109/MMUL.2012.26.
"""

import re
from collections.abc import Sequence

from avfusion.corpora.published import (
    NO_LABEL,
    NamedFile,
    PublishedCorpus,
    Size,
    Take,
    check_fraction,
    find_media_kind,
    hold_out_validation,
)
from avfusion.corpora.recording import Contents, LeftOut

EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "sad", "surprise")


class Afew(PublishedCorpus):
    """AFEW; the docstring of this module describes it.

    Args:
        validation: fraction of the training clips that validates where the test has no labels.
        split_seed: draws them.
    """

    name = "afew"
    title = "AFEW"
    layout = "Train/Angry/000046280.avi and Val/Angry/..."
    pattern = re.compile(
        r"^(?:.*/)?(?P<split>train|val|test)[^/]*/(?:[^/]+/)*?"
        rf"(?:(?P<emotion>{'|'.join(EMOTIONS)})/)?(?P<stem>[^/]+)\.\w+$",
        re.IGNORECASE,
    )
    class_names = EMOTIONS
    size = Size(splits={"train": 773, "val": 383})  # of all editions

    def __init__(
        self,
        root: str | Sequence[str],
        validation: float = 0.1,
        split_seed: int = 0,
        modalities: str = "both",
        include_known_bad: bool = False,
        on_error: str = "skip",
    ) -> None:
        super().__init__(root, modalities, include_known_bad, on_error)
        check_fraction(validation)
        self.validation = validation
        self.split_seed = split_seed

    def read(self) -> Contents:
        """Read the clips, and hold some out where the test has no labels."""
        return hold_out_validation(super().read(), self.title, self.validation, self.split_seed)

    def describe(self, file: NamedFile) -> Take | LeftOut:
        """Read split and emotion off the folders of a file."""
        split, emotion = file.name["split"].lower(), (file.name["emotion"] or "").lower()
        clip_id = f"{split}_{file.name['stem']}"
        if not emotion:
            if split != "test":
                raise ValueError("in no folder of an emotion")
            return LeftOut(clip_id, NO_LABEL, source=file.path)

        return Take(
            clip_id, find_media_kind(file.path), file.path, emotion, subject="", split=split
        )
