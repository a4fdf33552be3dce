"""Claims about the vectors of tested clips."""

import csv

import numpy as np
import pytest
import torch
from conftest import build_for, quiet_trainer
from google.protobuf import text_format
from lightning.pytorch.loggers import TensorBoardLogger
from PIL import Image
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from avfusion.dashboard import Embeddings
from avfusion.data.datamodule import FaceAudioDataModule


def written(store, folder, model, clips):
    """Test a network; return data, task, and the vectors that were written, by name."""
    data = FaceAudioDataModule(str(store), batch_size=5)
    task = build_for(data, model)
    logger = TensorBoardLogger(folder, name="", version="", default_hp_metric=False)
    trainer = quiet_trainer(logger=logger, callbacks=[Embeddings(clips)])
    trainer.test(task, datamodule=data, verbose=False)
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())
    return data, task, {part.tensor_name.partition(":")[0]: part for part in config.embeddings}


def test_vectors_are_those_between_the_parts_and_know_their_clips(party_store, tmp_path):
    data, task, parts = written(party_store, tmp_path, "lowrank", 7)
    assert set(parts) == {"face", "audio", "fused"}
    rows = data.splits.rows("test")[:7]
    faces = data.store.read("frames", rows).float() / 255
    network = task.network.eval()
    with torch.no_grad():
        heard = data.store.read("mfcc", rows), torch.from_numpy(data.store.lengths("mfcc")[rows])
        _, audio = network.audio_encoder(*heard)
        face, _ = network.attention(network.face_encoder(faces), audio)
        fused = network.fusion(face, audio)
    for name, vector in (("face", face), ("audio", audio), ("fused", fused)):
        table = np.loadtxt(tmp_path / parts[name].tensor_path, delimiter="\t")
        np.testing.assert_allclose(table, vector.numpy(), rtol=1e-3, atol=1e-5)
        with (tmp_path / parts[name].metadata_path).open(newline="") as file:
            clips = list(csv.DictReader(file, delimiter="\t"))
        records = data.store.records(rows.tolist())
        for clip, record in zip(clips, records, strict=True):
            assert clip == {key: getattr(record, key) for key in clip}
        assert {"label", "subject"} <= set(clips[0])
        assert list(parts[name].sprite.single_image_dim) == [32, 32]
        with Image.open(tmp_path / parts[name].sprite.image_path) as sprite:
            assert sprite.size == (3 * 32, 3 * 32)  # the least square that holds seven
            first = np.array(sprite.convert("RGB"))[:32, :32]
        shown = torch.nn.functional.interpolate(faces[:1, 0], (32, 32), mode="area")[0]
        assert abs(first.transpose(2, 0, 1) / 255 - shown.numpy()).max() < 0.02


@pytest.mark.parametrize(
    ("model", "known"),
    [
        ("audio_only", {"audio"}),
        ("face_only", {"face"}),
        ("crossattention", {"audio", "fused"}),
        ("seed2017", set()),
    ],
)
def test_a_network_without_a_part_has_no_such_vectors(party_store, tmp_path, model, known):
    (tmp_path / "projector_config.pbtxt").touch()
    assert set(written(party_store, tmp_path, model, 500)[2]) == known


def test_less_than_no_clip_is_refused():
    with pytest.raises(ValueError, match=r"embeddings\.clips must be at least 0"):
        Embeddings(clips=-1)
