"""Claims about the way from a corpus to a store."""

import csv
import hashlib
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace

import fork_server
import numpy as np
import pytest
from conftest import (
    ROOT,
    split_by,
    tone,
    write_manifest,
    write_picture,
    write_recordings,
    write_sound,
    write_video,
)
from permissions import read_only

from avfusion import parallel
from avfusion.corpora import CocktailParty, Manifest
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.store import Store, read_description
from avfusion.features import AudioFeatures, FaceFeatures, Features
from avfusion.features import clip as clip_features
from avfusion.files import safe_name
from avfusion.preparation import description
from avfusion.preparation import prepare as preparation
from avfusion.preparation import workers as work
from avfusion.preparation.description import describe_splits, verify_checksums
from avfusion.preparation.executors.local import Local
from avfusion.preparation.prepare import prepare
from avfusion.preparation.summary import summarize_store

REASONS = {
    "empty": "empty file",
    "pointer": "git-LFS pointer, run git lfs pull",
    "text": "cannot be decoded",
    "silent": "silent",
    "mute": "no sound",
    "folder": "no picture",
    "half": "truncated",
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
    write_picture(root / "late.png", (200, 60, 61))
    write_manifest(root, [*rows, row("late", "late.png", "late.wav", split="test")])
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
    assert store.texts("clip_id") == [c.clip_id for c in contents.recordings]
    sound = np.load(recordings_store / "waveform" / "00000.npy")
    for place, recording in enumerate(contents.recordings):
        clip = long_features(recording)
        assert np.array_equal(store.shards("frames")[0][place], clip.face)
        assert np.array_equal(store.shards("mfcc")[0][place, : len(clip.audio)], clip.audio)
        assert np.array_equal(sound[place, : len(clip.waveform)], clip.waveform)
        assert store.record(place).samples == len(clip.waveform)
        assert store.lengths("mfcc")[place] == len(clip.audio)


def test_what_follows_a_short_clip_is_zero(recordings_store):
    store = Store(recordings_store)
    assert len(set(store.lengths("mfcc"))) > 2
    for place, frames in enumerate(store.lengths("mfcc")):
        assert (
            not store.shards("mfcc")[0][place, frames:].any()
            and store.shards("mfcc")[0][place, frames - 1].any()
        )


@pytest.mark.slow
def test_a_store_of_other_processes_holds_the_features_too(party, party_store, small_features):
    store = Store(party_store)
    for place, recording in enumerate(party.read().recordings):
        clip = small_features(recording)
        assert np.array_equal(store.shards("frames")[0][place], clip.face)
        assert np.array_equal(store.shards("mfcc")[0][place], clip.audio)
        np.testing.assert_allclose(store.boxes[place], clip.box, atol=1e-6)


@pytest.mark.slow
def test_two_processes_write_the_bytes_of_one(party, small_features, tmp_path, monkeypatch):
    monkeypatch.setattr(work, "CHUNK_CLIPS", 7)
    one = prepare(party, small_features, tmp_path / "one", workers=1)
    two = prepare(party, small_features, tmp_path / "two", workers=2)
    assert one.name == two.name and files(one) == files(two)


def test_preparing_again_writes_nothing(recordings, recordings_store, long_features, monkeypatch):
    times = {path: path.stat().st_mtime_ns for path in recordings_store.rglob("*")}
    monkeypatch.setattr(preparation, "write_description", lambda *_: pytest.fail("prepared again"))
    again = prepare(Manifest(str(recordings)), long_features, recordings_store.parent)
    assert again == recordings_store
    assert {path: path.stat().st_mtime_ns for path in recordings_store.rglob("*")} == times


@pytest.mark.slow
@pytest.mark.parametrize(
    "other",
    [
        Features(FaceFeatures(size=34), AudioFeatures()),
        Features(FaceFeatures(size=32), AudioFeatures(silence_dbfs=-50.0)),
        Features(FaceFeatures(size=32), AudioFeatures(crop="start")),
    ],
)
def test_other_settings_have_a_store_of_their_own(few, tmp_path, in_process, other):
    corpus, features = Manifest(str(few)), Features(FaceFeatures(size=32), AudioFeatures())
    assert prepare(corpus, features, tmp_path) != prepare(corpus, other, tmp_path)


def flipped(path):
    """Change one bit in the middle, and neither size nor time."""
    content, state = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def relabelled(path):
    path.write_text(path.read_text(encoding="utf-8").replace("low", "deep"), encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("s0_1.wav", flipped),
        ("s0_2.wav", lambda path: write_sound(path, tone(0.7))),
        ("manifest.csv", relabelled),
        ("s0_1.png", lambda path: write_picture(path, (1, 2, 3))),
    ],
)
def test_a_changed_file_gives_another_store(
    few, tmp_path, in_process, small_features, name, change
):
    first = prepare(Manifest(str(few)), small_features, tmp_path)
    change(few / name)
    assert prepare(Manifest(str(few)), small_features, tmp_path) != first


