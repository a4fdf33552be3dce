"""Claims about the way from a corpus to a store."""

import csv
import hashlib
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
from conftest import tone, write_manifest, write_picture, write_recordings, write_sound, write_video

from avfusion.corpora import Manifest
from avfusion.data import prepare as preparation
from avfusion.data.prepare import prepare, safe
from avfusion.data.store import Store
from avfusion.features import AudioFeatures, FaceFeatures, Features

REASONS = {
    "empty": "empty file",
    "pointer": "git-LFS pointer, run git lfs pull",
    "text": "cannot be decoded",
    "silent": "silent",
    "mute": "no sound",
    "folder": "no picture",
    "half": "cannot be decoded",
}


def files(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def row(clip_id, image="good.png", audio="good.wav", video="", split="train"):
    return {
        "clip_id": clip_id,
        "image_path": image,
        "audio_path": audio,
        "video_path": video,
        "label": "label",
        "subject": f"{clip_id} of {split}",
        "split": split,
    }


def write_bad_recordings(root):
    """Good clips between bad ones; the second good clip is the loudest and lies last."""
    write_sound(root / "good.wav", 0.2 * tone(0.8))
    write_sound(root / "late.wav", 0.8 * tone(0.8))
    write_picture(root / "good.png", (200, 60, 60))
    (root / "empty.wav").touch()
    (root / "pointer.wav").write_text("version https://git-lfs.github.com/spec/v1\n")
    (root / "text.wav").write_text("no sound\n" * 99)
    write_sound(root / "silent.wav", np.zeros(8000))
    write_video(root / "mute.mp4", [np.full((32, 32, 3), 99, np.uint8)] * 3, [0.0, 0.1, 0.2])
    (root / "folder").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, 4000, np.uint8).tobytes()
    (root / "half.png").write_bytes((root / "good.png").read_bytes()[:60] + noise)
    rows = [row(clip_id, audio=f"{clip_id}.wav") for clip_id in ("empty", "pointer", "text")]
    rows += [row("good"), row("silent", audio="silent.wav"), row("mute", video="mute.mp4")]
    rows += [row("folder", image="folder"), row("half", image="half.png")]
    write_manifest(root, [*rows, row("late", audio="late.wav", split="test")])
    return root


@pytest.fixture(scope="module")
def bad(tmp_path_factory):
    """A folder of recordings most of which cannot be used."""
    return write_bad_recordings(tmp_path_factory.mktemp("bad"))


@pytest.fixture
def few(tmp_path):
    """A folder with four clips that a test may change."""
    root = tmp_path / "few"
    root.mkdir()
    return write_recordings(root, subjects=1)


def test_a_store_holds_the_features_of_each_clip(recordings, recordings_store, long_features):
    store = Store(recordings_store)
    contents = Manifest(str(recordings)).read()
    assert [clip["clip_id"] for clip in store.index] == [c.clip_id for c in contents.recordings]
    sound = np.load(recordings_store / "sound" / "00000.npy")
    for place, recording in enumerate(contents.recordings):
        clip = long_features(recording)
        assert np.array_equal(store.face[0][place], clip.face)
        assert np.array_equal(store.audio[0][place, : len(clip.audio)], clip.audio)
        assert np.array_equal(sound[place, : len(clip.sound)], clip.sound)
        assert int(store.index[place]["samples"]) == len(clip.sound)
        assert store.frames[place] == len(clip.audio)


def test_what_follows_a_short_clip_is_zero(recordings_store):
    store = Store(recordings_store)
    assert len(set(store.frames)) > 2
    for place, frames in enumerate(store.frames):
        assert not store.audio[0][place, frames:].any() and store.audio[0][place, frames - 1].any()


def test_a_store_of_other_processes_holds_the_features_too(party, party_store, small_features):
    store = Store(party_store)
    for place, recording in enumerate(party.read().recordings):
        clip = small_features(recording)
        assert np.array_equal(store.face[0][place], clip.face)
        assert np.array_equal(store.audio[0][place], clip.audio)
        np.testing.assert_allclose(store.boxes[place], clip.box, atol=1e-6)


@pytest.mark.slow
def test_two_processes_write_the_bytes_of_one(party, small_features, tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "PART_CLIPS", 7)
    one = prepare(party, small_features, tmp_path / "one", workers=1)
    two = prepare(party, small_features, tmp_path / "two", workers=2)
    assert one.name == two.name and files(one) == files(two)


