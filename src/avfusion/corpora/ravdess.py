"""RAVDESS: 24 actors speak and sing two sentences in eight emotions.

**Layout**, as the archives unpack, side by side or in one folder:
``Actor_01/01-01-03-01-01-01-01.mp4``, whose seven numbers are modality (01 video with sound, 02
video only, 03 sound only), channel (01 speech, 02 song), emotion, intensity (01 normal, 02 strong),
statement, repetition and actor. ``Video_Speech_Actor_01/Actor_01/...``,
``Audio_Speech_Actors_01-24/Actor_01/...`` and ``Video_Song_...`` are the folders of the archives.

**Labels**: the emotion that the actor was asked for: neutral, calm, happy, sad, angry, fearful,
disgust, surprised; songs have the first six, and neutral is never strong. Actors of odd numbers are
men.

**Clips**: one for each trial, whichever of its files are there, as the sound of modality 01 is that
of 03. Speech has 1,440 trials, 60 of each actor; song 1,012, 44 of each actor but 18, who does not
sing. Pictures have 1280 x 720 pixels at 29.97 a second, sound 48 kHz. Two sounds of actor 07 are
the same (repetitions 01 and 02 of ``01-03-01-02``).

**License**: CC BY-NC-SA 4.0. **Download**: https://zenodo.org/records/1188976, 24.8 GB, or the
sounds of speech alone, 0.2 GB. Livingstone and Russo, 2018,
https://doi.org/10.1371/journal.pone.0196391.
"""

import re
from collections.abc import Sequence

from avfusion.corpora.published import NamedFile, PublishedCorpus, Size, Take, check_choice

CHANNELS = {"01": "speech", "02": "song"}
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
STATEMENTS = {"01": "kids", "02": "dogs"}  # "Kids are talking by the door", "Dogs are sitting ..."
KINDS = {"01": "video", "02": "picture", "03": "sound"}
INTENSITIES = {"01": "normal", "02": "strong"}
ACTORS = [f"{number:02d}" for number in range(1, 25)]
SILENT_SINGER = "18"


class Ravdess(PublishedCorpus):
    """RAVDESS; the docstring of this module describes it.

    Args:
        channel: ``speech``, ``song`` or ``both``.
    """

    name = "ravdess"
    title = "RAVDESS"
    layout = "Actor_01/01-01-03-01-01-01-01.mp4"
    pattern = re.compile(r"(?:^|/)(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)-(\d\d)\.\w+$")
    class_names = EMOTIONS

    def __init__(
        self,
        root: str | Sequence[str],
        channel: str = "speech",
        modalities: str = "both",
        include_known_bad: bool = False,
        on_error: str = "skip",
    ) -> None:
        super().__init__(root, modalities, include_known_bad, on_error)
        check_choice("channel", channel, (*CHANNELS.values(), "both"))
        self.channel = channel

    @property
    def size(self) -> Size:
        """1,440 trials of speech, and 1,012 of song."""
        clips = {"speech": 1440, "song": 1012, "both": 2452}[self.channel]
        singers = [actor for actor in ACTORS if actor != SILENT_SINGER]
        return Size(clips, singers if self.channel == "song" else ACTORS)

    def describe(self, file: NamedFile) -> Take | None:
        """Read the seven numbers of a name."""
        modality, channel, emotion, intensity, statement, repetition, actor = file.name.groups()
        codes = {
            "modality": (modality, KINDS),
            "channel": (channel, CHANNELS),
            "emotion": (emotion, [f"{number:02d}" for number in range(1, len(EMOTIONS) + 1)]),
            "intensity": (intensity, INTENSITIES),
            "statement": (statement, STATEMENTS),
            "repetition": (repetition, ("01", "02")),
            "actor": (actor, ACTORS),
        }
        for part, (code, known) in codes.items():
            if code not in known:
                raise ValueError(f"{part} {code}")
        if self.channel not in (CHANNELS[channel], "both"):
            return None

        return Take(
            clip_id="-".join(file.name.groups()[1:]),
            kind=KINDS[modality],
            path=file.path,
            label=EMOTIONS[int(emotion) - 1],
            subject=actor,
            attributes={
                "channel": CHANNELS[channel],
                "gender": "male" if int(actor) % 2 else "female",
                "intensity": INTENSITIES[intensity],
                "repetition": repetition,
                "sentence": STATEMENTS[statement],
            },
        )
