"""All features of one clip, and policies for what it lacks."""

import numpy as np
import pytest
import soundfile
import torch
from conftest import tone, write_picture, write_sound, write_video
from PIL import Image

from avfusion.corpora.recording import Box, Recording
from avfusion.features import AudioFeatures, FaceFeatures, Features, Policies, Unreadable, picture

SECOND = AudioFeatures(duration=1.0)


def recording(**files):
    return Recording("clip", "label", "subject", "train", **files)


def picture_and_sound(folder, wave, size=(48, 40), spot=None):
    picture = np.full((size[1], size[0], 3), 90, np.uint8)
    if spot:
        picture[spot[1] : spot[3], spot[0] : spot[2]] = 255
    Image.fromarray(picture).save(folder / "a.png")
    box = Box(*map(float, spot)) if spot else None
    return recording(image=folder / "a.png", audio=write_sound(folder / "a.wav", wave), box=box)


def brightness_in_time(folder, seconds, wave, sound_start=0.0):
    """A video whose gray level is 20 plus 40 times the second."""
    times = np.arange(0, seconds, 0.1)
    pictures = [np.full((32, 32, 3), round(20 + 40 * time), np.uint8) for time in times]
    return write_video(folder / "a.mp4", pictures, times.tolist(), wave, sound_start)


def seconds_of(clip):
    return (clip.face.mean(axis=(1, 2, 3)) - 20) / 40


@pytest.mark.parametrize("peak", [0.0, 0.0001])
def test_a_silent_clip_is_refused(tmp_path, peak):
    clip = picture_and_sound(tmp_path, peak * tone(1.0))
    with pytest.raises(Unreadable, match=r"a\.wav: silent \(energy -"):
        Features(FaceFeatures(), SECOND)(clip)


def test_a_very_quiet_clip_is_kept(tmp_path):
    wave = tone(1.0)
    clip = picture_and_sound(tmp_path, 0.0077 * wave / np.abs(wave).max())
    sound = Features(FaceFeatures(), SECOND)(clip).waveform
    assert np.abs(sound).max() / 2**15 == pytest.approx(0.0077, abs=1e-4)


def test_only_what_is_kept_of_a_sound_counts_as_silence(tmp_path):
    wave = np.concatenate([tone(1.0), np.zeros(64_000), tone(1.0)])
    clip = picture_and_sound(tmp_path, wave)
    with pytest.raises(Unreadable, match="silent"):
        Features(FaceFeatures(), SECOND)(clip)


def test_audio_frames_are_those_of_the_sound_that_is_kept(tmp_path):
    clip = Features(FaceFeatures(), SECOND)(picture_and_sound(tmp_path, tone(1.7)))
    assert len(clip.waveform) == 16_000
    np.testing.assert_allclose(clip.waveform / 2**15, tone(1.7)[5600:21_600], atol=3 / 2**15)
    np.testing.assert_array_equal(clip.audio, SECOND(torch.from_numpy(clip.waveform)))


@pytest.mark.parametrize("size", [(48, 40), (40, 64), (50, 50)])
def test_the_box_is_in_fractions_of_the_stored_picture(tmp_path, size):
    files = picture_and_sound(tmp_path, tone(1.0), size, spot=(8, 6, 24, 30))
    clip = Features(FaceFeatures(size=200), SECOND)(files)
    rows, columns = np.where(clip.face[0, ..., 0] > 170)
    left, top, right, bottom = (200 * side for side in clip.box)
    assert (columns.min(), columns.max() + 1) == pytest.approx((left, right), abs=2.5)
    assert (rows.min(), rows.max() + 1) == pytest.approx((top, bottom), abs=2.5)


