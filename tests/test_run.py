import pytest
import timm
import torch
from conftest import load
from hydra.errors import CompactHydraException as Error
from hydra.utils import instantiate
from omegaconf import OmegaConf

from avfusion import run
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.seen import trained_on


def test_wrong_input_ends_with_its_sentence_and_without_a_traceback(monkeypatch):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with (
        pytest.raises(Error, match="glimpses must be at least 1"),
        run.one_sentence(),
    ):
        raise ValueError("glimpses must be at least 1, got 0.")


def test_the_full_error_is_shown_when_asked_for(monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="glimpses"), run.one_sentence():
        raise ValueError("glimpses must be at least 1, got 0.")


def test_programming_errors_keep_their_traceback():
    with pytest.raises(KeyError), run.one_sentence():
        raise KeyError("a bug")


def test_a_missing_value_is_asked_for_by_its_name():
    config = OmegaConf.create({"corpus": {"root": "???"}})
    with (
        pytest.raises(Error, match=r"corpus\.root has no value"),
        run.one_sentence(),
    ):
        print(config.corpus.root)


def test_what_a_part_cannot_be_built_of_is_said_with_its_key(monkeypatch):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    model = OmegaConf.create({"network": {"_target_": "avfusion.networks.AudioOnly"}})
    with pytest.raises(Error, match=r"network cannot be built .* missing .*'audio_encoder'"):
        with run.one_sentence():
            instantiate(model)


def test_a_recipe_needs_no_weights_but_those_of_its_checkpoint(recordings_store, tmp_path):
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
    whole = run.build_task(cfg, data).recipe
    assert whole["trained_on"] == trained_on(data.store)
    recipe = whole["model"]
    (tmp_path / "weights.pth").unlink()
    assert recipe["network"]["face_encoder"]["pretrained"] == "none"
    assert instantiate(recipe, _convert_="all").network.face_encoder.channels == 192
