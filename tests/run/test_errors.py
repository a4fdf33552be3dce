"""Claims about how programs end."""

from pathlib import Path

import lightning as L
import pytest
import torch
from hydra.utils import instantiate
from lightning.fabric.utilities.exceptions import MisconfigurationException
from omegaconf import OmegaConf

from avfusion.callbacks import Unfreezing
from avfusion.data.train_test_overlap import decode_digests
from avfusion.files import hash_file
from avfusion.run.errors import exit_on_input_error, exit_on_refusal


def test_wrong_input_ends_with_its_sentence_and_without_a_traceback(monkeypatch):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with (
        pytest.raises(SystemExit, match="glimpses must be at least 1"),
        exit_on_input_error(),
    ):
        raise ValueError("glimpses must be at least 1, got 0.")


def test_the_full_error_is_shown_when_asked_for(monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="glimpses"), exit_on_input_error():
        raise ValueError("glimpses must be at least 1, got 0.")


def test_what_lightning_cannot_do_is_one_sentence_too(monkeypatch):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(SystemExit, match=r"Error: No such strategy"), exit_on_input_error():
        raise MisconfigurationException("No such strategy")
    trainer = OmegaConf.create({"_target_": "lightning.Trainer", "fast_dev_run": -1})
    with pytest.raises(SystemExit, match=r"fast_dev_run"), exit_on_input_error():
        instantiate(trainer)


def test_programming_errors_keep_their_traceback():
    with pytest.raises(KeyError), exit_on_input_error():
        raise KeyError("a bug")


def test_a_missing_value_is_asked_for_by_its_name():
    config = OmegaConf.create({"corpus": {"root": "???"}})
    with (
        pytest.raises(SystemExit, match=r"corpus\.root has no value"),
        exit_on_input_error(),
    ):
        print(config.corpus.root)


def test_what_a_part_cannot_be_built_of_is_said_with_its_key(monkeypatch):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    model = OmegaConf.create({"network": {"_target_": "avfusion.models.networks.AudioOnly"}})
    with pytest.raises(SystemExit, match=r"network cannot be built .* missing .*'audio_encoder'"):
        with exit_on_input_error():
            instantiate(model)


def refuse():
    Unfreezing("face_encoder", epoch=0)


def test_what_this_package_refuses_in_the_middle_of_a_training_is_one_sentence(monkeypatch):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with pytest.raises(
        SystemExit, match=r"^Error: callbacks\.unfreezing\.epoch must be at least 1"
    ):
        exit_on_refusal()(refuse)()
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    with pytest.raises(ValueError, match="unfreezing"):
        exit_on_refusal()(refuse)()


@pytest.mark.parametrize(
    ("crash", "error"),
    [
        (lambda: decode_digests("x"), ValueError),  # Python itself refuses these
        (lambda: hash_file(Path("nowhere")), FileNotFoundError),
        (lambda: torch.stack([torch.ones(1), torch.ones(2)]), RuntimeError),
        (lambda: L.Trainer(max_time="long"), MisconfigurationException),
    ],
)
def test_what_others_raise_in_the_middle_of_a_training_keeps_its_traceback(crash, error):
    with pytest.raises(error), exit_on_refusal():
        crash()