def test_preparing_again_writes_nothing(recordings, recordings_store, long_features, monkeypatch):
    times = {path: path.stat().st_mtime_ns for path in recordings_store.rglob("*")}
    monkeypatch.setattr(preparation, "fill", lambda *_: pytest.fail("prepared again"))
    again = prepare(Manifest(str(recordings)), long_features, recordings_store.parent)
    assert again == recordings_store
    assert {path: path.stat().st_mtime_ns for path in recordings_store.rglob("*")} == times


@pytest.mark.parametrize(
    "other",
    [
        Features(FaceFeatures(size=34), AudioFeatures()),
        Features(FaceFeatures(size=32), AudioFeatures(silence=-50.0)),
        Features(FaceFeatures(size=32), AudioFeatures(crop="start")),
    ],
)
def test_other_settings_have_a_store_of_their_own(few, tmp_path, in_process, other):
    corpus, features = Manifest(str(few)), Features(FaceFeatures(size=32), AudioFeatures())
    assert prepare(corpus, features, tmp_path) != prepare(corpus, other, tmp_path)


def touched(path):
    os.utime(path, (path.stat().st_atime, path.stat().st_mtime + 10))


def relabelled(path):
    path.write_text(path.read_text().replace("low", "deep"))


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("s0_1.wav", touched),
        ("s0_1.png", touched),
        ("s0_2.wav", lambda path: write_sound(path, tone(0.7))),
        ("manifest.csv", relabelled),
    ],
)
def test_a_changed_file_gives_another_store(
    few, tmp_path, in_process, small_features, name, change
):
    first = prepare(Manifest(str(few)), small_features, tmp_path)
    change(few / name)
    assert prepare(Manifest(str(few)), small_features, tmp_path) != first


def test_a_changed_frame_of_a_folder_gives_another_store(tmp_path, in_process, small_features):
    (tmp_path / "frames").mkdir()
    frame = write_picture(tmp_path / "frames" / "0.png", (9, 9, 9))
    write_sound(tmp_path / "good.wav", tone(0.8))
    write_manifest(tmp_path, [row("a", image="frames")])
    first = prepare(Manifest(str(tmp_path)), small_features, tmp_path)
    touched(frame)
    assert prepare(Manifest(str(tmp_path)), small_features, tmp_path) != first


def test_what_an_interrupted_preparation_left_is_never_taken_for_a_store(
    few, tmp_path, in_process, small_features, monkeypatch
):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(preparation, "describe", interrupted)
        prepare(Manifest(str(few)), small_features, tmp_path / "stores")
    (partial,) = (path for path in (tmp_path / "stores").iterdir() if path.is_dir())
    assert partial.suffix == ".partial"
    (partial / "face" / "00009.npy").write_text("left over")

    store = prepare(Manifest(str(few)), small_features, tmp_path / "stores")
    assert not partial.exists()
    assert [path.name for path in (store / "face").iterdir()] == ["00000.npy"]
    assert len(Store(store)) == 4


def test_bad_clips_are_skipped_counted_and_listed(bad, tmp_path, in_process, small_features):
    store = Store(prepare(Manifest(str(bad)), small_features, tmp_path))
    assert [clip["clip_id"] for clip in store.index] == ["good", "late"]
    assert store.description["skipped"] == {
        "empty file": 1,
        "git-LFS pointer, run git lfs pull": 1,
        "cannot be decoded": 2,
        "silent": 1,
        "no sound": 1,
        "no picture": 1,
    }
    with (store.root / "report.csv").open(newline="") as file:
        report = {line["clip_id"]: line for line in csv.DictReader(file)}
    assert list(report) == [clip.clip_id for clip in Manifest(str(bad)).read().recordings]
    assert {clip: line["reason"] for clip, line in report.items() if line["reason"]} == REASONS
    for clip, line in report.items():
        assert line["outcome"] == ("skipped" if clip in REASONS else "kept")
        assert clip in REASONS or not line["detail"]
    assert report["silent"]["detail"] == "silent.wav: silent (peak -180 dBFS)"
    assert report["mute"]["source"] == str(bad / "mute.mp4")


def test_the_clips_between_bad_ones_are_read_from_their_places(
    bad, tmp_path, in_process, small_features
):
    store = Store(prepare(Manifest(str(bad)), small_features, tmp_path))
    good, late = np.load(store.root / "sound" / "00000.npy")[store.place]
    assert late.std() == pytest.approx(4 * good.std(), rel=1e-3)
    assert store.faces(np.array([0, 1]))[:, 0, 0].max() == 200