def framed(root):
    """A clip of three frames, and the folder that holds them."""
    (root / "frames").mkdir(parents=True)
    for number in range(3):
        write_picture(root / "frames" / f"{number}.png", (9, 9, 9 + number))
    write_sound(root / "good.wav", tone(0.8))
    write_manifest(root, [row("a", image="frames")])
    return root / "frames"


def test_a_changed_frame_of_a_folder_gives_another_store(tmp_path, in_process, small_features):
    frames = framed(tmp_path)
    first = prepare(Manifest(str(tmp_path)), small_features, tmp_path)
    (frames / "._0.png").touch()
    assert prepare(Manifest(str(tmp_path)), small_features, tmp_path) == first
    write_picture(frames / "1.png", (9, 9, 99))
    second = prepare(Manifest(str(tmp_path)), small_features, tmp_path)
    (frames / "0.png").rename(frames / "7.png")
    assert len({first, second, prepare(Manifest(str(tmp_path)), small_features, tmp_path)}) == 3


@pytest.mark.parametrize("name", ["few", "of another name"])
def test_a_copied_folder_has_the_store_of_the_original(
    few, tmp_path, in_process, small_features, monkeypatch, name
):
    """Times are other ones, as after ``cp -r``, and so may be the place and the name."""
    first = prepare(Manifest(str(few)), small_features, tmp_path / "data" / "stores")
    for other in (few, tmp_path / "data"):
        shutil.copytree(other, tmp_path / "copies" / other.name, copy_function=shutil.copyfile)
    copy = (tmp_path / "copies" / "few").rename(tmp_path / "copies" / name)
    monkeypatch.setattr(work, "decode_chunk", lambda *_: pytest.fail("prepared again"))
    for stores in (tmp_path / "data" / "stores", tmp_path / "copies" / "data" / "stores"):
        assert prepare(Manifest(str(copy)), small_features, stores) == stores / first.name


def test_files_in_other_places_of_the_same_corpus_give_another_store(
    few, tmp_path, in_process, small_features
):
    first = prepare(Manifest(str(few)), small_features, tmp_path)
    rows = (few / "manifest.csv").read_text(encoding="utf-8")
    swapped = rows.replace("s0_0.png", "?").replace("s0_2.png", "s0_0.png").replace("?", "s0_2.png")
    (few / "manifest.csv").write_text(swapped, encoding="utf-8")
    assert prepare(Manifest(str(few)), small_features, tmp_path) != first


def test_the_copied_data_folder_of_the_embedded_corpus_is_reused(
    party, small_features, tmp_path, in_process, monkeypatch
):
    first = prepare(party, small_features, tmp_path / "one" / "stores", limit=5)
    shutil.copytree(party.root.parent, tmp_path / "two" / "cocktail_party")
    shutil.copytree(tmp_path / "one" / "stores", tmp_path / "two" / "stores")
    copied = CocktailParty(str(tmp_path / "two" / "cocktail_party"), party.clips)
    monkeypatch.setattr(CocktailParty, "render", lambda *_: pytest.fail("rendered again"))
    monkeypatch.setattr(work, "decode_chunk", lambda *_: pytest.fail("prepared again"))
    again = prepare(copied, small_features, tmp_path / "two" / "stores", limit=5)
    assert again == tmp_path / "two" / "stores" / first.name


