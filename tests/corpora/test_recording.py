"""Recordings and the contract of corpora."""

from pathlib import Path

from avfusion.corpora import Corpus, Manifest, Recording

VIDEO, IMAGE, AUDIO = Path("a.mp4"), Path("a.png"), Path("a.wav")


def test_the_sound_of_a_video_is_in_the_video():
    recording = Recording("a", "label", "subject", "train", video=VIDEO)
    assert (recording.sound_source, recording.sources) == (VIDEO, [VIDEO])


def test_a_picture_and_a_sound_are_both_read():
    recording = Recording("a", "label", "subject", "train", image=IMAGE, audio=AUDIO)
    assert (recording.sound_source, recording.sources) == (AUDIO, [IMAGE, AUDIO])


def test_every_corpus_keeps_the_contract(party, recordings):
    assert isinstance(party, Corpus) and isinstance(Manifest(str(recordings)), Corpus)