def test_a_box_is_that_of_the_file_though_the_picture_is_reduced(tmp_path, monkeypatch):
    files = picture_and_sound(tmp_path, tone(1.0), (48, 40), spot=(8, 8, 24, 32))
    whole = Features(FaceFeatures(size=200), SECOND)(files)
    monkeypatch.setattr(picture, "MAX_KEPT_PIXELS", 500)
    reduced = Features(FaceFeatures(size=200), SECOND)(files)
    assert reduced.box == whole.box and reduced.crop == whole.crop
    assert not np.array_equal(reduced.face, whole.face)


def test_a_clip_without_a_box_has_none(tmp_path):
    clip = Features(FaceFeatures(), SECOND)(picture_and_sound(tmp_path, tone(1.0)))
    assert clip.box is None and clip.note == ""


def test_the_report_says_where_no_face_was_found(tmp_path):
    haar = Features(FaceFeatures(detector="haar"), SECOND)
    assert "no face found" in haar(picture_and_sound(tmp_path, tone(1.0))).note


@pytest.mark.parametrize(("crop", "first"), [("center", 1.5), ("start", 0.0)])
def test_pictures_of_a_video_come_from_the_seconds_of_its_sound_that_are_kept(
    tmp_path, crop, first
):
    audio, face = AudioFeatures(duration=1.0, crop=crop), FaceFeatures(size=32, num_frames=4)
    clip = Features(face, audio)(recording(video=brightness_in_time(tmp_path, 4.0, tone(4.0))))
    middles = first + (np.arange(4) + 0.5) / 4
    np.testing.assert_allclose(seconds_of(clip), middles, atol=0.13)


def test_pictures_wait_for_a_sound_that_starts_late(tmp_path):
    video = brightness_in_time(tmp_path, 4.0, tone(2.0), sound_start=1.5)
    clip = Features(FaceFeatures(size=32, num_frames=2), SECOND)(recording(video=video))
    np.testing.assert_allclose(seconds_of(clip), [2.25, 2.75], atol=0.2)


def test_frames_of_a_folder_are_spread_over_the_sound_that_is_kept(tmp_path):
    (tmp_path / "frames").mkdir()
    for number in range(40):
        level = np.full((32, 32, 3), round(20 + 40 * number / 10), np.uint8)
        Image.fromarray(level).save(tmp_path / "frames" / f"{number:03d}.png")
    sound = write_sound(tmp_path / "a.wav", tone(4.0))
    files = recording(image=tmp_path / "frames", audio=sound)
    clip = Features(FaceFeatures(size=32, num_frames=2), SECOND)(files)
    np.testing.assert_allclose(seconds_of(clip), [1.75, 2.25], atol=0.1)


def test_a_single_picture_is_repeated(tmp_path):
    face = FaceFeatures(size=32, num_frames=3)
    clip = Features(face, SECOND)(picture_and_sound(tmp_path, tone(1.0), spot=(3, 4, 9, 9)))
    assert clip.face.shape == (3, 32, 32, 3)
    assert (clip.face == clip.face[:1]).all()


def test_arrays_have_room_for_the_longest_clip(tmp_path):
    features = Features(FaceFeatures(size=32, num_frames=2), SECOND)
    clip = features(picture_and_sound(tmp_path, tone(3.0)))
    arrays = features.arrays(5)
    assert {name: array.shape[1:] for name, array in arrays.items()} == {
        name: values.shape for name, values in features.values(clip).items()
    }
    assert all(len(array) == 5 and not array.any() for array in arrays.values())


NAN = np.concatenate([0.3 * tone(0.5), [np.nan, np.inf, -np.inf], 0.3 * tone(0.5)])


def features_with(**policies):
    return Features(FaceFeatures(size=32), SECOND, Policies(**policies))


def faceless(folder):
    write_sound(folder / "a.wav", 0.3 * tone(1.0))
    return recording(audio=folder / "a.wav")


def voiceless(folder):
    return recording(image=write_picture(folder / "a.png", (9, 9, 9)))


def voiceless_video(folder):
    frames = [np.full((32, 32, 3), 20 * n, np.uint8) for n in range(10)]
    return recording(video=write_video(folder / "a.mp4", frames, [n / 10 for n in range(10)]))


