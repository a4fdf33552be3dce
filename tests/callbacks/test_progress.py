"""Claims about how a training tells how far it is."""

import io
import logging
import re
import sys

import pytest
from conftest import CONF, build_for, quiet_trainer
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from avfusion.callbacks import Progress
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.run import build as run_build


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def train(store) -> None:
    data = FaceAudioDataModule(str(store), batch_size=8)
    callbacks = [Progress()]
    trainer = quiet_trainer(max_epochs=2, callbacks=callbacks, enable_progress_bar=True)
    trainer.fit(build_for(data, "audio_only"), datamodule=data)


def test_without_a_terminal_each_epoch_is_a_line(party_store, caplog, capsys):
    caplog.set_level(logging.INFO)
    train(party_store)
    lines = [message for message in caplog.messages if message.startswith("Epoch")]
    pattern = r"Epoch 1 of 2, \d+ s left: val/loss \d\.\d{3}, val/accuracy 0\.\d{3}"
    assert re.fullmatch(pattern, lines[0]) and lines[1].startswith("Epoch 2 of 2: val/loss")
    assert len(lines) == 2 and "━" not in capsys.readouterr().out


def test_at_a_terminal_a_bar_says_epoch_and_loss_in_80_columns(party_store, monkeypatch):
    terminal = Terminal()
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", terminal)
    train(party_store)
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.getvalue())
    drawn = [line for line in re.split(r"[\r\n]+", text) if line.startswith("Epoch")]
    whole = [re.search(r"Epoch 2 of 2, .* left .* 3/3 \d.* loss: \d", line) for line in drawn]
    assert any(whole) and max(map(len, drawn)) <= 80 and "v_num" not in text


@pytest.mark.parametrize("wanted", [True, False])
def test_the_bar_can_be_switched_off(wanted, tmp_path):
    overrides = [f"trainer.enable_progress_bar={str(wanted).lower()}", "logger=csv", "trainer=cpu"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(
            "train", [*overrides, f"hydra.runtime.output_dir={tmp_path}"], return_hydra_config=True
        )
    HydraConfig.instance().set_config(cfg)
    trainer = run_build.build_trainer(cfg)
    HydraConfig.instance().cfg = None
    assert any(isinstance(callback, Progress) for callback in trainer.callbacks) == wanted
