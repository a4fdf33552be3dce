"""Claims about the face maps of a store."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import quiet_trainer, save_run, write_recordings

from avfusion.corpora import Manifest
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.store import Store
from avfusion.features import FaceFeatures, FaceMaps, Features
from avfusion.features.face_maps import FaceMapEncoder
from avfusion.models.face_encoders import ConvNet
from avfusion.preparation import prepare as preparation
from avfusion.preparation import streams as mapping
from avfusion.preparation import workers as work
from avfusion.preparation.description import verify_checksums
from avfusion.preparation.executors.local import Local
from avfusion.preparation.prepare import prepare
from avfusion.preparation.streams import choose_device
from avfusion.preparation.summary import preview_store, suggest_overrides, summarize_store


def files(root):
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture
def few(tmp_path):
    """A folder with four clips."""
    return Manifest(str(write_recordings(tmp_path / "few", subjects=1)))


@pytest.fixture
def trained(tmp_path):
    """The folder of a run, and its face encoder."""
    encoder = save_run(tmp_path / "run", "lowrank").network.face_encoder.eval()
    return str(tmp_path / "run"), encoder


@pytest.fixture
def features(small_features, trained) -> Features:
    return replace(small_features, face_maps=FaceMaps(trained[0]))


def test_a_store_holds_the_maps_of_its_pictures_in_half_precision(
    few, tmp_path, in_process, features, trained
):
    two = replace(features, face=FaceFeatures(size=32, num_frames=2))
    store = Store(prepare(few, two, tmp_path / "stores"))
    maps = np.load(store.root / "face_map" / "00000.npy")
    assert maps.shape == (4, 2, 64, 4, 4) and maps.dtype == np.float16
    pictures = np.load(store.root / "frames" / "00000.npy")
    for clip in range(4):
        for picture in range(2):
            face = torch.tensor(pictures[clip, picture] / 255, dtype=torch.float32)
            by_hand = trained[1](face.permute(2, 0, 1)[None, None])[0, :, 0].detach().half()
            np.testing.assert_allclose(maps[clip, picture], by_hand, rtol=2e-3, atol=1e-6)
    rows = np.array([0, 2])
    assert np.array_equal(store.read("face_map", rows), maps[rows])


def test_the_description_tells_of_the_encoder_and_its_weights_are_kept(
    few, tmp_path, in_process, features, trained
):
    store = Store(prepare(few, features, tmp_path / "stores"))
    told = store.streams["face_map"].plain()
    assert (told["modality"], told["kind"], told["shape"]) == ("face", "maps", [1, 64, 4, 4])
    assert told["encoder"] == {
        "_target_": "avfusion.models.face_encoders.ConvNet",
        "stream": "frames",
        "mean": [0.0] * 3,
        "std": [1.0] * 3,
        "widths": [32, 64, 64],
        "norm_groups": 1,
    }
    assert told["weights"] == f"{trained[0]}/checkpoints/best.ckpt"
    assert (
        told["sha256"]
        == features.face_maps.sha256
        == store.description["features"]["face_maps"]["sha256"]
    )
    weights = trained[1].state_dict()
    kept = store.encoder("face_map")
    assert kept.keys() == weights.keys()
    assert all(torch.equal(value, weights[name]) for name, value in kept.items())
    verify_checksums(store.root)


def test_clips_without_a_face_have_maps_of_zeros(few, tmp_path, in_process, features):
    manifest = tmp_path / "few" / "manifest.csv"
    manifest.write_text(manifest.read_text().replace("s0_1.png", ""))
    masking = replace(features, policies=replace(features.policies, missing="mask"))
    store = Store(prepare(few, masking, tmp_path / "stores"))
    assert store.has_face.tolist() == [True, False, True, True]
    assert [bool(clip.any()) for clip in store.shards("face_map")[0]] == store.has_face.tolist()


@pytest.mark.slow
def test_other_maps_have_a_store_of_their_own_and_none_leave_it_as_it_was(
    few, tmp_path, in_process, features, small_features
):
    save_run(tmp_path / "other", "lowrank")
    others = replace(features, face_maps=FaceMaps(str(tmp_path / "other")))
    settings = (small_features, features, others, replace(small_features, face_maps=FaceMaps()))
    stores = [prepare(few, setting, tmp_path / "stores") for setting in settings]
    assert len(set(stores)) == 3 and stores[0] == stores[3]
    assert not (stores[0] / "face_map").exists()
    assert "face_map" not in Store(stores[0]).streams


def test_preparing_again_computes_nothing(few, tmp_path, in_process, features, monkeypatch):
    store = prepare(few, features, tmp_path / "stores")
    monkeypatch.setattr(FaceMaps, "build", lambda *_: pytest.fail("built again"))
    assert prepare(few, features, tmp_path / "stores") == store


def test_maps_that_were_interrupted_are_gone_on_with(
    few, tmp_path, in_process, features, monkeypatch
):
    monkeypatch.setattr(mapping, "STREAM_CHUNK_CLIPS", 1)
    whole = prepare(few, features, tmp_path / "whole")
    mapped, real = [], mapping.compute_chunk

    def interrupted_in_the_third(plan, chunk):
        mapped.append(chunk.number)
        if len(mapped) == 3:
            raise KeyboardInterrupt
        real(plan, chunk)

    monkeypatch.setattr(mapping, "compute_chunk", interrupted_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        prepare(few, features, tmp_path / "stores")
    left = {path.suffix for path in (tmp_path / "stores").iterdir() if path.is_dir()}
    assert {".partial", ".parts"} < left
    monkeypatch.setattr(work, "decode_chunk", lambda *_: pytest.fail("decoded again"))
    store = prepare(few, features, tmp_path / "stores")
    assert mapped == [0, 1, 2, 2, 3]
    assert files(store) == files(whole)
    assert [path for path in (tmp_path / "stores").iterdir() if path.is_dir()] == [store]


@pytest.mark.slow
def test_shards_and_parts_do_not_change_the_maps(few, tmp_path, in_process, features, monkeypatch):
    whole = Store(prepare(few, features, tmp_path / "whole"))
    clip_bytes = sum(array.nbytes for array in features.arrays(1).values())
    monkeypatch.setattr(work, "SHARD_BYTES", 3 * clip_bytes)
    monkeypatch.setattr(mapping, "STREAM_CHUNK_CLIPS", 3)
    sharded = Store(prepare(few, features, tmp_path / "sharded"))
    assert [len(sharded.computed["face_map"].array(part)) for part in range(2)] == [3, 1]
    rows = np.arange(4)
    assert torch.equal(sharded.read("face_map", rows), whole.read("face_map", rows))


def test_maps_that_half_precision_cannot_hold_are_refused(few, tmp_path, in_process, features):
    encoder = ConvNet([0.0] * 3, [1.0] * 3, widths=[4, 4])
    torch.nn.init.constant_(encoder.layers[-2].bias, 1e5)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FaceMaps, "build", lambda *_: FaceMapEncoder(encoder))
        with pytest.raises(ValueError, match=r"face_map exceed what 16 bits hold \(65504\)"):
            prepare(few, features, tmp_path / "stores")


def test_maps_that_do_not_fit_on_the_disk_are_refused_before_they_are_begun(
    few, tmp_path, in_process, features, monkeypatch
):
    monkeypatch.setattr(mapping, "check_disk_space", lambda root, needed: pytest.fail(str(needed)))
    with pytest.raises(pytest.fail.Exception, match=f"^{4 * 64 * 4 * 4 * 2}$"):
        prepare(few, features, tmp_path / "stores")


def test_people_are_told_of_the_maps_and_of_the_command_that_reads_them(
    few, tmp_path, in_process, features, trained
):
    stores = tmp_path / "stores"
    told = preview_store(few, features, stores, None)
    assert "GB and what is computed of them: face_map" in told
    assert not stores.exists()
    store = Store(prepare(few, features, stores))
    text = summarize_store(store.root)
    (line,) = (line for line in text.splitlines() if line.startswith("face_map"))
    assert line.split()[1:8] == ["face", "maps", "1", "x", "64", "x", "4"]
    assert f"ConvNet on frames, weights: {trained[0]}/checkpoints/best.ckpt, sha256 " in line
    options = suggest_overrides(store, {"train": 64, "val": 8, "test": 8})
    assert options == ["face=face_map"]


@pytest.mark.slow
def test_maps_are_computed_on_the_device_of_the_trainer(
    few, tmp_path, in_process, features, monkeypatch
):
    """A GPU that the Trainer does not use is left alone: here there is none, but torch says so."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    device = str(quiet_trainer().strategy.root_device)
    data = FaceAudioDataModule(str(tmp_path / "stores"), few, features, device=device)
    assert Store(data.store.root).shards("face_map")[0].any()

    used = []
    monkeypatch.setattr(preparation, "add_stream", lambda *given: used.append(given[2]))
    for number, device in enumerate(("meta", "cpu")):
        data = FaceAudioDataModule(str(tmp_path / str(number)), few, features, device=device)
        _ = data.store
    assert used == [torch.device("meta"), torch.device("cpu")]


@pytest.mark.parametrize("name", ["cuda:99", "nonsense"])
def test_a_device_that_is_not_there_is_refused_before_anything_is_decoded(
    few, tmp_path, features, monkeypatch, name
):
    monkeypatch.setattr(Local, "run", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=rf"prepare\.device={name} cannot compute streams .*use"):
        prepare(few, features, tmp_path / "stores", device=name)


def test_auto_is_a_gpu_where_there_is_one():
    kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    assert choose_device("auto").type == next(
        (kind for kind, there in kinds.items() if there), "cpu"
    )
