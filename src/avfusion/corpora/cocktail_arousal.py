"""Cocktail arousal: two faces, one voice, and a number, the arousal that both show in part.

The people are those of ``cocktail_party``. The arousal of a voice and that of a face are drawn from
0 to 1, each by itself; the number is the sum of the voice's and the speaker's face's less one, so
that it lies between -1 and 1. The voice's is heard (an aroused one is faster, louder, brighter,
less even), the face's is seen (the mouth stands open the wider), and the other face has one of its
own, which means nothing.

So there are ceilings. The attributes of a clip explain a part of the number's variance, and the
root of that part is the highest correlation, which is the highest CCC, too, where predictions are
scaled to vary as much as the numbers (with the smallest squared error they vary less):

=============================  =====================  ================  ==========================
known                          explained variance     highest CCC, PCC  CCC at the smallest RMSE
=============================  =====================  ================  ==========================
nothing (a constant)           0                      0                 0
the faces, not who speaks      1 / (2 faces) = 1/4    0.500             0.400
the voice                      1/2                    0.707             0.667
the voice, and all faces       1/2 + 1 / (2 faces)    0.866             0.857
the voice and the speaker      1                      1                 1
=============================  =====================  ================  ==========================

The numbers are those of two faces. Pixels round how far a small mouth stands open, so not quite 1
can be reached.
"""

from collections.abc import Mapping

import numpy as np

from avfusion.corpora.cocktail_party import (
    BOX_HEADER,
    CocktailParty,
    Person,
    RenderJob,
    draw_people,
)
from avfusion.corpora.drawing import draw_party
from avfusion.corpora.manifest import Manifest
from avfusion.corpora.recording import SPLITS
from avfusion.corpora.voice import synthesize_voice, write_wav

AROUSAL_CLIPS_SEED = 3  # those of cocktail_party are 1, 2 and 4
NUMBER_HEADER = ("clip_id", "image_path", "audio_path", "subject", "split", "target.arousal")


class CocktailArousal(CocktailParty):
    """The corpus in a folder of its settings under ``root``, rendered on first use."""

    name = "cocktail_arousal"
    variant = "arousal"
    header = (*NUMBER_HEADER, *BOX_HEADER)
    labels = "continuous"

    def __init__(self, root: str, clips: Mapping[str, int], faces: int = 2, seed: int = 0) -> None:
        super().__init__(root, clips, faces, seed)

    def manifest(self) -> Manifest:
        """Open the corpus as it was rendered."""
        return Manifest(str(self.root), ranges={"arousal": [-1, 1]}, on_error="raise")

    @staticmethod
    def render_clips(job: RenderJob) -> list[list[object]]:
        """Write the files of some clips, and give their rows of the manifest."""
        people = draw_people(job.split, job.seed)
        return [render_clip(job, number, people) for number in range(job.first, job.end)]


def render_clip(job: RenderJob, number: int, people: list[Person]) -> list[object]:
    """Write picture and sound of one clip, and give its row of the manifest.

    A clip depends on its seed, split and number alone.
    """
    rng = np.random.default_rng([AROUSAL_CLIPS_SEED, job.seed, SPLITS.index(job.split), number])
    kinds = rng.permutation(sorted({person.kind for person in people}))[: job.faces]
    guests = [rng.choice([n for n, p in enumerate(people) if p.kind == kind]) for kind in kinds]
    guests = [people[int(index)] for index in guests]
    seen, heard = rng.uniform(size=job.faces), rng.uniform()
    speaker = int(rng.integers(job.faces))

    looks = [guest.look for guest in guests]
    picture, boxes = draw_party(rng, looks, ["open"] * job.faces, seen.tolist())
    wave = synthesize_voice(rng, guests[speaker].pitch, heard)

    clip_id = f"{job.split}_{number:05d}"
    image, audio = f"image/{clip_id}.png", f"audio/{clip_id}.wav"
    picture.save(job.root / image, compress_level=1)
    write_wav(job.root / audio, wave)

    arousal = round(float(seen[speaker] + heard - 1), 4)
    box = [round(float(side), 2) for side in boxes[speaker]]
    return [clip_id, image, audio, guests[speaker].name, job.split, arousal, *box]
