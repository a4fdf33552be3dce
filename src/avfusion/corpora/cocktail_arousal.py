"""The embedded corpus with a number: two faces, one voice, and an arousal that both show in part.

The people are those of ``cocktail_party``. The arousal of a voice and that of a face are drawn from
0 to 1, each by itself; the number is the sum of the voice's and the speaker's face's less one, so
that it lies between -1 and 1. The voice's is heard (an aroused one is faster, louder, brighter,
less even), the face's is seen (the mouth stands open the wider), and the other face has one of its
own, which means nothing.

So there are ceilings. What is known of a clip explains a part of the number's variance, and the
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

import numpy as np

from avfusion.corpora.cocktail_party import HEADER_BOX, CocktailParty, Party, Person, people
from avfusion.corpora.drawing import draw_party
from avfusion.corpora.manifest import Manifest
from avfusion.corpora.recording import SPLITS
from avfusion.corpora.voice import speak, write_wav

CLIPS = 3  # stream of random numbers; those of cocktail_party are 1 and 2
PICTURES = ("clip_id", "image_path", "audio_path", "subject", "split", "target.arousal")


class CocktailArousal(CocktailParty):
    """Render the corpus on first use into a folder of its settings under ``root``."""

    name = "cocktail_arousal"
    variant = "arousal"
    header = (*PICTURES, *HEADER_BOX)
    labels = "continuous"

    def manifest(self) -> Manifest:
        """Return the corpus as it was rendered."""
        return Manifest(str(self.root), ranges={"arousal": [-1, 1]}, on_error="raise")

    @staticmethod
    def render_clips(party: Party) -> list[list[object]]:
        """Write the files of some clips and return their rows of the manifest."""
        cast = people(party.split, party.seed)
        return [render_clip(party, number, cast) for number in range(party.first, party.end)]


def render_clip(party: Party, number: int, cast: list[Person]) -> list[object]:
    """Write picture and sound of one clip; a clip depends on its seed, split and number alone."""
    rng = np.random.default_rng([CLIPS, party.seed, SPLITS.index(party.split), number])
    kinds = rng.permutation(sorted({person.kind for person in cast}))[: party.faces]
    guests = [rng.choice([n for n, p in enumerate(cast) if p.kind == kind]) for kind in kinds]
    guests = [cast[int(place)] for place in guests]
    seen, heard = rng.uniform(size=party.faces), rng.uniform()
    speaker = int(rng.integers(party.faces))

    looks = [guest.look for guest in guests]
    picture, boxes = draw_party(rng, looks, ["open"] * party.faces, seen.tolist())
    wave = speak(rng, guests[speaker].pitch, heard)
    clip_id = f"{party.split}_{number:05d}"
    image, audio = f"image/{clip_id}.png", f"audio/{clip_id}.wav"
    picture.save(party.root / image, compress_level=1)
    write_wav(party.root / audio, wave)
    arousal = round(float(seen[speaker] + heard - 1), 4)
    box = [round(float(side), 2) for side in boxes[speaker]]
    return [clip_id, image, audio, guests[speaker].name, party.split, arousal, *box]
