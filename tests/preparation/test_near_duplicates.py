"""Claims about copies that are not the same bytes, and what is no copy."""

import logging
from itertools import combinations

import numpy as np
import pytest
from conftest import split_by, write_manifest, write_sound
from PIL import Image

from avfusion.corpora import CocktailParty, Manifest
from avfusion.corpora.voice import synthesize_voice
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.store import Store
from avfusion.features.fingerprints import fingerprint_picture, fingerprint_sound
from avfusion.preparation.executors.local import InProcess, Local
from avfusion.preparation.near_duplicates import (
    FILE_NAME,
    MAX_DIFFERING,
    describe_near_duplicates,
    find_close_pairs,
)
from avfusion.preparation.prepare import prepare
from avfusion.preparation.summary import summarize_store


def say_sentence(seed, pitch=120.0):
    """A take of one sentence: the same syllables, in a noisy room that is silent around them."""
    rng = np.random.default_rng(seed)
    voice = synthesize_voice(rng, pitch, 0.7)[2_000:-2_000].astype(np.float32)
    silence = [rng.normal(0, 1e-4, 6_000).astype(np.float32) for _ in range(2)]
    return np.concatenate([silence[0], 4 * voice, silence[1]])


def draw_face(seed, side=96):
    """A picture of spots, wide and narrow ones, as photographs have."""
    rng = np.random.default_rng(seed)
    sizes = (5, 11, 23)
    spots = [Image.fromarray(rng.integers(0, 255, (n, n, 3), np.uint8)) for n in sizes]
    large = [np.asarray(one.resize((side, side), Image.Resampling.BICUBIC)) for one in spots]
    return Image.fromarray(np.mean(large, axis=0).astype(np.uint8))


def count_differing(one, other):
    return int(
        np.bitwise_count(np.frombuffer(one, np.uint8) ^ np.frombuffer(other, np.uint8)).sum()
    )


def test_a_copy_of_other_gain_and_without_silence_has_the_fingerprint_and_no_other_take_has():
    take = say_sentence(0)
    copy = np.round(0.3 * take[5_000:-4_000] * 2**15).astype(np.float32) / 2**15
    assert count_differing(fingerprint_sound(take), fingerprint_sound(copy)) <= MAX_DIFFERING
    prints = [fingerprint_sound(say_sentence(seed)) for seed in range(6)]
    assert min(count_differing(*two) for two in combinations(prints, 2)) > 2 * MAX_DIFFERING


def test_what_is_silent_too_short_or_of_one_color_has_no_fingerprint():
    click = np.zeros(8_000, np.float32)
    click[100] = 1
    for sound in (np.zeros(0, np.float32), np.zeros(8_000, np.float32), click):
        assert fingerprint_sound(sound) is None
    assert fingerprint_picture(np.full((32, 32, 3), 90, np.uint8)) is None


def test_a_smaller_darker_picture_has_the_fingerprint_and_no_other_picture_has():
    prints = [fingerprint_picture(np.asarray(draw_face(seed))) for seed in range(6)]
    copy = np.asarray(draw_face(0).resize((48, 48)).point(lambda level: 0.8 * level))
    assert count_differing(prints[0], fingerprint_picture(copy)) <= MAX_DIFFERING
    assert min(count_differing(*two) for two in combinations(prints, 2)) > 2 * MAX_DIFFERING


def test_close_pairs_are_those_of_comparing_each_with_each():
    rng = np.random.default_rng(0)
    bits = rng.integers(0, 2, (300, 256), np.uint8)
    for copy, changed in enumerate((0, 3, 7, 40)):  # 40 are no copy
        bits[100 + copy] = bits[copy]
        bits[100 + copy, rng.choice(256, changed, replace=False)] ^= 1
    pairs, differing = find_close_pairs(np.packbits(bits, axis=1).view(np.uint64))
    assert pairs.tolist() == [[0, 100], [1, 101], [2, 102]] and differing.tolist() == [0, 3, 7]


@pytest.fixture(scope="module")
def copies(tmp_path_factory, small_features):
    """Takes of a sentence by four people; b has a copy of the sound of a, d of the picture of c."""
    root = tmp_path_factory.mktemp("copies")
    rows = []
    for number, name in enumerate("abcd"):
        write_sound(root / f"{name}.wav", say_sentence(number))
        draw_face(number).save(root / f"{name}.png")
        rows.append({"clip_id": name, "label": "x", "subject": name, "image_path": f"{name}.png"})
        rows[-1] |= {"audio_path": f"{name}.wav", "split": "train" if name in "ac" else "test"}
    write_sound(root / "b.wav", 0.3 * say_sentence(0)[5_000:-4_000])
    draw_face(2).save(root / "d.jpg", quality=60)
    rows[-1]["image_path"] = "d.jpg"
    rows.append(rows[0] | {"clip_id": "e", "image_path": "e.jpg"})  # a's own face, once more
    draw_face(0).save(root / "e.jpg", quality=60)
    write_sound(root / "e.wav", say_sentence(9))
    rows[-1]["audio_path"] = "e.wav"
    write_manifest(root, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Local, "run", InProcess.run)
        return prepare(Manifest(str(root)), small_features, root / "stores")


def test_suspected_copies_are_told_and_listed_and_refuse_nothing(copies, caplog):
    sound = "1 pair of clips probably have the same sound, but for gain and silence: a = b."
    picture = "1 pair of clips of several subjects probably have the same picture: c = d."
    told = summarize_store(copies)
    assert sound in told and picture in told and f"{copies / FILE_NAME} lists all." in told
    with caplog.at_level(logging.WARNING):
        data = FaceAudioDataModule(str(copies))
        assert data.splits.counts() == {"train": 3, "val": 0, "test": 2}
    assert "in different splits probably have the same sound" in caplog.text
    assert "a (train) = b (test)" in caplog.text and "c (train) = d (test)" in caplog.text


def test_where_clips_are_alike_by_nature_none_are_suspected(copies, small_features, in_process):
    corpus = Manifest(str(copies.parents[1]))
    corpus.allowed_leaks = ["near_duplicates"]
    store = prepare(corpus, small_features, copies.parents[1] / "alike")
    assert "probably" not in summarize_store(store) and not (store / FILE_NAME).exists()
    assert "near_duplicates" in CocktailParty.allowed_leaks


def test_copies_within_a_split_are_no_matter_of_its_plan(copies):
    store = Store(copies)
    assert describe_near_duplicates(store, split_by(store, {"train": [0, 5]})) == []
    (sentence,) = describe_near_duplicates(store, split_by(store, {"train": [0, 1], "val": [1, 5]}))
    assert "a (train) = b (val)" in sentence
