"""Claims about features that the user brings with a corpus."""

import csv
from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import split_by, write_manifest, write_recordings
from tiny_encoders import TinyVoice

from avfusion.corpora import Manifest
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.store import Store
from avfusion.preparation import workers as work
from avfusion.preparation.description import describe_splits, verify_checksums
from avfusion.preparation.prepare import prepare
from avfusion.preparation.streams import add_stream


def values_of(number: int, width: int = 3) -> np.ndarray:
    """Features of a clip: as many steps as its number and one more."""
    return np.random.default_rng(number).normal(1e5, 1, (number + 1, width)).astype(np.float32)


@pytest.fixture
def folder(tmp_path):
    """Four recordings with features of the voice, one to four steps, and of the face, a vector."""
    root = write_recordings(tmp_path / "few", subjects=1)
    with (root / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows):
        np.save(root / f"voice{number}.npy", values_of(number))
        torch.save({"face": torch.full((2,), float(number))}, root / f"face{number}.pt")
        row |= {"audio_features": f"voice{number}.npy", "face_features": f"face{number}.pt"}
    write_manifest(root, rows)
    return root


@pytest.fixture
def make(folder, tmp_path, in_process, small_features):
    """Prepare the store of those recordings."""
    return lambda **options: prepare(
        Manifest(str(folder), **options), small_features, tmp_path / "stores"
    )


def edit(folder, change):
    """Change the rows of the manifest."""
    with (folder / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    change(rows)
    write_manifest(folder, rows)


def test_precomputed_features_are_streams_as_they_were_with_their_true_lengths(make):
    store = Store(make(features={"rate": 50}))
    voice, face = store.streams["audio_features"], store.streams["face_features"]
    assert (voice.kind, voice.shape, voice.rate, voice.dtype) == ("sequence", (4, 3), 50, "float32")
    assert (face.kind, face.shape, face.rate) == ("vector", (2,), None)
    assert store.lengths("audio_features").tolist() == [1, 2, 3, 4]
    for row in range(4):
        assert np.array_equal(store.clip("audio_features", row), values_of(row))
        assert store.clip("face_features", row).tolist() == [row, row]
    batch = store.read("audio_features", np.array([1, 3]))
    assert batch.shape == (2, 4, 3) and not batch[0, 2:].any()
    verify_checksums(store.root)

    told = describe_splits(store, split_by(store, {"train": [0, 3]}), ["audio_features"])
    table = np.concatenate([values_of(row) for row in range(3)]).astype(np.float64)
    np.testing.assert_allclose(told["streams"]["audio_features"]["mean"], table.mean(0))


def test_other_features_are_another_store_and_the_same_ones_are_read_once(
    make, folder, monkeypatch
):
    first = make()
    monkeypatch.setattr(work, "decode_chunk", lambda *_: pytest.fail("decoded again"))
    assert make() == first
    monkeypatch.undo()
    np.save(folder / "voice0.npy", values_of(0) + 1)
    assert make() != first


def test_clips_may_have_features_and_nothing_else(make, folder):
    def leave_media_out(rows):
        for row in rows:
            del row["image_path"], row["audio_path"]

    edit(folder, leave_media_out)
    store = Store(make())
    assert len(store) == 4 and store.has_face.all() and store.has_audio.all()
    assert np.array_equal(store.clip("audio_features", 2), values_of(2))
    assert store.record(0).face_digest is None and store.record(0).audio_digest is None


def test_a_stream_of_recordings_that_some_clips_lack_is_refused(make, folder):
    def leave_one_sound_out(rows):
        rows[2]["audio_path"] = ""

    edit(folder, leave_one_sound_out)
    root = make()
    sentence = r"1 clip of .*, such as s0_2, bring audio_features and no recording, so {} holds"
    options = {"streams": ("mfcc",), "splits": {"train": 1}}
    with pytest.raises(ValueError, match=sentence.format("mfcc")):
        _ = FaceAudioDataModule(str(root), **options).description
    with pytest.raises(ValueError, match=sentence.format("waveform")):
        add_stream(root, TinyVoice(), torch.device("cpu"))
    options["streams"] = ("audio_features", "frames")
    assert FaceAudioDataModule(str(root), **options).description["output_names"]


FAULTS = {
    "voice2.npy": (
        np.zeros((2, 5), np.float32),
        r"audio_features of clip s0_2 have the shape \(2, 5\), those of clip s0_0 \(1, 3\): all",
    ),
    "voice1.npy": (
        np.array([[1, np.nan, 3]], np.float32),
        r"audio_features of clip s0_1 .* have 1 of 3 values that are infinite or not a number",
    ),
    "voice3.npy": (np.zeros((2, 2, 3)), r"clip s0_3 .* are float64 of shape \(2, 2, 3\): give num"),
    "voice0.npy": (np.array(["a"]), r"clip s0_0 .* are <U1 of shape \(1,\): give numbers"),
}


@pytest.mark.parametrize(("file", "content", "sentence"), [(k, *v) for k, v in FAULTS.items()])
def test_features_that_are_wrong_are_named_with_their_clip_before_anything_is_decoded(
    make, folder, monkeypatch, file, content, sentence
):
    np.save(folder / file, content)
    monkeypatch.setattr(work, "decode_chunk", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=sentence):
        make()


def test_a_file_that_cannot_be_read_or_holds_several_arrays_is_named(make, folder):
    (folder / "voice1.npy").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"audio_features of clip s0_1 .* cannot be read"):
        make()
    np.savez(folder / "several.npz", a=values_of(1), b=values_of(1) + 1)
    edit(folder, lambda rows: rows[1].update(audio_features="several.npz"))
    with pytest.raises(
        ValueError, match=r"clip s0_1 .* hold a, b: say which one with corpus\.feat"
    ):
        make()
    for number in range(4):
        torch.save({"face": torch.ones(2), "b": torch.ones(2)}, folder / f"face{number}.pt")
        np.savez(folder / f"v{number}.npz", a=values_of(number), b=values_of(number) + 1)
    edit(
        folder, lambda rows: [row.update(audio_features=f"v{n}.npz") for n, row in enumerate(rows)]
    )
    store = Store(make(features={"key": "b"}))
    assert np.array_equal(store.clip("audio_features", 1), values_of(1) + 1)


