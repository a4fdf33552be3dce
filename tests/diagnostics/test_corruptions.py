"""Claims about corruptions of one clip, against closed forms."""

import cv2
import numpy as np
import pytest
from scipy import signal

from avfusion.diagnostics.corruptions import (
    CORRUPTIONS,
    GRAY,
    TALKERS,
    add_at_ratio,
    add_babble,
    add_speech_noise,
    derive_generator,
    draw_impulse_response,
)

RATE = 16_000
KNOWN = {one.name: one for one in CORRUPTIONS}
SOUNDS = [one for one in CORRUPTIONS if one.modality == "audio"]
FACES = [one for one in CORRUPTIONS if one.modality == "face"]


def draw(level=1, name="noise", clip="a", seed=0):
    return derive_generator(seed, name, level, clip)


def voice(seed, samples=RATE):
    """A sound whose spectrum falls by 6 dB per octave, as 16 bits."""
    white = np.random.default_rng(seed).standard_normal(samples)
    wave = signal.lfilter([1], [1, -0.95], white)
    return np.round(wave / np.abs(wave).max() * 16000).astype(np.int16)


def power(wave):
    return np.square(wave.astype(np.float64)).mean()


SOUND = voice(0)
OTHERS = [voice(number, RATE // 2 + 1000 * number) for number in range(1, 1 + TALKERS)]
PICTURES = np.random.default_rng(0).integers(0, 256, (3, 40, 48, 3), np.uint8)


def corrupt(one, level, clip="a", seed=0):
    generator = derive_generator(seed, one.name, level, clip)
    if one.modality == "audio":
        return one.corrupt_sound(SOUND, level, generator, OTHERS)
    return one.corrupt_pictures(PICTURES, level, generator)


def test_level_0_is_clean_others_are_drawn_from_the_clean_clip_and_nothing_is_silenced():
    for one in CORRUPTIONS:
        clean = SOUND if one.modality == "audio" else PICTURES
        before = clean.copy()
        assert corrupt(one, 0).tobytes() == clean.tobytes()
        made = [corrupt(one, level) for level in range(1, 1 + len(one.strengths))]
        again = [corrupt(one, level) for level in range(len(one.strengths), 0, -1)][::-1]
        for level, (values, same) in enumerate(zip(made, again, strict=True), start=1):
            place = f"{one.name} at level {level}"
            assert values.tobytes() == same.tobytes(), f"{place} depends on what came before"
            assert values.dtype == clean.dtype and values.shape == clean.shape, place
            assert not np.shares_memory(values, clean), place
            assert values.any() and (values != clean).any(), place
        assert clean.tobytes() == before.tobytes(), f"{one.name} changes what it is given"


def test_other_clips_and_other_seeds_get_other_noise_and_the_same_gets_the_same():
    for name in ("noise", "babble", "reverberation", "occlusion"):
        one = KNOWN[name]
        first = corrupt(one, 1)
        assert (first == corrupt(one, 1)).all()
        assert (first != corrupt(one, 1, clip="b")).any()
        assert (first != corrupt(one, 1, seed=1)).any()
    assert draw(1).random() != draw(2).random()


def test_the_mixture_has_the_ratio_asked_for_also_where_it_has_to_be_lowered():
    quiet = np.round(SOUND / 8).astype(np.int16)
    for name in ("noise", "babble"):
        one = KNOWN[name]
        for level, decibel in enumerate(one.strengths, start=1):
            mixture = one.corrupt_sound(quiet, level, draw(level, name), OTHERS)
            noise = mixture.astype(np.float64) - quiet
            measured = 10 * np.log10(power(quiet) / power(noise))
            assert measured == pytest.approx(decibel, abs=0.02), f"{name} at {decibel} dB"

        loud = corrupt(one, 7).astype(np.float64)  # the last mixture, eight times as loud, lowered
        assert np.abs(loud).max() == 2**15 - 1
        assert np.corrcoef(loud, mixture)[0, 1] > 0.9999

    sound, noise = np.array([1.0, -1.0]), np.array([0.5, 0.5])
    assert add_at_ratio(sound, noise, 20.0) == pytest.approx([1.1, -0.9])
    with pytest.raises(ValueError, match="Silence cannot be added"):
        add_at_ratio(sound, np.zeros(2), 0.0)


def test_noise_has_the_spectrum_of_voices_and_babble_is_their_sum():
    sound = SOUND / 2**15
    noise = add_speech_noise(sound, 0.0, draw(), [one / 2**15 for one in OTHERS]) - sound
    low, high = (
        np.sqrt(power(signal.sosfilt(signal.butter(4, band, "band", fs=RATE, output="sos"), noise)))
        for band in ((200, 300), (3200, 4800))
    )
    # Voices have |1 - 0.95 exp(-i w)|**-2; the bands are 100 and 1600 Hz wide.
    density = [1 / abs(1 - 0.95 * np.exp(-2j * np.pi * f / RATE)) ** 2 for f in (250, 4000)]
    expected = np.sqrt(density[0] * 100 / (density[1] * 1600))
    assert low / high == pytest.approx(expected, rel=0.25)

    tones = [np.sin(2 * np.pi * f * np.arange(RATE) / RATE) for f in (500, 1500)]
    babble = add_babble(sound, 0.0, draw(), [tones[0], 0.01 * tones[1]]) - sound
    found = np.abs(np.fft.rfft(babble))
    assert {*np.argsort(found)[-2:]} == {500, 1500}
    assert found[500] == pytest.approx(found[1500], rel=1e-6)  # equally loud


@pytest.mark.parametrize("name", ["noise", "babble"])
def test_silent_clips_are_no_noise(name):
    silent = np.zeros(RATE, np.int16)
    ours = KNOWN[name].corrupt_sound(SOUND, 3, draw(), [silent, *OTHERS])
    assert np.array_equal(ours, KNOWN[name].corrupt_sound(SOUND, 3, draw(), OTHERS))
    assert np.array_equal(KNOWN[name].corrupt_sound(SOUND, 3, draw(), [silent]), SOUND)


def test_reverberation_decays_by_60_dB_in_the_time_asked_for():
    for seconds in KNOWN["reverberation"].strengths:
        response = draw_impulse_response(seconds, draw())
        assert response[0] == 1 and power(response[1:]) * len(response[1:]) == pytest.approx(1)
        # Schroeder, 1965: the energy that is still to come, from -5 to -35 dB (ISO 3382).
        left = np.cumsum(response[:0:-1] ** 2)[::-1]
        level = 10 * np.log10(left / left[0])
        among = (level < -5) & (level > -35)
        slope = np.polyfit(np.flatnonzero(among) / RATE, level[among], 1)[0]
        assert -60 / slope == pytest.approx(seconds, rel=0.1)

        level = 1 + KNOWN["reverberation"].strengths.index(seconds)
        assert power(corrupt(KNOWN["reverberation"], level)) == pytest.approx(power(SOUND), rel=0.1)


def test_a_band_limit_removes_a_tone_above_it_and_keeps_one_below_where_it_is():
    time = np.arange(RATE) / RATE
    for level, hertz in enumerate(KNOWN["band"].strengths, start=1):
        below, above = (8000 * np.sin(2 * np.pi * hertz * f * time) for f in (0.5, 2))
        low, high = (
            KNOWN["band"].corrupt_sound(np.round(tone).astype(np.int16), level, draw())
            for tone in (below, np.minimum(above, 8000))
        )
        inner = slice(RATE // 4, -RATE // 4)
        assert np.abs(low - below)[inner].max() < 80  # a hundredth, and no delay
        if 2 * hertz < RATE / 2:
            assert power(high[inner]) < 1e-6 * power(above[inner])


def test_clipping_takes_the_share_of_samples_asked_for_and_never_all_of_a_pause():
    for level, share in enumerate(KNOWN["clipping"].strengths, start=1):
        clipped = np.abs(corrupt(KNOWN["clipping"], level))
        assert (clipped == clipped.max()).mean() == pytest.approx(share, abs=0.01)
        assert (clipped <= np.abs(SOUND)).all()

    pausing = np.where(np.arange(RATE) < 0.9 * RATE, 0, SOUND).astype(np.int16)
    worst = KNOWN["clipping"].corrupt_sound(pausing, 5, draw())
    assert worst[-1000:].any() and not worst[: RATE // 2].any()


def test_a_shift_moves_a_click_by_the_samples_asked_for_either_way():
    click = np.zeros(RATE, np.int16)
    click[8000] = 1000
    for level, milliseconds in enumerate(KNOWN["shift"].strengths, start=1):
        places = set()
        for clip in "abcdefgh":
            moved = KNOWN["shift"].corrupt_sound(click, level, draw(level, "shift", clip))
            assert len(moved) == RATE and np.count_nonzero(moved) == 1
            places.add(int(moved.argmax()) - 8000)
        samples = int(milliseconds * 16)
        assert places == {(8000 + sign * samples) % RATE - 8000 for sign in (-1, 1)}


def test_an_occluder_covers_the_share_asked_for_in_one_square_of_all_pictures():
    pictures = np.where(PICTURES == GRAY, 0, PICTURES).astype(np.uint8)
    for level, share in enumerate(KNOWN["occlusion"].strengths, start=1):
        places = set()
        for clip in "abcd":
            generator = draw(level, "occlusion", clip)
            made = KNOWN["occlusion"].corrupt_pictures(pictures, level, generator)
            covered = (made != pictures).all(axis=(0, 3)) & (made == GRAY).all(axis=(0, 3))
            assert covered.mean() == pytest.approx(share, abs=0.02)
            assert (made[:, ~covered] == pictures[:, ~covered]).all()
            rows, columns = covered.any(axis=1), covered.any(axis=0)
            assert covered.sum() == rows.sum() * columns.sum()
            places.add((int(rows.argmax()), int(columns.argmax())))
        assert len(places) > 1


def test_blur_darkness_jpeg_and_resolution_do_what_their_strength_says():
    dot = np.zeros((1, 101, 101, 3), np.uint8)
    dot[0, 48:53, 48:53] = 255
    wide = KNOWN["blur"].corrupt_pictures(dot, 3, draw())[0, :, :, 0].astype(float)
    rows = np.arange(101) - 50
    variance = (wide.sum(axis=1) * rows**2).sum() / wide.sum()
    assert variance == pytest.approx((0.04 * 101) ** 2 + 24 / 12, rel=0.1)  # of a box, 5 wide

    for level, factor in enumerate(KNOWN["darkness"].strengths, start=1):
        assert (corrupt(KNOWN["darkness"], level) == np.round(PICTURES * factor)).all()

    ramp = (2 * np.indices((64, 64)).sum(axis=0)).astype(np.uint8)
    board = (200 * (np.indices((64, 64)).sum(axis=0) % 2)).astype(np.uint8)
    for level, share in enumerate(KNOWN["resolution"].strengths[:4], start=1):
        slope, fine = (
            KNOWN["resolution"].corrupt_pictures(one[None, :, :, None].repeat(3, 3), level, draw())
            for one in (ramp, board)
        )
        assert np.abs(fine.astype(int) - 100).max() <= 1  # black and white share a pixel now
        inner = slice(round(1 / share), -round(1 / share))
        assert np.abs(slope[0, inner, inner, 0].astype(int) - ramp[inner, inner]).max() <= 2

    smooth = np.zeros((1, 64, 64, 3), np.uint8)
    smooth[..., 0], smooth[..., 2] = np.arange(64) * 3, 200
    errors = []
    for level, quality in enumerate(KNOWN["jpeg"].strengths, start=1):
        made = KNOWN["jpeg"].corrupt_pictures(smooth, level, draw())
        options = [cv2.IMWRITE_JPEG_QUALITY, int(quality)]
        file = cv2.imencode(".jpg", smooth[0, ..., ::-1].copy(), options)[1]
        assert (made[0] == cv2.imdecode(file, cv2.IMREAD_COLOR)[..., ::-1]).all()
        errors.append(np.abs(made.astype(int) - smooth).mean())
    assert errors == sorted(errors) and errors[0] < 5  # colors keep their channels


def test_strengths_grow_worse_and_names_are_their_own():
    assert len(KNOWN) == len(CORRUPTIONS) == len(SOUNDS) + len(FACES)
    for name in ("noise", "babble"):
        assert KNOWN[name].strengths == (20, 15, 10, 5, 0, -5, -10) and KNOWN[name].mixes
    for one in CORRUPTIONS:
        assert list(one.strengths) in (sorted(one.strengths), sorted(one.strengths, reverse=True))