def test_a_bad_clip_is_an_error_by_its_name_where_that_is_asked(
    bad, tmp_path, in_process, small_features
):
    corpus = Manifest(str(bad), on_error="raise")
    with pytest.raises(ValueError, match=r"Clip empty cannot be used: empty\.wav: empty file\."):
        prepare(corpus, small_features, tmp_path)
    assert not any((path / "description.json").exists() for path in tmp_path.iterdir())


@pytest.mark.slow
def test_an_error_in_another_process_names_its_clip(bad, tmp_path, small_features):
    with pytest.raises(ValueError, match=r"Clip empty cannot be used: empty\.wav: empty file\."):
        prepare(Manifest(str(bad), on_error="raise"), small_features, tmp_path, workers=1)


def test_a_corpus_of_nothing_usable_is_refused_with_the_reasons(
    tmp_path, in_process, small_features
):
    write_sound(tmp_path / "silent.wav", np.zeros(8000))
    (tmp_path / "empty.wav").touch()
    write_picture(tmp_path / "good.png", (9, 9, 9))
    names = ("empty", "silent", "empty")
    rows = [row(f"c{number}", audio=f"{name}.wav") for number, name in enumerate(names)]
    write_manifest(tmp_path, rows)
    sentence = r"None of the 3 clips of .* can be used: empty file \(2\), silent \(1\)\."
    with pytest.raises(ValueError, match=sentence):
        prepare(Manifest(str(tmp_path)), small_features, tmp_path / "stores")


def test_checksums_are_those_of_all_files_but_the_description(party_store):
    contents = files(party_store)
    checksums = json.loads(contents.pop("description.json"))["checksums"]
    assert checksums == {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}


def test_statistics_are_those_of_the_true_frames_of_the_training_clips(recordings_store):
    store = Store(recordings_store)
    rows = store.rows("train")
    assert 0 < len(rows) < len(store)
    frames = np.concatenate([store.audio[0][row, : store.frames[row]] for row in rows])
    pixels = store.face[0][rows].reshape(-1, 3) / 255
    for name, table in (("audio", frames), ("face", pixels)):
        description = store.description[name]
        np.testing.assert_allclose(description["mean"], table.mean(0, np.float64), rtol=1e-6)
        std = table.std(0, dtype=np.float64)
        np.testing.assert_allclose(description["std"], np.where(std < 1e-6, 1, std), rtol=1e-5)


def test_shards_and_parts_do_not_change_what_is_read(
    recordings, recordings_store, long_features, tmp_path, in_process, monkeypatch
):
    clip_bytes = sum(array.nbytes for array in long_features.arrays(1).values())
    monkeypatch.setattr(preparation, "SHARD_BYTES", 7 * clip_bytes)
    monkeypatch.setattr(preparation, "PART_CLIPS", 3)
    sharded = Store(prepare(Manifest(str(recordings)), long_features, tmp_path))
    whole, rows = Store(recordings_store), np.arange(24)
    assert [len(shard) for shard in sharded.face] == [7, 7, 7, 3]
    assert (sharded.faces(rows) == whole.faces(rows)).all()
    assert (sharded.audio_frames(rows) == whole.audio_frames(rows)).all()
    assert sharded.description["class_counts"] == whole.description["class_counts"]
    for name in ("audio", "face"):
        assert sharded.description[name]["std"] == pytest.approx(whole.description[name]["std"])


def test_a_store_can_be_moved(recordings_store, tmp_path):
    moved = Store(shutil.copytree(recordings_store, tmp_path / "moved"))
    rows = np.array([1, 5])
    assert (moved.faces(rows) == Store(recordings_store).faces(rows)).all()


@pytest.mark.parametrize(
    ("name", "path"),
    [("grid", "grid"), ("my data=2, [x]", "my_data_2_x"), ("größe", "größe"), ("=", "corpus")],
)
def test_a_store_has_a_name_that_a_shell_and_an_override_can_hold(name, path):
    assert safe(name) == path


def test_a_store_is_named_after_its_corpus(few, tmp_path, in_process, small_features):
    corpus = Manifest(str(few))
    corpus.name = "a b"
    store = prepare(corpus, small_features, tmp_path / "stores")
    assert store.parent == tmp_path / "stores" and store.name.startswith("a_b-")


def test_faces_of_several_pictures_are_stored_one_after_the_other(
    few, tmp_path, in_process, small_features
):
    three = replace(small_features, face=FaceFeatures(size=32, pictures=3))
    store = Store(prepare(Manifest(str(few)), three, tmp_path))
    assert store.faces(np.arange(4)).shape == (4, 3, 3, 32, 32)
