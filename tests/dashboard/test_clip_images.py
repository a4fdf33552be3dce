"""Claims about the clips that are drawn again and again."""

import io
import wave

import numpy as np
import pytest
import torch
from conftest import clip_record, events_of, single_label, split_by
from PIL import Image

from avfusion.corpora import Box
from avfusion.corpora.labels import keep_label
from avfusion.dashboard import ClipImages
from avfusion.dashboard.clip_images import choose_clips
from avfusion.data.index import ClipRecord, PictureSize, Window
from avfusion.data.store import Store
from avfusion.figures.clip import clip_figure, clip_view, describe_crop, get_audio_span


def pixels(encoded):
    return np.array(Image.open(io.BytesIO(encoded)).convert("RGB")).astype(int)


def test_chosen_are_so_many_of_each_class_the_same_for_the_same_seed():
    rows, labels = list(range(100, 160)), ["a", "b", "c"] * 20
    chosen = choose_clips(rows, labels, 2, 3, keep_label)
    assert chosen == choose_clips(rows, labels, 2, 3, keep_label)
    assert sorted(chosen.values()) == ["a_1", "a_2", "b_1", "b_2", "c_1", "c_2"]
    assert all(labels[rows.index(row)] == tag[0] for row, tag in chosen.items())
    assert any(choose_clips(rows, labels, 2, seed, keep_label) != chosen for seed in (4, 5))


def test_a_class_with_fewer_clips_shows_those_it_has():
    assert choose_clips([7, 8, 9], ["a", "b", "b"], 2, 0, keep_label) == {
        7: "a_1",
        8: "b_1",
        9: "b_2",
    }


def test_the_same_clips_of_each_class_are_drawn_in_each_drawn_epoch(watched, party_store):
    store, events = Store(party_store), events_of(watched)
    labels = store.labels.texts(split_by(store).rows("val"))
    expected = {
        f"clips/{name}_{n + 1}" for name in labels for n in range(min(2, labels.count(name)))
    }
    drawn = {tag for tag in events.Tags()["images"] if tag.startswith("clips/")}
    assert drawn == expected
    for tag in drawn:
        assert [event.step for event in events.Images(tag)] == [6, 9]
        before, after = (pixels(event.encoded_image_string) for event in events.Images(tag))
        assert before.shape == after.shape and before.shape[1] > 600 < 3 * before.shape[0]


def test_the_sounds_are_those_of_the_clips_and_are_kept_once(watched, party_store):
    store, events = Store(party_store), events_of(watched)
    rows = split_by(store).rows("val").tolist()
    chosen = choose_clips(rows, store.labels.texts(rows), 2, 0, keep_label)
    assert len(events.Tags()["audio"]) == len(chosen)
    for row, tag in chosen.items():
        (event,) = events.Audio(f"sounds/{tag}")
        with wave.open(io.BytesIO(event.encoded_audio_string)) as file:
            assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
            heard = np.frombuffer(file.readframes(-1), np.int16).astype(int)
        shard = np.load(party_store / "waveform" / f"{store.shard[row]:05d}.npy")
        stored = shard[store.place[row]][: len(heard)].astype(int)
        assert len(heard) == store.record(row).samples
        assert abs(heard - stored).max() <= 1


def drawn(view):
    figure = clip_figure(view)
    buffer = io.BytesIO()
    figure.savefig(buffer, dpi=60)
    return figure, pixels(buffer.getvalue())


@pytest.fixture
def view(party_store):
    store = Store(party_store)
    row, names = int(split_by(store).rows("val")[0]), store.description["output_names"]
    glimpses = torch.rand(2, 1, 4, 4).flatten(1).softmax(dim=1).view(2, 1, 4, 4)
    sure = 0.9 * torch.eye(len(names))[names.index(store.record(row).label)] + 0.1 / len(names)
    return clip_view(store, row, sure, glimpses, single_label(*names))


def test_a_right_clip_is_framed_otherwise_than_a_wrong_one(view):
    right, wrong, unknown = (
        drawn(view._replace(right=is_right))[1] for is_right in (True, False, None)
    )
    edges = [np.concatenate([some[1], some[-2]]) for some in (right, wrong, unknown)]
    green, vermillion, white = [0, 158, 115], [213, 94, 0], [255] * 3
    assert np.all(abs(edges[0] - green) < 3)  # unbroken
    share = np.all(abs(edges[1] - vermillion) < 3, axis=1).mean()
    assert 0.4 < share < 0.95  # broken: the color-blind tell them apart, too
    assert np.all(edges[2] == white)


def test_the_title_says_what_is_true_and_what_was_answered_how_surely(view, party_store):
    title = clip_figure(view).texts[0].get_text()
    store = Store(party_store)
    label = store.record(int(split_by(store).rows("val")[0])).label
    probability = 0.9 + 0.1 / len(store.description["output_names"])
    assert f"true: {label}" in title and f"predicted: {label} ({probability:.2f})" in title
    assert title.endswith("right")


