"""Cocktail arousal: its numbers, and how well they can be predicted."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from avfusion.corpora import CocktailArousal, CocktailParty, cocktail_arousal
from avfusion.corpora.cocktail_arousal import render_clip
from avfusion.corpora.cocktail_party import RenderJob, draw_people
from avfusion.corpora.recording import Box

CLIPS = {"train": 5, "val": 2, "test": 2}
DRAW_PARTY, SYNTHESIZE_VOICE = cocktail_arousal.draw_party, cocktail_arousal.synthesize_voice


@pytest.fixture
def corpus(tmp_path, in_process) -> CocktailArousal:
    return CocktailArousal(str(tmp_path), CLIPS)


def test_reading_gives_a_number_from_minus_one_to_one_for_each_clip(corpus):
    contents = corpus.read()
    assert (contents.labels, contents.output_names) == (corpus.labels, ["arousal"])
    assert {clip.label for clip in contents.recordings} == {"arousal"}
    numbers = [number for clip in contents.recordings for number in clip.numbers]
    assert len({*numbers}) == 9 and -1 <= min(numbers) < 0 < max(numbers) <= 1
    assert all(clip.box and clip.image.is_file() for clip in contents.recordings)


def test_it_has_a_folder_of_its_own_beside_the_corpus_of_classes(corpus):
    root = str(corpus.root.parent)
    assert corpus.root not in {
        CocktailParty(root, CLIPS).root,
        CocktailArousal(root, CLIPS, 1).root,
    }


def draw_many(monkeypatch, tmp_path, clips: int, faces: int = 2) -> tuple[np.ndarray, ...]:
    """Numbers of clips, arousals of faces and of voices, and which face speaks."""
    seen, heard, unwritten = [], [], SimpleNamespace(save=lambda *_, **__: None)

    def draw(rng, looks, expressions, openings):
        seen.append(openings)
        return unwritten, [Box(n, 0, n + 1, 1) for n in range(len(looks))]

    def synthesize(rng, pitch, arousal):
        heard.append(arousal)
        return np.zeros(1)

    monkeypatch.setattr(cocktail_arousal, "draw_party", draw)
    monkeypatch.setattr(cocktail_arousal, "synthesize_voice", synthesize)
    monkeypatch.setattr(cocktail_arousal, "write_wav", lambda *_: None)
    job, people = RenderJob(tmp_path, "train", 0, 0, faces, 0), draw_people("train", 0)
    rows = [render_clip(job, number, people) for number in range(clips)]
    number = np.array([row[5] for row in rows])
    return number, np.array(seen), np.array(heard), np.array([int(row[6]) for row in rows])


def ccc(one: np.ndarray, other: np.ndarray) -> float:
    apart = one.var() + other.var() + (one.mean() - other.mean()) ** 2
    return 2 * np.cov(one, other, ddof=0)[0, 1] / apart


@pytest.mark.parametrize("faces", [1, 2, 3])
def test_ceilings_are_those_of_the_docstring(monkeypatch, tmp_path, faces):
    number, seen, heard, speaker = draw_many(monkeypatch, tmp_path, 3000, faces)
    own = seen[np.arange(len(seen)), speaker]
    ceilings = {
        "faces": (seen.mean(axis=1), (1 / (2 * faces)) ** 0.5),
        "voice": (heard, 0.5**0.5),
        "voice and faces": (heard + seen.mean(axis=1), (0.5 + 1 / (2 * faces)) ** 0.5),
        "voice and speaker": (heard + own, 1),
    }
    for known, highest in ceilings.values():
        best = (known - known.mean()) / known.std() * number.std() + number.mean()
        assert ccc(best, number) == pytest.approx(highest, abs=0.03)
        least = np.polyval(np.polyfit(known, number, 1), known)  # the smallest squared error
        assert ccc(least, number) == pytest.approx(2 * highest**2 / (1 + highest**2), abs=0.03)
    other = seen[np.arange(len(seen)), (speaker + 1) % faces]
    assert faces == 1 or abs(np.corrcoef(other, number)[0, 1]) < 0.06


def test_the_more_aroused_a_voice_the_louder_and_a_face_the_more_its_mouth_is_open(tmp_path):
    waves = [
        SYNTHESIZE_VOICE(np.random.default_rng(1), 200.0, arousal)
        for arousal in np.linspace(0, 1, 6)
    ]
    loudness = [wave.std() for wave in waves]
    assert loudness == sorted(loudness) and loudness[-1] > 2 * loudness[0]
    for person in draw_people("train", 0)[::10]:
        dark = []
        for opening in np.linspace(0, 1, 6).tolist():
            picture, _ = DRAW_PARTY(np.random.default_rng(2), [person.look], ["open"], [opening])
            dark.append(int((np.asarray(picture) == (90, 0, 0)).all(axis=2).sum()))
        assert dark == sorted(dark) and len({*dark}) > 4, person.kind


def test_the_number_is_that_of_the_manifest_and_other_splits_have_others(corpus):
    corpus.read()
    lines = (corpus.root / "manifest.csv").read_text().splitlines()
    assert "target.arousal" in lines[0] and "label" not in lines[0]
    names = lines[0].split(",")
    rows = [dict(zip(names, line.split(","), strict=True)) for line in lines[1:]]
    assert len({row["target.arousal"] for row in rows}) == len(rows)
    assert soundfile.info(corpus.root / rows[0]["audio_path"]).samplerate == 16_000
    assert json.dumps(sorted({row["split"] for row in rows})) == '["test", "train", "val"]'
