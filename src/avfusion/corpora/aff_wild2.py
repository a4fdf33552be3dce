"""Aff-Wild2: videos of YouTube with valence and arousal, as in the ABAW competitions.

**Layout**: the annotations in ``VA_Estimation_Challenge/Train_Set/1-30-1280x720.txt`` and
``VA_Estimation_Challenge/Validation_Set/...`` (or ``VA_Set/...``), and the videos of these names in
any other folder, ``batch1/1-30-1280x720.mp4``. A file of annotations has a header and a line
``valence,arousal`` for each picture. Of two people in a video the names end in ``_left`` and
``_right``; one of them may end in neither.

**Labels**: two numbers, the means of valence and of arousal over the annotated pictures, from -1 to
1. Pictures with -5 are not annotated.

**Clips**: one for each person in a video. Of two people, one is taken from the left half of the
picture and the other from the right half; they have one sound. Names do not identify people. The
labels of the test are not published: the official validation is the test, and the best epoch is
chosen on a tenth of the training videos.

**License**: for research, on request. **Download**: https://ibug.doc.ic.ac.uk/resources/aff-wild2.
Kollias and Zafeiriou, 2019, https://arxiv.org/abs/1910.04855.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from avfusion.corpora.labels import join_classes
from avfusion.corpora.media import VIDEO_SUFFIXES
from avfusion.corpora.published import (
    NO_FILE,
    Faults,
    NamedFile,
    PublishedCorpus,
    Take,
    check_fraction,
    hold_out_validation,
)
from avfusion.corpora.recording import Box, Contents, LeftOut, Recording
from avfusion.messages import pluralize

SPLITS = {"train": "train", "validation": "val"}
HEADER = "valence,arousal"
HALVES = {"left": Box(0.0, 0.0, 0.5, 1.0), "right": Box(0.5, 0.0, 1.0, 1.0)}
FILE_KINDS = {False: ("video",), True: ("picture", "sound")}  # by whether there are two people
NOT_ANNOTATED = -5


class AffWild2(PublishedCorpus):
    """Aff-Wild2, valence and arousal of whole videos; the docstring of this module describes it.

    Args:
        validation: fraction of the training clips that validates where the test has no labels.
        split_seed: draws them.
    """

    name = "aff_wild2"
    title = "Aff-Wild2"
    layout = "VA_Estimation_Challenge/Train_Set/1-30-1280x720.txt and batch1/1-30-1280x720.mp4"
    suffixes = VIDEO_SUFFIXES | {".txt"}
    pattern = re.compile(
        r"(?:^|/)VA[^/]*/(?P<split>train|validation)(?:ing)?_set/(?P<table>[^/]+)\.txt$|\.txt$"
        r"|(?P<video>[^/]+)\.(?!txt$)\w+$",
        re.IGNORECASE,
    )
    labels = "continuous"
    allowed_leaks = ("two_labels_for_one_recording",)  # two people have one sound

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

    def read_takes(self, files: Sequence[NamedFile], faults: Faults) -> Iterator[Take | LeftOut]:
        """Label people in videos by the means of their annotations."""
        tables: dict[str, NamedFile] = {}
        videos: dict[str, Path] = {}
        for file in files:
            if file.name["table"]:
                tables.setdefault(file.name["table"], file)
            elif file.name["video"]:
                videos.setdefault(file.name["video"], file.path)
        if videos and not tables:
            raise FileNotFoundError(
                f"{faults.location} holds {pluralize(len(videos), 'video')} and no annotation of "
                "Aff-Wild2, VA_Estimation_Challenge/Train_Set/...txt: name the folder of those, "
                "too, as in corpus.root=[<videos>,<annotations>]."
            )

        for name, table in tables.items():
            side = find_side(name, tables)
            session = name if name in videos else name.removesuffix(f"_{side}")
            means = read_means(table.path)
            if session not in videos or means is None:
                reason = NO_FILE if session not in videos else "no annotated picture"
                yield LeftOut(name, reason, source=table.path)
                continue

            take = Take(
                name,
                "video",
                videos[session],
                join_classes([*means]),
                subject="",
                session=session,
                split=SPLITS[table.name["split"].lower()],
                attributes={"side": side},
                numbers=tuple(number for _, number in sorted(means.items())),
                region=HALVES.get(side),
            )
            yield from (take._replace(kind=kind) for kind in FILE_KINDS[bool(side)])

    def list_outputs(self, recordings: Sequence[Recording]) -> list[str]:
        """List the numbers in the order of the annotations."""
        return HEADER.split(",")


def find_side(name: str, names: Collection[str]) -> str:
    """Find the side of the picture on which the person of a name is, where there are two."""
    for side, other in (("left", "right"), ("right", "left")):
        if name.endswith(f"_{side}") or f"{name}_{other}" in names:
            return side
    return ""


def read_means(path: Path) -> dict[str, float] | None:
    """Read the mean of each number over the annotated pictures, None where none is annotated.

    Raises:
        ValueError: where the file is no annotation.
    """
    with path.open(encoding="utf-8-sig") as file:
        header = file.readline().strip().lower().replace(" ", "")
        try:
            numbers = np.loadtxt(file, delimiter=",", ndmin=2)
        except ValueError as error:
            raise ValueError(f"{path} is no list of {HEADER} ({error}): get it anew.") from error
    if header != HEADER or numbers.shape[1] != 2:
        raise ValueError(
            f"{path} begins with {header[:80]!r}, expected {HEADER} and two numbers a line: get "
            "the annotations of that challenge."
        )

    annotated = numbers[(numbers != NOT_ANNOTATED).all(axis=1)]
    if not len(annotated):
        return None
    return dict(zip(HEADER.split(","), annotated.mean(axis=0).tolist(), strict=True))