def test_each_glimpse_lies_over_the_face_with_its_own_scale(view):
    figure, _ = drawn(view)
    face, *others = figure.axes[0].get_images()
    titles = [text.get_text() for text in figure.axes[0].texts]
    assert [title for title in titles if "glimpse" in title] == [
        f"glimpse {number} (attention per cell)" for number in (1, 2)
    ]
    right = face.get_extent()[1]
    for first, glimpse in zip((0, 3), view.glimpses, strict=True):
        beneath, heat, scale = others[first : first + 3]
        assert np.array_equal(beneath.get_array(), face.get_array())
        assert beneath.get_extent() == heat.get_extent() and beneath.get_extent()[0] > right
        assert heat.get_clim() == (0, pytest.approx(float(glimpse.max())))
        assert scale.get_extent()[0] > heat.get_extent()[1]
        assert f"{float(glimpse.max()):.2g}" in titles
        right = scale.get_extent()[1]


def test_the_speakers_box_is_where_the_store_has_it(view):
    axes = clip_figure(view).axes[0]
    pictures = [image for image in axes.get_images() if image.get_array().ndim == 3]
    for picture, box in zip(pictures, axes.patches, strict=True):
        left, right, bottom, top = picture.get_extent()
        sides = [box.get_x() - left, top - box.get_y() - box.get_height()]
        sides += [sides[0] + box.get_width(), sides[1] + box.get_height()]
        assert sides == pytest.approx(view.box * ([right - left, top - bottom] * 2), rel=1e-4)
        height, width = view.face.shape[-2:]
        assert (right - left) / (top - bottom) == pytest.approx(width / height)

    unknown = clip_figure(view._replace(box=None)).axes[0]
    assert unknown.texts[0].get_text().startswith("whole picture") and not unknown.patches


def test_less_than_one_clip_is_refused():
    with pytest.raises(ValueError, match="clips_per_class must be at least 1, got 0"):
        ClipImages(clips_per_class=0)


def cut_clip(**changed) -> ClipRecord:
    """A clip of 1.5 of 3.7 seconds, a face of whose picture was cut out."""
    crop, size = Box(100.0, 20.4, 340.0, 260.4), PictureSize(1280, 720)
    known = {"samples": 24_000, "seconds": 3.7, "crop": crop, "picture_size": size}
    return clip_record(**known | changed)


@pytest.mark.parametrize(
    ("changed", "crop", "span"),
    [
        ({}, "center", (1.1, 3.7)),
        ({}, "whole", (1.1, 3.7)),  # what is longer than the most that is kept
        ({}, "start", (0.0, 3.7)),
        ({"window": Window(0.75, 2.25)}, "center", (0.75, 3.7)),
        ({"seconds": 1.5}, "center", (0.0, 1.5)),
        ({"seconds": 0.0}, "center", (0.0, None)),  # no sound at all
        ({}, "my own", (0.0, None)),  # features that somebody else has written
    ],
)
def test_a_sound_is_drawn_on_the_clock_of_its_recording(changed, crop, span):
    assert get_audio_span(cut_clip(**changed), {"crop": crop}) == pytest.approx(span)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, "face crop 240 x 240 of 1280 x 720"),
        ({"crop": Box(0.0, -280.0, 1280.0, 1000.0)}, "whole picture, 1280 x 720"),
        ({"picture_size": None}, "face"),
        ({"crop": None}, "face"),
    ],
)
def test_the_title_of_a_face_says_what_was_cut_out_of_what(changed, words):
    assert describe_crop(cut_clip(**changed)) == words


@pytest.mark.parametrize(
    ("start", "seconds", "label", "limits"),
    [
        (1.1, 3.7, "seconds 1.1 to 2.6 of 3.7", (1.1, 2.6)),
        (0.0, 1.5, "seconds 0.0 to 1.5, the whole sound", (0.0, 1.5)),
        (0.0, None, "seconds of the sound that was kept", (0.0, 1.5)),
    ],
)
def test_the_axis_of_time_says_which_seconds_are_shown(view, start, seconds, label, limits):
    sound = np.resize(view.sound, 24000)
    figure = clip_figure(view._replace(sound=sound, start=start, seconds=seconds))
    wave, mel = figure.axes[-2:]
    assert mel.get_xlabel() == label
    assert wave.get_xlim() == mel.get_xlim() == pytest.approx(limits)
    assert len(mel.get_yticks()) == 3 and len(wave.get_yticks()) == 0  # few labels


@pytest.mark.parametrize("hertz", [250, 1000, 4000])
def test_a_tone_is_brightest_where_the_axis_has_its_pitch(view, hertz):
    tone = np.sin(2 * np.pi * hertz * np.arange(16_000) / 16_000)
    figure = clip_figure(view._replace(sound=(20_000 * tone).astype(np.int16)))
    axes = figure.axes[-1]
    (picture,) = axes.get_images()
    loudest = picture.get_array().mean(axis=1).argmax()
    assert picture.get_array().max() == 0  # dB
    _, _, bottom, top = picture.get_extent()
    place = bottom + (loudest + 0.5) / len(picture.get_array()) * (top - bottom)
    (tick,) = (
        tick
        for tick, label in zip(axes.get_yticks(), axes.get_yticklabels(), strict=True)
        if label.get_text() == f"{hertz / 1000:g}"
    )
    assert place == pytest.approx(tick, abs=1.5 * top / 64)


@pytest.mark.parametrize("sound", [None, np.zeros(0, np.int16)])
def test_a_clip_without_sound_says_so(view, sound):
    axes = clip_figure(view._replace(sound=sound)).axes[-1]
    assert [text.get_text() for text in axes.texts] == ["no sound"]


def test_silence_and_a_sound_of_one_sample_are_drawn(view):
    for sound in (np.zeros(8000, np.int16), np.ones(1, np.int16)):
        drawn(view._replace(sound=sound))
