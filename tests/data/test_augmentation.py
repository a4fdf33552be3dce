"""Claims about random changes of training clips."""

import pytest
import torch
from conftest import toy_clips

from avfusion.data.augmentation import AudioAugmentation, FaceAugmentation, draw_stretches, move_box

FACE = {"shift": 0.0, "crop": 0.0, "flip": 0.0, "color": 0.0}
AUDIO = {"time": 0.0, "band": 0.0, "noise": 0.0}
BOX = torch.tensor([0.3, 0.2, 0.6, 0.7])


def marked(batch=32, size=80, pictures=2):
    """Clips with a white rectangle on gray in the box."""
    clips = toy_clips(batch, size=size, pictures=pictures)
    left, top, right, bottom = (BOX * size).round().int().tolist()
    face = torch.full_like(clips.streams["frames"], 0.3)
    face[..., top:bottom, left:right] = 1
    return clips.with_stream("frames", face)._replace(box=BOX.repeat(batch, 1))


def extents(face):
    """The box of the white pixels of each picture, in fractions."""
    found = []
    for picture in face[:, :, 0].flatten(0, 1):
        rows, columns = torch.where(picture > 0.65)
        sides = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        found.append(torch.stack(sides) / picture.shape[-1])
    return torch.stack(found)


def true(clips):
    return torch.arange(clips.streams["mfcc"].shape[1]) < clips.lengths["mfcc"][:, None]


def test_a_face_without_any_strength_stays_as_it_is():
    clips = marked()
    changed = FaceAugmentation(**FACE)(clips)
    torch.testing.assert_close(
        changed.streams["frames"], clips.streams["frames"], atol=1e-5, rtol=0
    )
    torch.testing.assert_close(changed.box, clips.box)


def test_a_voice_without_any_strength_stays_as_it_is():
    clips = toy_clips()
    assert torch.equal(AudioAugmentation(**AUDIO)(clips).streams["mfcc"], clips.streams["mfcc"])


@pytest.mark.parametrize(
    "strength",
    [{"flip": 1.0}, {"shift": 0.15}, {"crop": 0.3}, {"shift": 0.1, "crop": 0.3, "flip": 0.5}],
)
def test_the_box_moves_with_the_picture(strength):
    clips = marked()
    changed = FaceAugmentation(**FACE | strength)(clips)
    boxes = changed.box.repeat_interleave(2, dim=0).clamp(0, 1)
    torch.testing.assert_close(extents(changed.streams["frames"]), boxes, atol=1.5 / 80, rtol=0)
    assert (changed.box - clips.box).abs().amax() > 0.05


def test_a_mirror_image_is_the_picture_with_its_columns_turned_round():
    clips = toy_clips()
    changed = FaceAugmentation(**FACE | {"flip": 1.0})(clips)
    torch.testing.assert_close(
        changed.streams["frames"], clips.streams["frames"].flip(-1), atol=1e-5, rtol=0
    )
    left, top, right, bottom = clips.box.unbind(1)
    torch.testing.assert_close(changed.box, torch.stack([1 - right, top, 1 - left, bottom], 1))


def test_about_as_many_clips_are_mirrored_as_is_asked():
    clips = marked(batch=400, size=10, pictures=1)
    mirrored = FaceAugmentation(**FACE | {"flip": 0.25})(clips).box[:, 0] > 0.35
    assert 70 < mirrored.sum() < 130  # 100, 8.7 deviation


def test_moves_and_cuts_stay_within_their_limits():
    clips = marked(batch=500, size=10, pictures=1)
    centre = (BOX[:2] + BOX[2:]) / 2
    moved = FaceAugmentation(**FACE | {"shift": 0.1})(clips).box
    moves = (moved[:, :2] + moved[:, 2:]) / 2 - centre
    assert 0.095 < moves.abs().max() <= 0.1 + 1e-6 and moves.min() < -0.09 and moves.max() > 0.09
    cut = FaceAugmentation(**FACE | {"crop": 0.2})(clips).box
    larger = (cut[:, 2] - cut[:, 0]) / (BOX[2] - BOX[0])
    assert 1 - 1e-5 <= larger.min() < 1.02 and 1.23 < larger.max() <= 1 / 0.8 + 1e-5


def test_all_pictures_of_a_clip_change_alike():
    clips = toy_clips(pictures=1)
    repeated = clips.with_stream("frames", clips.streams["frames"].expand(-1, 3, -1, -1, -1))
    face = FaceAugmentation()(repeated).streams["frames"]
    torch.testing.assert_close(face, face[:, :1].expand_as(face))


def test_colors_change_from_clip_to_clip_and_stay_in_range():
    clips = marked(pictures=1)
    changed = FaceAugmentation(**FACE | {"color": 0.5})(clips)
    torch.testing.assert_close(changed.box, clips.box)
    assert changed.streams["frames"].min() >= 0 and changed.streams["frames"].max() <= 1
    tints = changed.streams["frames"][:, 0, :, 0, 0]
    assert tints.std(0).min() > 0.02 and (tints - tints.mean(1, keepdim=True)).abs().max() > 0.02


def test_an_unknown_box_stays_unknown():
    clips = toy_clips()._replace(box=torch.full((4, 4), float("nan")))
    assert FaceAugmentation(flip=0.5)(clips).box.isnan().all()


def test_a_box_beside_what_is_seen_lies_outside_of_the_picture():
    seen = move_box(
        BOX[None], torch.tensor([0.2]), torch.tensor([[0.4, 0.0]]), torch.tensor([False])
    )
    assert seen[0, 2] < 0


