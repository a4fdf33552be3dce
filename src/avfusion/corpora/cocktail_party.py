"""Cocktail party: two faces, one voice, and an emotion that needs both; rendered, not downloaded.

Drawn faces of different size (child, woman, man) share a picture; the pitch of the voice says who
speaks. The speaker's expression determines which pair of emotions it is, the arousal of the voice
which of the two, so neither modality suffices: the face alone scores 0.3125 with two faces (the
speaker has to be guessed), the voice alone 0.25.

With ``arousal_seen`` the two share information: the mouth of the speaker's face, too, shows the
arousal that is heard, and the other faces show one of their own, which means nothing. The clips are
the same but for the mouths. The highest accuracy with two faces:

===================  ==========================  ==========================
known                arousal heard               arousal seen, too
===================  ==========================  ==========================
nothing              1/8                         1/8
the voice            1/4                         1/4
the faces            1/2 * 5/8 = 0.3125          1/2 + 1/2 * 1/8 = 0.5625
the voice and faces  1                           1
===================  ==========================  ==========================

By the faces alone, either of the two is taken for the speaker. It is in half of the clips; in the
others its expression is that of the speaker by chance, in a quarter, which makes 5/8, or it shows
expression and arousal of the speaker by chance, in an eighth. Where arousal is only heard, the
faces leave both emotions of a pair; the voice leaves all four pairs.

With ``expression_heard`` the voice is the easy modality: in that share of the clips its pitch
reveals the expression, too, so that the voice alone scores ``expression_heard * 3/4 + 1/4``. The
face has to be learned for the others only, in which the pitch is that of the person.
"""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from filelock import FileLock

from avfusion.corpora.drawing import Look, draw_look, draw_party
from avfusion.corpora.manifest import Manifest
from avfusion.corpora.recording import SPLITS, Contents
from avfusion.corpora.voice import synthesize_voice, write_wav
from avfusion.files import write_csv
from avfusion.parallel import run_parallel

VERSION = 1  # raise it whenever the same settings would render other files
EMOTIONS = ("happy", "calm", "fearful", "sad", "angry", "disgust", "surprised", "neutral")
# An expression shows one pair of EMOTIONS; an aroused voice means the first of the two.
EXPRESSIONS = ("pleased", "down", "cross", "open")
PITCHES = {"child": 300.0, "woman": 200.0, "man": 110.0}  # Hz
EXPRESSION_PITCHES = (145.0, 245.0, 370.0, 460.0)  # Hz, by expression; of no person
# First numbers of the seeds: what each generator draws. Those of cocktail_arousal begin with 3.
PEOPLE_SEED, CLIPS_SEED, SEEN_SEED, HEARD_SEED = 1, 2, 4, 5
CLIPS_PER_JOB = 250
HEADER = ("clip_id", "image_path", "audio_path", "label", "subject", "split")
BOX_HEADER = ("box_left", "box_top", "box_right", "box_bottom")


class Person(NamedTuple):
    """A subject: kind, look, and the pitch of the voice in Hz."""

    name: str
    kind: str
    look: Look
    pitch: float


class RenderJob(NamedTuple):
    """The clips ``first`` to ``end - 1`` of one split, which one process renders."""

    root: Path
    split: str
    first: int
    end: int
    faces: int
    seed: int
    arousal_seen: bool = False
    expression_heard: float = 0.0


