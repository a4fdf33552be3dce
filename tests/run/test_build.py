import pytest
import torch
from conftest import load
from omegaconf import OmegaConf

from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.train_test_overlap import digest_training_clips
from avfusion.run import build as run_build
from avfusion.run.configuration import with_description
from avfusion.run.restore import build_from_recipe


@pytest.mark.encoders
def test_a_recipe_needs_no_weights_but_those_of_its_checkpoint(recordings_store, tmp_path):
    import timm

    torch.save(timm.create_model("test_resnet").state_dict(), tmp_path / "weights.pth")
    encoder = "model.network.face_encoder"
    cfg = load(
        "train",
        "model/face_encoder=timm",
        f"{encoder}.name=test_resnet",
        f"{encoder}.pretrained={tmp_path}/weights.pth",
    )
    OmegaConf.set_struct(cfg, False)
    cfg.trainer = cfg.callbacks = cfg.logger = {}  # know the folder of a run
    data = FaceAudioDataModule(str(recordings_store), batch_size=8)
    data.prepare_data()
    whole = run_build.build_task(with_description(cfg, data.description), data).recipe
    assert whole.trained_on == digest_training_clips(data.store, data.splits.where("train"))
    (tmp_path / "weights.pth").unlink()
    assert whole.model["network"]["face_encoder"]["pretrained"] == "none"
    assert build_from_recipe(whole.plain()).network.face_encoder.channels == 192