def test_each_column_may_have_a_key_and_a_rate_of_its_own(make, folder):
    def bring_both(rows):
        for number, row in enumerate(rows):
            values = {"voice": values_of(number), "face": values_of(number, 2)}
            np.savez(folder / f"both{number}.npz", **values)
            row |= dict.fromkeys(("audio_features", "face_features"), f"both{number}.npz")

    edit(folder, bring_both)
    keys, rates = {"audio_features": "voice", "face_features": "face"}, {"face_features": 25}
    store = Store(make(features={"key": keys, "rate": rates}))
    assert np.array_equal(store.clip("audio_features", 2), values_of(2))
    assert np.array_equal(store.clip("face_features", 2), values_of(2, 2))
    assert [store.streams[name].rate for name in keys] == [None, 25]
    with pytest.raises(ValueError, match=r"features of clip s0_0 .* with corpus\.features\.key="):
        make(features={"key": {"audio_features": "voice"}})


def test_a_tensor_with_a_gradient_is_read_and_what_is_no_array_is_named(make, folder):
    edit(folder, lambda rows: rows[1].update(audio_features="voice1.pt"))
    torch.save(torch.from_numpy(values_of(1)).requires_grad_(), folder / "voice1.pt")
    store = Store(make())
    assert np.array_equal(store.clip("audio_features", 1), values_of(1))

    torch.save([[1.0, 2.0, 3.0], [4.0]], folder / "voice1.pt")
    with pytest.raises(ValueError, match=r"audio_features of clip s0_1 .* are no array \(.*write"):
        make()


def test_a_clip_without_its_features_is_named(make, folder):
    edit(folder, lambda rows: rows[1].update(audio_features=""))
    with pytest.raises(ValueError, match=r"Line 3 of .* has no audio_features: name the file"):
        make()
    edit(folder, lambda rows: rows[1].update(audio_features="nowhere.npy"))
    with pytest.raises(
        ValueError, match=r"Line 3 .* names nowhere\.npy as its audio_features, and"
    ):
        make()


def test_a_clip_without_sound_needs_no_features_of_it(folder, tmp_path, in_process, small_features):
    edit(folder, lambda rows: rows[1].update(audio_features="", audio_path=""))
    masking = replace(small_features, policies=replace(small_features.policies, missing="mask"))
    store = Store(prepare(Manifest(str(folder)), masking, tmp_path / "stores"))
    assert store.has_audio.tolist() == [True, False, True, True]
    assert not store.clip("audio_features", 1).any() and store.lengths("audio_features")[1] == 1


def test_what_corpus_features_cannot_be_is_refused(folder):
    with pytest.raises(ValueError, match=r"corpus\.features has no hop, it has rate, key"):
        Manifest(str(folder), features={"hop": 1})
    with pytest.raises(
        ValueError, match=r"corpus\.features\.rate must be steps per second .*got 0"
    ):
        Manifest(str(folder), features={"rate": 0})
    with pytest.raises(ValueError, match=r"corpus\.features\.key has no voice: give one for both"):
        Manifest(str(folder), features={"key": {"voice": "a"}})