class CocktailParty:
    """The corpus in a folder of its settings under ``root``, rendered on first use.

    Subclasses render other clips: ``render_clips`` writes those of a job and gives their rows,
    under the ``header``; ``variant`` distinguishes their folders.

    Args:
        root: the folder that holds one folder per setting.
        clips: number of clips by split.
        faces: number of faces in a picture, from 1 to 3.
        seed: draws subjects and clips.
        arousal_seen: faces show arousal, too.
        expression_heard: share of the clips whose voice reveals the expression, too.
    """

    name = "cocktail_party"
    variant = ""
    header: tuple[str, ...] = (*HEADER, *BOX_HEADER)
    on_error = "raise"
    labels = "single_label"
    # A small one may lack some classes by chance; voices of few numbers are alike by chance.
    allowed_leaks = ("untrained_classes", "near_duplicates")

    def __init__(
        self,
        root: str,
        clips: Mapping[str, int],
        faces: int = 2,
        seed: int = 0,
        arousal_seen: bool = False,
        expression_heard: float = 0.0,
    ) -> None:
        if not 1 <= faces <= len(PITCHES):
            raise ValueError(
                f"corpus.faces must lie between 1 and {len(PITCHES)}, the kinds, got {faces}."
            )
        if set(clips) != set(SPLITS) or min(clips.values()) < 1:
            raise ValueError(
                f"corpus.clips must give each of {', '.join(SPLITS)} at least one clip, got "
                f"{dict(clips)}."
            )
        if seed < 0:
            raise ValueError(f"corpus.seed must be at least 0, got {seed}.")

        if not 0 <= expression_heard <= 1:
            raise ValueError(f"corpus.expression_heard must lie in [0, 1], got {expression_heard}.")
        if expression_heard and faces > 1:
            raise ValueError(
                f"corpus.expression_heard={expression_heard} takes the pitch of the voice, which "
                f"tells who of the {faces} faces speaks: set corpus.faces=1."
            )

        self.clips = dict(clips)
        self.faces = faces
        self.seed = seed
        self.arousal_seen = arousal_seen
        self.expression_heard = expression_heard
        variant = [self.variant] if self.variant else []
        seen = ["arousal_seen"] if arousal_seen else []
        heard = [f"expression_heard {expression_heard}"] if expression_heard else []
        settings = json.dumps([VERSION, self.clips, faces, seed, *variant, *seen, *heard])
        key = hashlib.sha256(settings.encode()).hexdigest()[:8]
        self.root = Path(root) / f"{faces}_faces-{key}"

    @property
    def is_there(self) -> bool:
        """Whether reading renders nothing."""
        return self.root.exists()

    def read(self) -> Contents:
        """Read the manifest; render the clips first if they are not there."""
        if not self.is_there:  # else nothing is written, not even a lock
            self.root.parent.mkdir(parents=True, exist_ok=True)
            with FileLock(f"{self.root}.lock"):
                if not self.is_there:
                    self.render()

        return self.manifest().read()

    def manifest(self) -> Manifest:
        """Open the corpus as it was rendered."""
        return Manifest(str(self.root), classes=EMOTIONS, on_error="raise")

    @staticmethod
    def render_clips(job: RenderJob) -> list[list[object]]:
        """Write the files of some clips, and give their rows of the manifest."""
        people = draw_people(job.split, job.seed)
        return [render_clip(job, number, people) for number in range(job.first, job.end)]

    def render(self) -> None:
        """Write pictures, sounds and manifest beside the folder, then move them into place."""
        partial = Path(f"{self.root}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        for folder in ("image", "audio"):
            (partial / folder).mkdir(parents=True)

        jobs = []
        for split, count in self.clips.items():
            for first in range(0, count, CLIPS_PER_JOB):
                end = min(first + CLIPS_PER_JOB, count)
                clips = (split, first, end, self.faces, self.seed)
                jobs.append(RenderJob(partial, *clips, self.arousal_seen, self.expression_heard))
        sizes = [job.end - job.first for job in jobs]
        rows = dict(run_parallel(self.render_clips, jobs, sizes, "Rendering the cocktail party"))

        ordered = (row for number in sorted(rows) for row in rows[number])
        write_csv(partial / "manifest.csv", self.header, ordered)
        os.replace(partial, self.root)


def draw_people(split: str, seed: int, each: int = 10) -> list[Person]:
    """Draw the subjects of one split at random, ``each`` of every kind."""
    rng = np.random.default_rng([PEOPLE_SEED, seed, SPLITS.index(split)])
    return [
        Person(f"{split}_{kind}_{i}", kind, draw_look(rng, kind), pitch * rng.uniform(0.92, 1.08))
        for kind, pitch in PITCHES.items()
        for i in range(each)
    ]


def render_clip(job: RenderJob, number: int, people: list[Person]) -> list[object]:
    """Write picture and sound of one clip, and give its row of the manifest.

    A clip depends on its seed, split and number alone.
    """
    rng = np.random.default_rng([CLIPS_SEED, job.seed, SPLITS.index(job.split), number])
    kinds = rng.permutation(list(PITCHES))[: job.faces]
    guests = [rng.choice([p.name for p in people if p.kind == kind]) for kind in kinds]
    guests = [next(p for p in people if p.name == name) for name in guests]
    expressions = rng.integers(len(EXPRESSIONS), size=job.faces)
    speaker, calm = int(rng.integers(job.faces)), int(rng.integers(2))

    aroused = draw_seen_arousal(job, number, speaker, not calm) if job.arousal_seen else None
    looks = [guest.look for guest in guests]
    shown = [EXPRESSIONS[e] for e in expressions]
    picture, boxes = draw_party(rng, looks, shown, aroused=aroused)
    pitch = guests[speaker].pitch
    if job.expression_heard:
        pitch = draw_pitch(job, number, int(expressions[speaker]), pitch)
    wave = synthesize_voice(rng, pitch, float(not calm))

    clip_id = f"{job.split}_{number:05d}"
    image, audio = f"image/{clip_id}.png", f"audio/{clip_id}.wav"
    picture.save(job.root / image, compress_level=1)
    write_wav(job.root / audio, wave)

    label = EMOTIONS[2 * expressions[speaker] + calm]
    box = [round(float(side), 2) for side in boxes[speaker]]
    return [clip_id, image, audio, label, guests[speaker].name, job.split, *box]


def draw_seen_arousal(job: RenderJob, number: int, speaker: int, is_aroused: bool) -> list[bool]:
    """Draw whether each face looks aroused: the speaker as heard, the others at random.

    The generator is one of its own, so that all else of a clip is as it is without.
    """
    rng = np.random.default_rng([SEEN_SEED, job.seed, SPLITS.index(job.split), number])
    aroused = rng.integers(2, size=job.faces) == 1
    aroused[speaker] = is_aroused
    return aroused.tolist()


def draw_pitch(job: RenderJob, number: int, expression: int, own: float) -> float:
    """Draw the pitch of a voice: that of the expression, or otherwise the person's own.

    The generator is one of its own, so that all else of a clip is as it is without.
    """
    rng = np.random.default_rng([HEARD_SEED, job.seed, SPLITS.index(job.split), number])
    pitch = EXPRESSION_PITCHES[expression] * rng.uniform(0.97, 1.03)
    return pitch if rng.random() < job.expression_heard else own
