"""Claims about long recordings."""

import numpy as np
import pytest
import soundfile
from conftest import one_process, tone, write_sound, write_video

from avfusion.corpora import Recording
from avfusion.evaluation import windows
from avfusion.evaluation.windows import Windows
from avfusion.features import AudioFeatures, FaceFeatures, Features, Policies, audio


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    monkeypatch.setattr(windows, "run_parallel", one_process)


FEATURES = Features(FaceFeatures(size=32), AudioFeatures(duration=1.0))


@pytest.fixture
def long(tmp_path):
    """A video of six seconds whose gray level is 20 plus 30 times the second."""
    times = np.arange(0, 6, 0.1)
    pictures = [np.full((32, 32, 3), round(20 + 30 * time), np.uint8) for time in times]
    wave = np.concatenate([(second + 1) / 7 * tone(1.0) for second in range(6)])
    path = write_video(tmp_path / "a.mkv", pictures, times.tolist(), wave)
    return Recording("a", "", "", "test", video=path)


@pytest.mark.parametrize(("step", "starts"), [(None, 0.5), (0.25, 0.25), (2.0, 2.0)])
def test_a_long_recording_is_cut_into_windows_that_overlap(long, step, starts):
    parts = Windows(longer_than=3.0, step=step)([long], FEATURES)
    first = [window.window[0] / 16_000 for window in parts]
    regular = [time for time in first if time % starts == 0]
    np.testing.assert_allclose(regular, np.arange(len(regular)) * starts)
    assert len(first) - len(regular) == (starts == 2.0)
    assert 5.9 <= first[-1] + 1 <= 6.1
    assert all(window.window[1] - window.window[0] == 16_000 for window in parts)
    assert parts[1].clip_id == f"a @ {starts:.2f} s"


@pytest.mark.parametrize("held", [16_000, 10**9])
def test_face_and_sound_of_a_window_come_from_its_time(long, monkeypatch, held):
    monkeypatch.setattr(audio, "MAX_SAMPLES", held)
    audio._decode_stretch.cache_clear()
    parts = Windows(longer_than=3.0, step=1.0)([long], FEATURES)
    clips = [FEATURES(window) for window in parts]
    levels = [(part.face.mean() - 20) / 30 for part in clips]
    np.testing.assert_allclose(levels, np.arange(len(clips)) + 0.45, atol=0.12)
    loudness = np.array([part.waveform.std() for part in clips])
    np.testing.assert_allclose(loudness / loudness[0], np.arange(len(clips)) + 1, rtol=0.1)


def test_a_window_is_the_same_clip_as_the_features_would_choose(long):
    whole = FEATURES(long)
    start = Features(FaceFeatures(size=32), AudioFeatures(duration=1.0, crop="start"))(long)
    window = Windows(longer_than=3.0, step=1.0)([long], FEATURES)[0]
    assert np.array_equal(FEATURES(window).audio, start.audio)
    assert np.array_equal(FEATURES(window).face, start.face)
    assert not np.array_equal(whole.audio, start.audio)


def test_short_silent_and_broken_recordings_stay_whole(long, tmp_path):
    (tmp_path / "broken.wav").write_text("no sound")
    write_sound(tmp_path / "short.wav", tone(2.0))
    given = [
        Recording("picture", "", "", "test", image=tmp_path / "a.png"),
        Recording("broken", "", "", "test", audio=tmp_path / "broken.wav"),
        Recording("short", "", "", "test", audio=tmp_path / "short.wav"),
    ]
    assert Windows(longer_than=3.0)(given, FEATURES) == given


@pytest.mark.parametrize("wrong", [{"longer_than": 0}, {"step": -1.0}])
def test_windows_of_no_length_are_refused(wrong):
    with pytest.raises(ValueError, match="must be positive seconds"):
        Windows(**wrong)


def test_a_long_video_without_sound_is_cut_by_its_pictures(tmp_path):
    times = np.arange(0, 6, 0.1)
    pictures = [np.full((32, 32, 3), round(20 + 30 * time), np.uint8) for time in times]
    path = write_video(tmp_path / "mute.mkv", pictures, times.tolist())
    whole = Recording("mute", "", "", "test", video=path)
    masking = Features(
        FaceFeatures(size=32), AudioFeatures(duration=1.0), Policies.for_prediction()
    )
    parts = Windows(longer_than=3.0, step=1.0)([whole], masking)
    levels = [(masking(part).face.mean() - 20) / 30 for part in parts]
    np.testing.assert_allclose(levels, [*np.arange(5) + 0.45, 5.35], atol=0.15)


def test_a_recording_that_ends_its_process_leaves_the_others_whole(long, monkeypatch, caplog):
    def killed(*arguments):
        raise ChildProcessError

    monkeypatch.setattr(windows, "run_parallel", killed)
    assert Windows(longer_than=3.0)([long], FEATURES) == [long]
    assert "none is cut into windows" in caplog.text


def test_a_silent_window_keeps_the_picture_of_its_time_or_nothing_at_all(tmp_path):
    times = np.arange(0, 6, 0.1)
    pictures = [np.full((32, 32, 3), round(20 + 30 * time), np.uint8) for time in times]
    wave = np.concatenate([tone(2.0), np.zeros(32_000), tone(1.0)])
    video = write_video(tmp_path / "a.mkv", pictures, times.tolist(), wave, sound_start=1.0)
    masking = Features(
        FaceFeatures(size=32), AudioFeatures(duration=1.0), Policies.for_prediction()
    )
    for files, lasting in (({"video": video}, True), ({"audio": video}, False)):
        parts = Windows(longer_than=3.0, step=1.0)(
            [Recording("a", "", "", "test", **files)], masking
        )
        clips = [masking(part) for part in parts]
        assert [clip.has_audio for clip in clips][:5] == [True, True, False, False, True]
        assert {clip.has_face for clip in clips} == {lasting}
        notes = {clip.note for clip in clips if not clip.has_audio}
        assert notes == {"silent; picture only" if lasting else "silent; no picture"}
        if lasting:
            levels = [(clip.face.mean() - 20) / 30 for clip in clips[:5]]
            np.testing.assert_allclose(levels, 1 + np.arange(5) + 0.45, atol=0.2)


def test_a_sample_that_is_not_finite_concerns_its_own_window_only(tmp_path):
    wave = tone(6.0)
    wave[20_000] = np.nan
    soundfile.write(tmp_path / "a.wav", wave, 16_000, subtype="FLOAT")
    masking = Features(
        FaceFeatures(size=32), AudioFeatures(duration=1.0), Policies.for_prediction()
    )
    whole = Recording("a", "", "", "test", audio=tmp_path / "a.wav")
    notes = [masking(part).note for part in Windows(longer_than=3.0, step=1.0)([whole], masking)]
    assert ["not finite" in note for note in notes] == [False, True, False, False, False, False]
