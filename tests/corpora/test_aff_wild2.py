"""Aff-Wild2: means of the annotated pictures, and videos of two people."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from published import prepare_by_command, prepare_by_training, preview, write_clip

from avfusion.corpora import AffWild2
from avfusion.features import AudioFeatures, FaceFeatures, Features

ANNOTATIONS = {
    "Train_Set/1-30-1280x720": [(0.25, -0.5), (0.75, 0.0), (-5, -5)],
    "Train_Set/video59": [(0.1, 0.2)],
    "Train_Set/video59_right": [(-0.3, 0.4)],
    "Train_Set/7-60-1920x1080": [(-5, -5), (-5, -5)],
    "Validation_Set/135-24-1920x1080_left": [(0.5, 0.5), (-5, 0.9)],
    "Validation_Set/135-24-1920x1080_right": [(-0.5, 0.25)],
}
VIDEOS = ("1-30-1280x720", "video59", "7-60-1920x1080", "135-24-1920x1080", "of-the-test")


def write_annotations(folder: Path, annotations=ANNOTATIONS) -> None:
    for name, pairs in annotations.items():
        path = folder / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = [f"{valence},{arousal}" for valence, arousal in pairs]
        path.write_text("\n".join(["valence,arousal", *lines, ""]))


def draw_pair(left: int, right: int) -> list[np.ndarray]:
    picture = np.full((40, 64, 3), left, np.uint8)
    picture[:, 32:] = right
    return [picture] * 4


def write_aff_wild2(root: Path, challenge: str = "VA_Estimation_Challenge", videos="batch1"):
    write_annotations(root / challenge)
    other = root / "EXPR_Recognition_Challenge" / "Train_Set"
    other.mkdir(parents=True)
    (other / "1-30-1280x720.txt").write_text("Neutral,Anger\n0\n")
    for number, name in enumerate(VIDEOS):
        write_clip(root / videos / f"{name}.mp4", pictures=draw_pair(40 + number, 200 - number))
    return root


@pytest.fixture(scope="module")
def aff_wild2(tmp_path_factory) -> Path:
    return write_aff_wild2(tmp_path_factory.mktemp("downloads") / "Aff-Wild2")


def test_a_clip_is_labeled_by_the_means_of_its_annotated_pictures(aff_wild2):
    contents = AffWild2(str(aff_wild2)).read()
    assert contents.labels == "continuous"
    assert contents.output_names == ["valence", "arousal"]
    clips = {clip.clip_id: clip for clip in contents.recordings}
    one = clips["1-30-1280x720"]
    assert one.label == "arousal|valence"
    assert one.numbers == pytest.approx((-0.25, 0.5))
    assert one.video == aff_wild2 / "batch1" / "1-30-1280x720.mp4"
    assert clips["135-24-1920x1080_left"].numbers == pytest.approx((0.5, 0.5))
    assert [(clip.clip_id, clip.reason) for clip in contents.left_out] == [
        ("7-60-1920x1080", "no annotated picture")
    ]


def test_of_two_people_in_a_video_each_is_seen_in_a_half_and_both_are_heard(aff_wild2):
    features = Features(FaceFeatures(size=16), AudioFeatures(duration=0.2))
    clips = {clip.clip_id: clip for clip in AffWild2(str(aff_wild2)).read().recordings}
    levels = {name: float(features(clip).face.mean()) for name, clip in clips.items()}
    shown = {name: "left" if level < 120 else "right" for name, level in levels.items()}
    assert {name: shown[name] for name in clips if name != "1-30-1280x720"} == {
        "video59": "left",
        "video59_right": "right",
        "135-24-1920x1080_left": "left",
        "135-24-1920x1080_right": "right",
    }
    assert {clip.session for clip in clips.values()} == {
        "1-30-1280x720",
        "video59",
        "135-24-1920x1080",
    }
    assert dict(clips["video59"].attributes) == {"side": "left"}
    left, right = (features(clips[f"135-24-1920x1080_{side}"]) for side in ("left", "right"))
    np.testing.assert_array_equal(left.waveform, right.waveform)


def test_the_official_validation_is_the_test_and_people_of_one_video_stay_together(aff_wild2):
    for seed in range(4):
        clips = AffWild2(str(aff_wild2), split_seed=seed).read().recordings
        splits = {clip.clip_id: clip.split for clip in clips}
        assert splits["135-24-1920x1080_left"] == splits["135-24-1920x1080_right"] == "test"
        assert splits["video59"] == splits["video59_right"]
        assert {splits["video59"], splits["1-30-1280x720"]} == {"train", "val"}


@pytest.mark.parametrize(
    ("challenge", "videos"),
    [("Annotations/VA_Set", "videos"), ("6th ABAW Annotations/VA_Estimation_Challenge", ".")],
)
def test_folders_in_circulation_are_the_same_corpus(aff_wild2, tmp_path, challenge, videos):
    write_aff_wild2(tmp_path, challenge, videos)
    told = [
        [(clip.clip_id, clip.numbers) for clip in AffWild2(str(root)).read().recordings]
        for root in (aff_wild2, tmp_path)
    ]
    assert told[0] == told[1]


def test_annotations_and_videos_may_lie_in_folders_of_their_own(aff_wild2):
    parts = [str(aff_wild2 / name) for name in ("VA_Estimation_Challenge", "batch1")]
    assert len(AffWild2(parts).read().recordings) == 5
    with pytest.raises(FileNotFoundError, match="holds 5 videos and no annotation of Aff-Wild2"):
        AffWild2(parts[1]).read()
    with pytest.raises(FileNotFoundError, match=r"6 of 6 clips .* \(no file\), .*: add the folder"):
        AffWild2(parts[0]).read()


def test_a_half_download_is_told_by_counts(tmp_path):
    write_aff_wild2(tmp_path)
    (tmp_path / "batch1" / "video59.mp4").unlink()
    left_out = AffWild2(str(tmp_path)).read().left_out
    assert Counter(clip.reason for clip in left_out) == {"no file": 2, "no annotated picture": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Neutral,Anger\n0,1\n", r"begins with 'neutral,anger', expected valence,arousal"),
        ("valence,arousal\n0.5,high\n", r"is no list of valence,arousal \("),
        ("valence,arousal\n0.5\n", r"begins with .*, expected valence,arousal and two"),
    ],
)
def test_a_file_of_another_kind_is_an_error_that_names_it(tmp_path, text, message):
    write_aff_wild2(tmp_path)
    (tmp_path / "VA_Estimation_Challenge/Train_Set/video59.txt").write_text(text)
    with pytest.raises(ValueError, match=rf"video59.txt {message}"):
        AffWild2(str(tmp_path)).read()


def test_one_command_prepares_it_though_two_people_have_one_sound(aff_wild2, tmp_path):
    given = ("corpus=aff_wild2", f"corpus.root={aff_wild2}", f"prepare.stores={tmp_path}")
    assert "1 clip left out, no annotated picture: 7-60-1920x1080" in preview(*given)
    store = prepare_by_command(*given)
    assert store.texts("split").count("test") == 2
    np.testing.assert_allclose(store.numbers("valence"), [0.5, 0.5, -0.5, 0.1, -0.3], atol=1e-9)
    again = prepare_by_training(tmp_path, "data=aff_wild2", f"data.corpus.root={aff_wild2}")
    assert len(again) == 5