def test_padding_stays_zero():
    clips = toy_clips(batch=16)
    audio = AudioAugmentation(time=0.9, band=0.9, noise=1.0)(clips).streams["mfcc"]
    assert not audio[~true(clips)].any() and audio[true(clips)].all()


def test_padding_never_changes_what_is_hidden():
    clips = toy_clips()
    longer = clips.with_stream("mfcc", torch.nn.functional.pad(clips.streams["mfcc"], (0, 0, 0, 7)))
    changed = []
    for some in (clips, longer):
        torch.manual_seed(1)
        changed.append(AudioAugmentation(time=0.5, band=0.5, noise=0.0)(some).streams["mfcc"])
    assert torch.equal(changed[0], changed[1][:, :12])


def test_hidden_frames_and_bands_hold_the_mean_of_the_clip():
    clips = toy_clips(batch=64, frames=40)
    audio = AudioAugmentation(time=0.5, band=0.5, noise=0.0)(clips).streams["mfcc"]
    for before, after, length in zip(
        clips.streams["mfcc"], audio, clips.lengths["mfcc"], strict=True
    ):
        mean = before[:length].mean(0)
        kept = after[:length] == before[:length]
        hidden = (after[:length] - mean).abs() < 1e-5
        assert (kept | hidden).all()
    assert (audio != clips.streams["mfcc"]).any(dim=2).float().sum(1).max() > 5


def test_a_hidden_band_is_hidden_in_the_differences_too():
    clips = toy_clips(batch=64, frames=40)
    audio = AudioAugmentation(**AUDIO | {"band": 0.5})(clips).streams["mfcc"]
    changed = (audio != clips.streams["mfcc"]).any(dim=1).unflatten(1, (3, 25))
    assert changed.any() and (changed == changed[:, :1]).all()
    assert changed[:, 0].sum(1).max() <= 13


def test_a_spectrum_of_one_part_has_one_hidden_band():
    clips = toy_clips(batch=64, frames=40)
    audio = AudioAugmentation(**AUDIO | {"band": 0.5}, blocks=1)(clips).streams["mfcc"]
    changed = (audio != clips.streams["mfcc"]).any(dim=1)
    edges = changed.int().diff(dim=1, prepend=torch.zeros(64, 1, dtype=torch.int)) == 1
    assert edges.sum(1).max() == 1 and 30 <= changed.sum(1).max() <= 38


def test_the_same_stretch_is_hidden_in_all_layers_of_a_stream():
    clips = marked()
    mfcc = clips.streams["mfcc"]
    layered = clips.with_stream("mfcc", torch.stack([mfcc, 3 * mfcc], dim=1))
    changed = []
    for some in (clips, layered):
        torch.manual_seed(0)
        changed.append(AudioAugmentation(**AUDIO | {"time": 0.5, "band": 0.5})(some))
    one, two = (some.streams["mfcc"] for some in changed)
    torch.testing.assert_close(two[:, 0], one)
    torch.testing.assert_close(two[:, 1], 3 * one)


def test_a_stretch_is_one_piece_of_at_most_its_part():
    length = torch.full((500,), 40)
    marks = draw_stretches(length, 0.25, 60)
    assert not marks[:, 40:].any() and 9 <= marks.sum(1).max() <= 11
    starts = (marks.int().diff(dim=1, prepend=torch.zeros(500, 1, dtype=torch.int)) == 1).sum(1)
    assert starts.max() == 1
    assert marks.any(dim=0)[:40].all()


def test_noise_is_as_strong_as_is_asked_in_units_of_the_features():
    clips = toy_clips(batch=32, frames=200)
    scale = torch.logspace(-2, 2, 75)
    scaled = clips.with_stream("mfcc", (5 + clips.streams["mfcc"]) * scale * true(clips)[..., None])
    noisy = AudioAugmentation(**AUDIO | {"noise": 0.3})(scaled)
    change = (noisy.streams["mfcc"] - scaled.streams["mfcc"]) / scale
    torch.testing.assert_close(
        change[true(clips)].std(0), torch.full((75,), 0.3), atol=0.03, rtol=0
    )


@pytest.mark.parametrize("augment", [FaceAugmentation(), AudioAugmentation()])
def test_the_same_seed_changes_clips_alike(augment):
    clips, results = toy_clips(), []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        changed = augment(clips)
        results.append(
            torch.cat([changed.streams["frames"].flatten(), changed.streams["mfcc"].flatten()])
        )
    assert torch.equal(results[0], results[1]) and not torch.equal(results[0], results[2])


@pytest.mark.parametrize(
    ("kind", "own"),
    [(FaceAugmentation, {"frames", "box"}), (AudioAugmentation, {"mfcc"})],
)
def test_an_augmentation_changes_nothing_else(kind, own):
    clips = toy_clips()
    changed = kind()(clips).named()
    others = {name for name, part in clips.named().items() if torch.equal(part, changed[name])}
    assert clips.named().keys() - others == own


@pytest.mark.parametrize("value", [-0.1, 1.1, float("nan")])
@pytest.mark.parametrize(
    ("kind", "group", "name"),
    [
        *[(FaceAugmentation, "face", name) for name in FACE],
        *[(AudioAugmentation, "audio", name) for name in AUDIO],
    ],
)
def test_bad_strengths_are_refused_with_their_value(kind, group, name, value):
    with pytest.raises(ValueError, match=rf"data\.augmentation\.{group}\.{name} .*got {value}"):
        kind(**{name: value})
