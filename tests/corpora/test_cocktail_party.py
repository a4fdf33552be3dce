"""Cocktail party: rendered clips, and reading them."""

from collections import Counter, defaultdict
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest
import soundfile
from PIL import Image

from avfusion.corpora import CocktailParty, cocktail_party
from avfusion.corpora.cocktail_party import (
    EMOTIONS,
    EXPRESSION_PITCHES,
    EXPRESSIONS,
    PITCHES,
    RenderJob,
    draw_people,
    render_clip,
)
from avfusion.corpora.drawing import OPEN_MOUTH_COLOR, RADII, SIDE
from avfusion.corpora.recording import Box

CLIPS = {"train": 4, "val": 2, "test": 2}
PAIRS = {
    "pleased": ("happy", "calm"),
    "down": ("fearful", "sad"),
    "cross": ("angry", "disgust"),
    "open": ("surprised", "neutral"),
}


def render(
    root,
    split="train",
    first=0,
    end=40,
    faces=2,
    seed=0,
    arousal_seen=False,
    expression_heard=0.0,
):
    """Render some clips in this process, and give their rows of the manifest."""
    for folder in ("image", "audio"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    job = RenderJob(root, split, first, end, faces, seed, arousal_seen, expression_heard)
    return CocktailParty.render_clips(job)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A folder and the rows of 400 clips."""
    root = tmp_path_factory.mktemp("many")
    return root, render(root, end=400)


def read_files(root):
    return {path.name: path.read_bytes() for path in root.rglob("*.*")}


def kind(subject):
    return subject.split("_")[1]


def test_the_same_seed_renders_the_same_bytes(tmp_path):
    rows = render(tmp_path / "one"), render(tmp_path / "two")
    assert rows[0] == rows[1]
    assert read_files(tmp_path / "one") == read_files(tmp_path / "two")
    assert len(read_files(tmp_path / "one")) == 80


@pytest.mark.parametrize("change", [{"seed": 1}, {"split": "val"}, {"faces": 3}])
def test_other_settings_render_other_clips(tmp_path, change):
    render(tmp_path / "one", end=3)
    render(tmp_path / "two", end=3, **change)
    one, two = read_files(tmp_path / "one"), read_files(tmp_path / "two")
    assert not set(one.values()) & set(two.values())


def test_a_clip_does_not_depend_on_those_before_it(tmp_path):
    rows = render(tmp_path / "all", end=10)
    assert render(tmp_path / "some", first=6, end=10) == rows[6:]
    some = read_files(tmp_path / "some")
    assert some == {name: read_files(tmp_path / "all")[name] for name in some}


@pytest.mark.slow
def test_every_emotion_occurs_about_as_often(many):
    counts = Counter(row[3] for row in many[1])
    assert set(counts) == set(EMOTIONS)
    assert min(counts.values()) > 25 and max(counts.values()) < 80  # 50 each, 6.6 deviation


@pytest.mark.slow
def test_every_kind_speaks_about_as_often(many):
    counts = Counter(kind(row[4]) for row in many[1])
    assert set(counts) == set(PITCHES) and min(counts.values()) > 90


@pytest.mark.slow
def test_an_aroused_emotion_is_the_louder_one_of_its_pair(many):
    root, rows = many
    loud = {label: [] for label in EMOTIONS}
    for row in rows[:120]:
        loud[row[3]].append(soundfile.read(root / row[2])[0].std())
    for aroused, calm in PAIRS.values():
        assert min(loud[aroused]) > 2 * max(loud[calm])


def test_the_pair_is_that_of_the_expression_on_the_face_in_the_box(tmp_path, monkeypatch):
    seen = []

    def draw(rng, looks, expressions, aroused):
        picture, boxes = cocktail_draw(rng, looks, expressions, aroused=aroused)
        seen.append({tuple(np.round(box, 2)): e for box, e in zip(boxes, expressions, strict=True)})
        return picture, boxes

    cocktail_draw = cocktail_party.draw_party
    monkeypatch.setattr(cocktail_party, "draw_party", draw)
    for row, expressions in zip(render(tmp_path), seen, strict=True):
        assert len(expressions) == 2
        assert row[3] in PAIRS[expressions[tuple(row[6:])]]


def test_the_box_has_the_size_of_the_speaker_and_its_center_in_the_picture(many):
    for row in many[1]:
        left, top, right, bottom = row[6:]
        assert right - left == pytest.approx(2 * RADII[kind(row[4])], rel=0.1)
        assert 0 < (left + right) / 2 < SIDE and 0 < (top + bottom) / 2 < SIDE


def test_the_box_shows_the_skin_of_the_speaker(many):
    root, rows = many
    skins = {person.name: person.look.skin for person in draw_people("train", 0)}
    for row in rows[:60]:
        left, top, right, bottom = row[6:]
        picture = Image.open(root / row[1])
        assert picture.getpixel(((left + right) / 2, (top + bottom) / 2)) == skins[row[4]]


def test_the_pitch_of_the_voice_tells_who_speaks(many):
    root, rows = many
    for row in [row for row in rows if row[3] in ("calm", "sad", "disgust", "neutral")][:60]:
        spectrum = np.abs(np.fft.rfft(soundfile.read(root / row[2])[0]))
        pitch = spectrum.argmax() / 1.5
        nearest = min(PITCHES, key=lambda kind: abs(PITCHES[kind] - pitch))
        assert nearest == kind(row[4])


@pytest.mark.parametrize("faces", [1, 2, 3])
def test_a_picture_holds_as_many_faces_as_is_asked(tmp_path, faces):
    for row in render(tmp_path, end=15, faces=faces):
        picture = np.asarray(Image.open(tmp_path / row[1])).astype(int)
        colors, counts = np.unique(picture.reshape(-1, 3), axis=0, return_counts=True)
        skins = [tuple(person.look.skin) for person in draw_people("train", 0)]
        large = {tuple(color) for color in colors[counts > 200].tolist()}
        assert len(large & set(skins)) == faces


def test_no_subject_is_in_two_splits():
    cast = {split: draw_people(split, 0) for split in ("train", "val", "test")}
    voices = [(person.look, person.pitch) for persons in cast.values() for person in persons]
    assert len(set(voices)) == len(voices) == 90
    assert len({person.name for persons in cast.values() for person in persons}) == 90


def test_reading_gives_the_contents_of_all_splits(party):
    contents = party.read()
    assert Counter(clip.split for clip in contents.recordings) == party.clips
    assert contents.output_names == list(EMOTIONS)
    assert all(clip.box and clip.image.is_file() for clip in contents.recordings)


def test_what_is_rendered_is_read_again_rather_than_written_again(party, monkeypatch):
    first = party.read()
    monkeypatch.setattr(CocktailParty, "render", lambda self: pytest.fail("rendered again"))
    assert CocktailParty(str(party.root.parent), party.clips).read() == first


@pytest.mark.slow
def test_several_processes_render_the_same_bytes_as_one(tmp_path, party):
    corpus = CocktailParty(str(tmp_path), party.clips)
    corpus.read()
    assert read_files(corpus.root) == read_files(party.root)


def test_an_interrupted_rendering_is_begun_again(tmp_path, in_process):
    corpus = CocktailParty(str(tmp_path), CLIPS)
    left_over = Path(f"{corpus.root}.partial")
    left_over.mkdir()
    (left_over / "manifest.csv").write_text("half of a manifest")
    assert len(corpus.read().recordings) == 8
    assert not left_over.exists()


@pytest.mark.parametrize(
    "change",
    [
        {"faces": 2},
        {"seed": 1},
        {"clips": CLIPS | {"test": 3}},
        {"arousal_seen": True},
        {"expression_heard": 0.5},
    ],
)
def test_every_setting_has_a_folder_of_its_own(tmp_path, change):
    settings = {"clips": CLIPS, "faces": 1, "seed": 0}
    corpora = [CocktailParty(str(tmp_path), **s) for s in (settings, settings | change, settings)]
    assert corpora[0].root == corpora[2].root != corpora[1].root


def test_the_folder_of_given_settings_stays_where_it_was_rendered(tmp_path):
    clips = {"train": 4000, "val": 500, "test": 2000}
    assert CocktailParty(str(tmp_path), clips).root.name == "2_faces-98c337bb"


class World(NamedTuple):
    """All that decides the label of a clip, and what is seen and heard of it."""

    expressions: tuple[str, ...]
    aroused: tuple[bool, ...]  # as the faces look, where they show it
    heard: bool
    speaker: int

    @property
    def label(self) -> str:
        return PAIRS[self.expressions[self.speaker]][not self.heard]


KNOWN = {
    "nothing": lambda world: None,
    "the voice": lambda world: world.heard,
    "the faces": lambda world: (world.expressions, world.aroused),
    "the voice and faces": lambda world: world,
}
CEILINGS = {  # where arousal is heard, and where it is seen, too
    False: dict(zip(KNOWN, (1 / 8, 1 / 4, 0.3125, 1.0), strict=True)),
    True: dict(zip(KNOWN, (1 / 8, 1 / 4, 0.5625, 1.0), strict=True)),
}


def best_answers(known, seen) -> tuple[dict, float]:
    """The likeliest label for all that may be known, and how often it is right, over all worlds."""
    labels = defaultdict(Counter)
    two, both = range(2), (False, True)
    for *shown, heard, other, speaker in product(EXPRESSIONS, EXPRESSIONS, both, both, two):
        aroused = (heard, other) if speaker == 0 else (other, heard)
        world = World(tuple(shown), aroused if seen else (), heard, speaker)
        labels[known(world)][world.label] += 1

    answers = {key: counts.most_common(1)[0] for key, counts in labels.items()}
    right = sum(count for _, count in answers.values())
    total = sum(counts.total() for counts in labels.values())
    return {key: label for key, (label, _) in answers.items()}, right / total


@pytest.fixture(scope="module", params=[False, True], ids=["heard", "seen"])
def worlds(request, tmp_path_factory):
    """Whether arousal is seen, and what decides 4,000 clips, of which no file is written."""
    faces, voices = [], []

    def draw(rng, looks, expressions, aroused):
        faces.append((tuple(expressions), tuple(aroused or ())))
        picture = SimpleNamespace(save=lambda *_, **__: None)
        return picture, [Box(n, 0, n + 1, 1) for n in range(len(looks))]

    def synthesize(rng, pitch, arousal):
        voices.append(arousal == 1)
        return np.zeros(1)

    job = RenderJob(tmp_path_factory.mktemp("none"), "train", 0, 0, 2, 0, request.param)
    people = draw_people("train", 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cocktail_party, "draw_party", draw)
        patch.setattr(cocktail_party, "synthesize_voice", synthesize)
        patch.setattr(cocktail_party, "write_wav", lambda *_: None)
        rows = [render_clip(job, number, people) for number in range(4000)]
    drawn = zip(faces, voices, rows, strict=True)
    found = [(World(*face, heard, int(row[6])), row[3]) for face, heard, row in drawn]
    return request.param, found


@pytest.mark.parametrize("name", KNOWN)
def test_ceilings_are_those_of_the_docstring(worlds, name):
    seen, found = worlds
    answers, ceiling = best_answers(KNOWN[name], seen)
    assert ceiling == CEILINGS[seen][name]
    right = [answers[KNOWN[name](world)] == label for world, label in found]
    assert np.mean(right) == pytest.approx(ceiling, abs=0.03)  # deviation below 0.008


def test_the_speaker_looks_as_aroused_as_the_voice_is_and_others_do_by_chance(worlds):
    seen, found = worlds
    if not seen:
        assert all(world.aroused == () for world, _ in found)
        return
    assert all(world.aroused[world.speaker] == world.heard for world, _ in found)
    agree = [world.aroused[1 - world.speaker] == world.heard for world, _ in found]
    assert np.mean(agree) == pytest.approx(0.5, abs=0.03)


def test_where_arousal_is_seen_clips_are_the_same_but_for_the_mouths(tmp_path):
    rows = [render(tmp_path / str(seen), arousal_seen=seen) for seen in (False, True)]
    assert rows[0] == rows[1]
    changed = 0
    for row in rows[0]:
        heard = [(tmp_path / str(seen) / row[2]).read_bytes() for seen in (False, True)]
        assert heard[0] == heard[1]
        one, other = (
            np.asarray(Image.open(tmp_path / str(seen) / row[1])) for seen in (False, True)
        )
        lips = (one != other).any(axis=2) & (one[..., 1] > 0)  # what the calm one has as skin
        assert set(map(tuple, other[lips])) <= {OPEN_MOUTH_COLOR}
        changed += lips.any()
    assert 20 < changed < 40  # three quarters of 40: those with an aroused face


def test_the_mouth_of_the_speaker_gapes_where_the_voice_is_aroused(tmp_path):
    for row in render(tmp_path, end=80, arousal_seen=True):
        picture = np.asarray(Image.open(tmp_path / row[1]))
        left, top, right, bottom = (max(0, round(side)) for side in row[6:])
        mouth = (picture[top:bottom, left:right] == OPEN_MOUTH_COLOR).all(axis=2).sum()
        is_aroused = row[3] in {pair[0] for pair in PAIRS.values()}
        assert (mouth > 0.26 * ((right - left) / 2) ** 2) == is_aroused, row


@pytest.mark.slow
def test_the_pitch_tells_the_expression_in_a_share_of_the_clips_and_nothing_else_changes(tmp_path):
    """Those of three quarters of 120 clips are 90, with a deviation of 4.7."""
    rows = [
        render(tmp_path / str(share), end=120, faces=1, expression_heard=share)
        for share in (0, 0.75)
    ]
    assert rows[0] == rows[1]
    people = {person.name: person.pitch for person in draw_people("train", 0)}
    telling = 0
    for row in rows[0]:
        pictures = [(tmp_path / str(share) / row[1]).read_bytes() for share in (0, 0.75)]
        assert pictures[0] == pictures[1]
        spectrum = np.abs(np.fft.rfft(soundfile.read(tmp_path / "0.75" / row[2])[0]))
        pitch = spectrum[: round(1.5 * 550)].argmax() / 1.5  # the lowest, and loudest, harmonic
        pair = next(n for n, name in enumerate(EXPRESSIONS) if row[3] in PAIRS[name])
        told = abs(pitch / EXPRESSION_PITCHES[pair] - 1)
        own = abs(pitch / people[row[4]] - 1)
        assert min(told, own) < 0.35  # an aroused voice swings
        telling += told < own
    assert 76 <= telling <= 104


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"faces": 2, "expression_heard": 0.5}, r"expression_heard=0.5 takes .*set corpus.faces=1"),
        ({"faces": 1, "expression_heard": 1.5}, r"expression_heard must lie in \[0, 1\], got 1.5"),
        ({"faces": 0}, r"corpus\.faces must lie between 1 and 3, .*got 0"),
        ({"faces": 4}, r"corpus\.faces .*got 4"),
        ({"clips": {"train": 4, "dev": 2}}, r"corpus\.clips .*'dev': 2"),
        ({"clips": CLIPS | {"val": 0}}, r"corpus\.clips .*'val': 0"),
        ({"clips": {}}, r"corpus\.clips .*at least one clip, got \{\}"),
    ],
)
def test_bad_options_are_refused_with_their_value(tmp_path, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        CocktailParty(str(tmp_path), **{"clips": CLIPS} | options)