def silent(folder):
    return picture_and_sound(folder, np.zeros(16_000))


def infinite(folder):
    soundfile.write(folder / "a.wav", NAN, 16_000, subtype="FLOAT")
    return recording(image=write_picture(folder / "a.png", (9, 9, 9)), audio=folder / "a.wav")


def short(folder):
    return picture_and_sound(folder, 0.3 * tone(0.02))


@pytest.mark.parametrize(
    ("policy", "write", "reason"),
    [
        ("missing", faceless, "no picture"),
        ("missing", voiceless, "no sound"),
        ("missing", voiceless_video, "no sound"),
        ("silent", silent, "silent"),
        ("not_finite", infinite, "samples that are not finite"),
        ("too_short", short, "too short"),
    ],
)
def test_a_recording_that_lacks_something_is_skipped_or_ends_all_as_its_policy_says(
    tmp_path, policy, write, reason
):
    clip = write(tmp_path)
    for chosen in ("skip", "error"):
        with pytest.raises(Unreadable, match=reason) as refusal:
            features_with(**{policy: chosen})(clip)
        assert refusal.value.fatal == (chosen == "error")


@pytest.mark.parametrize(
    ("policy", "write", "has"),
    [
        ({"missing": "mask"}, faceless, (False, True)),
        ({"missing": "mask"}, voiceless, (True, False)),
        ({"missing": "mask"}, voiceless_video, (True, False)),
        ({"silent": "mask"}, silent, (True, False)),
    ],
)
def test_a_masked_modality_is_zero_and_its_flag_is_off(tmp_path, policy, write, has):
    clip = features_with(**policy)(write(tmp_path))
    assert (clip.has_face, clip.has_audio) == has
    assert clip.face.any() == has[0] and clip.audio.any() == has[1]
    assert len(clip.audio) == (1 if not has[1] else 1 + (16_000 - 960) // 480)
    assert clip.note.endswith("picture only" if has[0] else "sound only")


def test_without_sound_the_pictures_are_spread_over_the_whole_video(tmp_path):
    clip = voiceless_video(tmp_path)
    settings = Features(FaceFeatures(size=32, num_frames=3), SECOND, Policies(missing="mask"))
    levels = settings(clip).face.mean(axis=(1, 2, 3)) / 20
    np.testing.assert_allclose(levels, [1, 4, 7], atol=0.5)


def test_nothing_at_all_is_never_a_clip(tmp_path):
    write_sound(tmp_path / "a.wav", np.zeros(16_000))
    with pytest.raises(Unreadable, match="neither sound nor picture"):
        features_with(missing="mask", silent="mask")(recording(audio=tmp_path / "a.wav"))


def test_pictures_of_a_silent_sound_come_from_the_seconds_that_are_kept(tmp_path):
    video = brightness_in_time(tmp_path, 4.0, np.zeros(32_000), sound_start=1.5)
    masking = Features(FaceFeatures(size=32, num_frames=2), SECOND, Policies(silent="mask"))
    clip = masking(recording(video=video))
    assert not clip.has_audio and clip.seconds == pytest.approx(2.0, abs=0.15)
    np.testing.assert_allclose(seconds_of(clip), [2.25, 2.75], atol=0.2)


def test_samples_that_are_not_finite_can_be_replaced_by_silence(tmp_path):
    sound = features_with(not_finite="replace")(infinite(tmp_path)).waveform
    assert sound.std() > 1000 and np.abs(sound).max() < 20_000


def test_a_sound_shorter_than_a_window_is_filled_up(tmp_path):
    clip = features_with()(short(tmp_path))
    assert len(clip.waveform) == 320 and len(clip.audio) == 1


def test_a_policy_of_no_meaning_is_refused():
    with pytest.raises(ValueError, match=r"features\.policies\.no_face .*'mask'"):
        Policies(no_face="mask")