OWN = """
from avfusion.features import AudioFeatures
class Doubled(AudioFeatures):
    def __call__(self, sound):
        return 2 * super().__call__(sound)
"""


def own_class(folder, text=OWN):
    """Import a class of the user's own from its module, as a new process would."""
    (folder / "own_frames.py").write_text(text, encoding="utf-8")
    for name in ("own_frames", "own_parent"):
        sys.modules.pop(name, None)
    importlib.invalidate_caches()
    return importlib.import_module("own_frames").Doubled


@pytest.mark.slow
def test_an_own_feature_class_has_a_store_of_its_own_that_says_so(
    few, tmp_path, in_process, small_features, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.delitem(sys.modules, "own_frames", raising=False)

    def prepared(text):
        kind = own_class(tmp_path, text)
        own = Features(FaceFeatures(size=32), kind(duration=0.6))
        return Store(prepare(Manifest(str(few)), own, tmp_path / "stores"))

    mfcc = Store(prepare(Manifest(str(few)), small_features, tmp_path / "stores"))
    own, tripled = prepared(OWN), prepared(OWN.replace("2 *", "3 *"))
    assert len({mfcc.root, own.root, tripled.root}) == 3
    assert np.array_equal(own.shards("mfcc")[0], 2 * mfcc.shards("mfcc")[0])
    assert np.array_equal(tripled.shards("mfcc")[0], 3 * mfcc.shards("mfcc")[0])
    told = own.description["features"]["audio"]
    assert told["class"] == "own_frames.Doubled" and told["duration"] == 0.6
    assert told["source_sha256"] != tripled.description["features"]["audio"]["source_sha256"]
    assert prepared(OWN).root == own.root


def test_an_own_class_that_breaks_its_promise_is_refused_before_anything_is_decoded(
    few, tmp_path, small_features, monkeypatch
):
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(Local, "run", lambda *_: pytest.fail("decoded"))
    monkeypatch.delitem(sys.modules, "own_frames", raising=False)
    for change, sentence in (
        ("super().__call__(sound)[:, :40]", r"of shape \(19, 40\) .* promises .* \(19, 75\)"),
        ("super().__call__(sound).double()", r"makes torch\.float64 of shape"),
        ("1 / 0", r"fails on a sound of 9600 samples: ZeroDivisionError"),
    ):
        kind = own_class(tmp_path, OWN.replace("2 * super().__call__(sound)", change))
        own = Features(FaceFeatures(size=32), kind(duration=0.6))
        with pytest.raises(ValueError, match=sentence):
            prepare(Manifest(str(few)), own, tmp_path / "stores")


def test_what_an_interrupted_preparation_left_is_never_taken_for_a_store(
    few, tmp_path, in_process, small_features, monkeypatch
):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(description, "describe_store", interrupted)
        prepare(Manifest(str(few)), small_features, tmp_path / "stores")
    left = {path.suffix for path in (tmp_path / "stores").iterdir() if path.is_dir()}
    assert left == {".partial", ".parts"}

    store = prepare(Manifest(str(few)), small_features, tmp_path / "stores")
    assert [path for path in (tmp_path / "stores").iterdir() if path.is_dir()] == [store]
    assert len(Store(store)) == 4


def test_what_was_begun_with_other_settings_is_pointed_out(
    few, tmp_path, in_process, small_features, caplog
):
    corpus = Manifest(str(few))
    store = prepare(corpus, small_features, tmp_path)
    abandoned = store.with_name(f"{store.name[:-8]}01234567.partial")
    abandoned.mkdir()
    assert "begun with other settings" not in caplog.text
    prepare(corpus, replace(small_features, face=FaceFeatures(size=34)), tmp_path)
    assert f"{abandoned} was begun with other settings: delete it" in caplog.text


def test_what_was_written_before_an_interruption_is_not_decoded_again(
    few, tmp_path, in_process, small_features, monkeypatch
):
    whole = files(prepare(Manifest(str(few)), small_features, tmp_path / "whole"))
    monkeypatch.setattr(work, "CHUNK_CLIPS", 1)
    decoded, decode_chunk = [], work.decode_chunk

    def interrupted_in_the_third(part):
        decoded.append(part.recordings[0].clip_id)
        if len(decoded) == 3:
            raise KeyboardInterrupt
        return decode_chunk(part)

    monkeypatch.setattr(work, "decode_chunk", interrupted_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        prepare(Manifest(str(few)), small_features, tmp_path / "stores")
    store = prepare(Manifest(str(few)), small_features, tmp_path / "stores")
    assert decoded == ["s0_0", "s0_1", "s0_2", "s0_2", "s0_3"]
    assert files(store) == whole


def test_a_store_that_does_not_fit_on_the_disk_is_refused_before_it_is_begun(
    few, tmp_path, small_features, monkeypatch
):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(9, 8, 1000))
    with pytest.raises(OSError, match=r"The store needs 0\.0 GB .*: free some, or give another"):
        prepare(Manifest(str(few)), small_features, tmp_path / "stores")
    assert not list(tmp_path.glob("stores/*.partial"))


@pytest.mark.slow
def test_a_limit_takes_clips_from_all_over_the_corpus(
    recordings, tmp_path, in_process, small_features
):
    store = Store(prepare(Manifest(str(recordings)), small_features, tmp_path, limit=6))
    assert store.texts("clip_id") == [f"s{number}_0" for number in range(6)]
    whole = prepare(Manifest(str(recordings)), small_features, tmp_path, limit=99)
    assert whole != store.root and len(Store(whole)) == 24


def test_a_changed_byte_is_found_when_asked(few, tmp_path, in_process, small_features):
    store = prepare(Manifest(str(few)), small_features, tmp_path / "stores")
    verify_checksums(store)
    array = np.load(store / "mfcc" / "00000.npy", mmap_mode="r+")
    array[1, 2, 3] += 1
    array.flush()
    with pytest.raises(ValueError, match=r"1 files of .* \(mfcc/00000\.npy\): delete"):
        verify_checksums(store)


def test_a_finished_store_is_found_where_nobody_may_write(
    few, tmp_path, in_process, small_features
):
    data = tmp_path / "data"
    party = CocktailParty(str(data / "cocktail_party"), {"train": 3, "val": 1, "test": 1})
    stores = [
        prepare(corpus, small_features, data / "stores") for corpus in (party, Manifest(str(few)))
    ]
    for lock in data.rglob("*.lock"):
        lock.unlink()  # a copy of the data may have none
    before = files(data)
    with read_only(tmp_path):
        again = [
            prepare(corpus, small_features, data / "stores")
            for corpus in (party, Manifest(str(few)))
        ]
        assert again == stores
        loaded = FaceAudioDataModule(str(data / "stores"), party, small_features, batch_size=2)
        loaded.prepare_data()
        assert len(next(iter(loaded.train_dataloader())).label) == 2
    assert files(data) == before


def test_a_store_that_cannot_be_written_is_refused_by_the_name_of_its_folder(
    few, tmp_path, in_process, small_features
):
    (tmp_path / "stores").mkdir()
    with read_only(tmp_path):
        for stores in (tmp_path / "stores", tmp_path / "others"):
            with pytest.raises(OSError, match=rf"^{stores} has no store .*: name another folder"):
                prepare(Manifest(str(few)), small_features, stores)


def leaking(root, **same):
    """Clips of which the first two are the same in some columns, and else differ."""
    rows = []
    for number, split in enumerate(("train", "test", "train", "test", "val")):
        write_sound(root / f"{number}.wav", tone(0.7, pitch=200 + number))
        write_picture(root / f"{number}.png", (200, 60, 60 + number))
        rows.append(row(f"c{number}", f"{number}.png", f"{number}.wav", split=split))
        rows[-1]["label"] = ("low", "high")[number // 2 % 2]
    rows[1] |= {column: value or rows[0][column] for column, value in same.items()}
    write_manifest(root, rows)
    return root


@pytest.mark.parametrize(("column", "what"), [("audio_path", "sound"), ("image_path", "picture")])
def test_the_same_recording_in_two_splits_is_refused_by_the_names_of_its_clips(
    tmp_path, in_process, small_features, column, what
):
    root = leaking(tmp_path, **{column: None})
    store = prepare(Manifest(str(root)), small_features, tmp_path / "stores")
    sentence = rf"The same {what} .*: c0 \(train\) = c1 \(test\)\. .*data\.allow_same"
    with pytest.raises(ValueError, match=sentence):
        FaceAudioDataModule(str(store)).prepare_data()
    assert f"is refused:\nThe same {what} is in two splits" in summarize_store(store)
    kind = f"same_{what}_in_two_splits"
    allowed = FaceAudioDataModule(str(store), **{f"allow_{kind}": True})
    assert allowed.description["leaks"][kind] == ["c0 (train) = c1 (test)"]
    rows = {"train": [0, 2], "val": [2, 3], "test": [3, 5]}  # where both are in one split
    other = FaceAudioDataModule(str(store), splits=rows, allow_untrained_classes=True)
    assert other.description["leaks"][kind] == []


def test_the_same_recording_under_two_labels_is_refused(tmp_path, in_process, small_features):
    root = leaking(tmp_path, audio_path=None, split="train", label="high")
    with pytest.raises(ValueError, match=r"more than one label: c0 \(low\) = c1 \(high\)"):
        prepare(Manifest(str(root)), small_features, tmp_path / "stores")
    allowed = Manifest(str(root), allow_two_labels_for_one_recording=True)
    assert prepare(allowed, small_features, tmp_path / "stores").exists()


def test_a_class_that_is_only_tested_on_is_told_before_anything_is_decoded_and_then_refused(
    tmp_path, small_features, in_process, caplog
):
    root = leaking(tmp_path, label="new")
    corpus = Manifest(str(root), classes=["low", "high", "new"])
    store = prepare(corpus, small_features, tmp_path / "stores")
    assert "are refused in training: There are clips to validate or test on" in caplog.text
    with pytest.raises(ValueError, match=r"none to train on, of classes: new\. .*data\.allow_untr"):
        FaceAudioDataModule(str(store)).prepare_data()
    data = FaceAudioDataModule(str(store), allow_untrained_classes=True)
    assert data.description["leaks"]["untrained_classes"] == ["new"]


def test_the_same_sound_twice_in_a_split_is_named(tmp_path, in_process, small_features):
    root = leaking(tmp_path, audio_path=None, split="train")
    leaks = read_description(prepare(Manifest(str(root)), small_features, tmp_path))["leaks"]
    assert leaks["same_sound_twice"] == ["c0 = c1"]


@pytest.mark.slow
def test_a_limit_that_leaves_a_class_untrained_is_no_fault_of_the_corpus(
    recordings, tmp_path, in_process, small_features
):
    corpus = Manifest(str(recordings))
    store = prepare(corpus, small_features, tmp_path, limit=23)
    few = prepare(corpus, small_features, tmp_path, limit=6)
    assert read_description(few)["allowed_leaks"] == ["untrained_classes"]
    assert len(FaceAudioDataModule(str(few)).store) == 6
    assert FaceAudioDataModule(str(store)).description["leaks"]["untrained_classes"] == []


def test_a_picture_may_be_shared_within_a_split(tmp_path, in_process, small_features):
    root = leaking(tmp_path, image_path=None, split="train", label="high")
    store = prepare(Manifest(str(root)), small_features, tmp_path)
    assert not any(FaceAudioDataModule(str(store)).description["leaks"].values())


KILLER = """
import os, sys
from avfusion.features import clip as clip_features
real = clip_features.read_picture
clip_features.read_picture = lambda path: os._exit(11) if path.name == "s0_2.png" else real(path)
"""


@pytest.mark.slow
@pytest.mark.parametrize("way", ["spawn", "fork"])
def test_a_clip_that_ends_its_process_is_left_out_and_listed(
    way, few, tmp_path, small_features, monkeypatch
):
    if way == "fork":
        if sys.platform != "linux":
            pytest.skip("few clips are decoded by forks on Linux only")
        real = clip_features.read_picture
        kill = lambda path: os._exit(11) if path.name == "s0_2.png" else real(path)  # noqa: E731
        monkeypatch.setattr(clip_features, "read_picture", kill)
    else:
        monkeypatch.setattr(parallel, "MAX_FORKED_SIZE", 0)
        (tmp_path / "site").mkdir()
        (tmp_path / "site" / "sitecustomize.py").write_text(KILLER)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    store = prepare(Manifest(str(few)), small_features, tmp_path / "stores", workers=2)
    assert Store(store).texts("clip_id") == ["s0_0", "s0_1", "s0_3"]
    assert read_description(store)["skipped"] == {"crashes or hangs its decoder": 1}


@pytest.mark.slow
def test_preparations_that_are_killed_end_with_the_bytes_of_an_uninterrupted_one(
    recordings, tmp_path
):
    script = ROOT / "tests" / "killed_preparation.py"

    def prepare_until(moment, stores, workers):
        command = [sys.executable, str(script), moment, f"corpus.root={recordings}"]
        command += ["features.face.size=32", f"hydra.run.dir={tmp_path}/log"]
        command += [f"prepare.stores={stores}", f"prepare.workers={workers}"]
        return fork_server.run(command, cwd=ROOT, start_new_session=True).returncode

    assert prepare_until("write_journal:25", tmp_path / "whole", 1) == 0
    (whole,) = (path for path in (tmp_path / "whole").iterdir() if path.is_dir())
    for attempt in range(6):
        # While a clip is read, or between its features and its journal; the others anywhere.
        moment = f"{('decode_with_watchdog', 'write_journal')[attempt % 2]}:{1 + 4 * attempt}"
        assert prepare_until(moment, tmp_path / "killed", 1 + attempt % 3) == -signal.SIGKILL
        (parts,) = tmp_path.glob("killed/*.parts")
        written = {path.stem for kind in ("json", "npz") for path in parts.glob(f"*_*.{kind}")}
        assert 4 * attempt < len(written) <= 24
    assert prepare_until("write_journal:25", tmp_path / "killed", 2) == 0
    assert files(tmp_path / "killed" / whole.name) == files(whole)


def test_bad_clips_are_skipped_counted_and_listed(bad, tmp_path, in_process, small_features):
    store = Store(prepare(Manifest(str(bad)), small_features, tmp_path))
    assert store.texts("clip_id") == ["good", "late"]
    assert store.description["skipped"] == {
        "empty file": 1,
        "git-LFS pointer, run git lfs pull": 1,
        "cannot be decoded": 1,
        "truncated": 1,
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
    assert report["silent"]["detail"] == "silent.wav: silent (energy -200 dBFS)"
    assert report["mute"]["source"] == str(bad / "mute.mp4")


def test_the_clips_between_bad_ones_are_read_from_their_places(
    bad, tmp_path, in_process, small_features
):
    store = Store(prepare(Manifest(str(bad)), small_features, tmp_path))
    good, late = np.load(store.root / "waveform" / "00000.npy")[store.place]
    assert late.std() == pytest.approx(4 * good.std(), rel=1e-3)
    assert store.read("frames", np.array([0, 1]))[:, 0, 0].max() == 200


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


@pytest.mark.parametrize(
    ("gap", "lacks"), [({"image": ""}, "no picture"), ({"audio": ""}, "no sound")]
)
def test_a_corpus_of_one_modality_is_refused_by_the_setting_that_keeps_it_before_it_is_decoded(
    gap, lacks, tmp_path, in_process, small_features
):
    write_sound(tmp_path / "good.wav", np.ones(8000))
    write_picture(tmp_path / "good.png", (9, 9, 9))
    write_manifest(tmp_path, [row("a", **gap), row("b", **gap)])
    sentence = f"The clips of .* have {lacks}, .*missing=skip keeps none of them: set .*=mask"
    with pytest.raises(ValueError, match=sentence):
        prepare(Manifest(str(tmp_path)), small_features, tmp_path / "stores")
    assert not (tmp_path / "stores").exists()


def test_checksums_are_those_of_all_files_but_the_description(party_store):
    contents = files(party_store)
    checksums = json.loads(contents.pop("description.json"))["checksums"]
    assert checksums == {name: hashlib.sha256(data).hexdigest() for name, data in contents.items()}


@pytest.mark.slow
def test_shards_and_parts_do_not_change_what_is_read(
    recordings, recordings_store, long_features, tmp_path, in_process, monkeypatch
):
    clip_bytes = sum(array.nbytes for array in long_features.arrays(1).values())
    monkeypatch.setattr(work, "SHARD_BYTES", 7 * clip_bytes)
    monkeypatch.setattr(work, "CHUNK_CLIPS", 3)
    sharded = Store(prepare(Manifest(str(recordings)), long_features, tmp_path))
    whole, rows = Store(recordings_store), np.arange(24)
    assert [len(shard) for shard in sharded.shards("frames")] == [7, 7, 7, 3]
    assert (sharded.read("frames", rows) == whole.read("frames", rows)).all()
    assert (sharded.read("mfcc", rows) == whole.read("mfcc", rows)).all()
    told = [describe_splits(store, split_by(store)) for store in (sharded, whole)]
    assert told[0]["class_counts"] == told[1]["class_counts"]
    for name, stream in told[0]["streams"].items():
        assert stream["std"] == pytest.approx(told[1]["streams"][name]["std"])


@pytest.mark.slow
def test_parts_change_no_byte_of_the_index_and_of_the_report(
    recordings, recordings_store, long_features, tmp_path, in_process, monkeypatch
):
    monkeypatch.setattr(work, "CHUNK_CLIPS", 5)
    store = prepare(Manifest(str(recordings)), long_features, tmp_path)
    for name in ("index.parquet", "report.csv"):
        assert (store / name).read_bytes() == (recordings_store / name).read_bytes()
        assert name in read_description(store)["checksums"]


def test_a_store_without_clips_to_validate_on_is_read(tmp_path, small_features, in_process):
    write_recordings(tmp_path, each=2)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("s4,val", "s4,test"))
    path = prepare(Manifest(str(tmp_path)), small_features, tmp_path / "stores")
    splits = split_by(Store(path))
    assert len(splits.rows("val")) == 0 and splits.where("val").tolist() == [False] * 12
    assert splits.counts()[
        "val"
    ] == 0 and "Train on it by fractions, or by other" in summarize_store(path)


def test_five_folds_read_one_store_and_change_none_of_its_bytes(
    recordings, recordings_store, long_features, monkeypatch
):
    before = files(recordings_store)
    monkeypatch.setattr(work, "decode_chunk", lambda *_: pytest.fail("decoded"))
    tested = []
    for fold in range(5):
        data = FaceAudioDataModule(
            str(recordings_store.parent),
            Manifest(str(recordings)),
            long_features,
            splits={"folds": 5},
            fold=fold,
        )
        data.prepare_data()
        assert data.path == recordings_store
        tested += data.splits.rows("test").tolist()
        assert data.description["splits"]["fold"] == fold
        assert sum(data.description["class_counts"]) == data.description["clips"]["train"]
    assert sorted(tested) == list(range(24))
    assert files(recordings_store) == before


def test_a_store_can_be_moved(recordings_store, tmp_path):
    moved = Store(shutil.copytree(recordings_store, tmp_path / "moved"))
    rows = np.array([1, 5])
    assert (moved.read("frames", rows) == Store(recordings_store).read("frames", rows)).all()


@pytest.mark.parametrize(
    ("name", "path"),
    [("grid", "grid"), ("my data=2, [x]", "my_data_2_x"), ("größe", "größe"), ("=", "corpus")],
)
def test_a_store_has_a_name_that_a_shell_and_an_override_can_hold(name, path):
    assert safe_name(name, "corpus") == path


def test_a_store_is_named_after_its_corpus(few, tmp_path, in_process, small_features):
    corpus = Manifest(str(few))
    corpus.name = "a b"
    store = prepare(corpus, small_features, tmp_path / "stores")
    assert store.parent == tmp_path / "stores" and store.name.startswith("a_b-")


def test_faces_of_several_pictures_are_stored_one_after_the_other(
    few, tmp_path, in_process, small_features
):
    three = replace(small_features, face=FaceFeatures(size=32, num_frames=3))
    store = Store(prepare(Manifest(str(few)), three, tmp_path))
    assert store.read("frames", np.arange(4)).shape == (4, 3, 3, 32, 32)


def test_the_program_starts_without_what_only_training_needs():
    script = "import sys; sys.path.append('src'); import prepare; print('lightning' in sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert process.stdout == "False\n"
