"""Claims about what a corpus is."""

from pathlib import Path

import pytest

from avfusion.corpora import Corpus, Manifest, Recording
from avfusion.corpora.recording import listed

VIDEO, IMAGE, AUDIO = Path("a.mp4"), Path("a.png"), Path("a.wav")


def test_the_sound_of_a_video_is_in_the_video():
    recording = Recording("a", "label", "subject", "train", video=VIDEO)
    assert (recording.sound_source, recording.sources) == (VIDEO, [VIDEO])


def test_a_picture_and_a_sound_are_both_read():
    recording = Recording("a", "label", "subject", "train", image=IMAGE, audio=AUDIO)
    assert (recording.sound_source, recording.sources) == (AUDIO, [IMAGE, AUDIO])


def test_every_corpus_keeps_the_contract(party, recordings):
    assert isinstance(party, Corpus) and isinstance(Manifest(str(recordings)), Corpus)


@pytest.mark.parametrize(
    ("items", "sentence"), [("ab", "a, b"), ("abc", "a, b, c"), ("abcde", "a, b, c and 2 more")]
)
def test_a_long_list_is_counted_rather_than_shown(items, sentence):
    assert listed(list(items), most=3) == sentence


@pytest.mark.parametrize("sign", [" = ", "/"])
def test_long_items_are_cut(sign):
    many = sign.join(f"clip_{number:04}" for number in range(1000))
    assert listed([many, "b  c", "d"], most=2) == f"{many[:196]} ..., b  c and 1 more"
