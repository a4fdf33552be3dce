"""Encoders of face maps."""

import hashlib
import pickle
import shutil

import pytest
import torch
from conftest import save_run

from avfusion import checkpoint
from avfusion.features import AudioFeatures, FaceFeatures, FaceMaps, Features
from avfusion.features import face_maps as reading
from avfusion.models.face_encoders import ConvNet, TimmEncoder

CONVNET = {
    "_target_": "avfusion.models.face_encoders.ConvNet",
    "mean": [0.5] * 3,
    "std": [0.25] * 3,
    "widths": [4, 6],
}
TIMM = {"_target_": "avfusion.models.face_encoders.TimmEncoder", "name": "test_resnet"}
FACE = torch.rand(2, 1, 3, 32, 32)


def test_of_a_run_it_is_the_face_encoder_with_its_weights(tmp_path):
    task = save_run(tmp_path / "run", "lowrank")
    face_maps = FaceMaps(str(tmp_path / "run"))
    encoder = face_maps.build()
    maps, lengths = encoder(FACE)
    by_network = task.eval().network.face_encoder(FACE)
    assert torch.equal(maps, by_network.transpose(1, 2)) and lengths is None
    assert not encoder.training and not any(p.requires_grad for p in encoder.parameters())
    assert face_maps.encoder == task.recipe.model["network"]["face_encoder"]
    assert face_maps.weights == str(tmp_path / "run" / "checkpoints" / "best.ckpt")


def test_of_a_run_on_stored_maps_it_is_the_encoder_that_made_them(tmp_path):
    first = save_run(tmp_path / "first", "lowrank")
    maps = FaceMaps(str(tmp_path / "first"))
    face_map = {"encoder": maps.recipe()}
    weights = first.network.face_encoder.state_dict()
    save_run(
        tmp_path / "second", "lowrank", "model/face_encoder=precomputed", maps=(face_map, weights)
    )
    again = FaceMaps(str(tmp_path / "second"))
    assert again.identity() == maps.identity()
    assert torch.equal(again.build()(FACE).values, maps.build()(FACE).values)


def test_the_digest_is_that_of_names_shapes_and_bytes_of_the_weights(tmp_path):
    task = save_run(tmp_path, "lowrank")
    state = hashlib.sha256()
    for name, value in sorted(task.network.face_encoder.state_dict().items()):
        state.update(f"{name} torch.float32 {tuple(value.shape)};".encode())
        state.update(value.numpy().tobytes())
    assert FaceMaps(str(tmp_path)).sha256 == state.hexdigest()


def test_other_weights_are_other_maps_and_a_moved_run_is_the_same(tmp_path):
    save_run(tmp_path / "a", "lowrank")
    before = FaceMaps(str(tmp_path / "a")).identity()
    (tmp_path / "a").rename(tmp_path / "b")
    assert FaceMaps(str(tmp_path / "b")).identity() == before
    save_run(tmp_path / "c", "lowrank")
    assert FaceMaps(str(tmp_path / "c")).identity() != before


@pytest.mark.encoders
def test_weights_come_from_a_file_whose_content_counts_and_not_its_place(tmp_path):
    import timm

    network = timm.create_model("test_resnet")
    torch.save(network.state_dict(), tmp_path / "a.pth")
    shutil.copy(tmp_path / "a.pth", tmp_path / "b.pth")
    identities = []
    for name in ("a.pth", "b.pth"):
        maps = FaceMaps(encoder=TIMM | {"pretrained": str(tmp_path / name)})
        identities.append(maps.identity())
        assert maps.sha256 == hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
        assert maps.recipe()["pretrained"] == "none"
    assert identities[0] == identities[1]
    assert torch.equal(maps.build().encoder.network.conv1[0].weight, network.conv1[0].weight)
    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "b.pth")
    other = FaceMaps(encoder=TIMM | {"pretrained": str(tmp_path / "b.pth")})
    assert other.identity() != identities[0]


@pytest.mark.parametrize(
    ("recipe", "kind"),
    [(CONVNET, ConvNet), pytest.param(TIMM, TimmEncoder, marks=pytest.mark.encoders)],
)
def test_an_encoder_that_learned_nothing_is_always_the_same_and_said_to_be_so(recipe, kind, caplog):
    before = torch.get_rng_state()
    first, second = (FaceMaps(encoder=recipe).build() for _ in range(2))
    assert isinstance(first.encoder, kind)
    assert torch.equal(first(FACE).values, second(FACE).values)
    assert torch.equal(torch.get_rng_state(), before)
    assert "has learned nothing" in caplog.text
    assert FaceMaps(encoder=recipe).weights == "drawn"


def test_settings_travel_to_other_processes_without_weights(tmp_path):
    save_run(tmp_path, "lowrank")
    maps = FaceMaps(str(tmp_path))
    copy = pickle.loads(pickle.dumps(maps))
    assert copy == maps and len(pickle.dumps(maps)) < 2000
    assert torch.equal(copy.build()(FACE).values, maps.build()(FACE).values)


def test_a_checkpoint_is_read_once(tmp_path, monkeypatch):
    save_run(tmp_path, "lowrank")
    files = []

    def read_checkpoint(file):
        files.append(file)
        return checkpoint.read_checkpoint(file)

    monkeypatch.setattr(reading, "read_checkpoint", read_checkpoint)
    FaceMaps(str(tmp_path)).build()
    assert files == [tmp_path / "checkpoints" / "best.ckpt"]


def test_without_run_and_encoder_there_are_no_maps():
    assert Features(FaceFeatures(), AudioFeatures(), face_maps=FaceMaps()).face_maps is None


def test_what_cannot_make_maps_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"No checkpoint at .*none: give the folder"):
        FaceMaps(str(tmp_path / "none"))
    with pytest.raises(ValueError, match="takes a run or an encoder, got both"):
        FaceMaps(str(tmp_path / "none"), CONVNET)
    with pytest.raises(FileNotFoundError, match=r"No weights at none\.pth: .*must be hub or a"):
        FaceMaps(encoder=TIMM | {"pretrained": "none.pth"})
    save_run(tmp_path, "audio_only")
    with pytest.raises(ValueError, match=r"has no face encoder to compute maps with: give"):
        FaceMaps(str(tmp_path))
    head = {"_target_": "avfusion.models.networks.Head", "dim": 3, "outputs": 2}
    with pytest.raises(ValueError, match=r"must be a face encoder, got .*Head"):
        FaceMaps(encoder=head).build()


def test_an_encoder_from_elsewhere_is_refused_and_not_made(tmp_path):
    maps = FaceMaps(encoder={"_target_": "os.mkdir", "path": str(tmp_path / "made")})
    with pytest.raises(ValueError, match=r"calls 'os\.mkdir'.*not run"):
        maps.build()
    assert not (tmp_path / "made").exists()
