"""Claims about credentials in files of configuration."""

import pytest
from conftest import CONF
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from omegaconf import OmegaConf

ADDRESS = "s3://me:my_secret@bucket/store"


@pytest.mark.parametrize("program", ["train", "eval", "predict", "diagnose", "prepare"])
def test_every_program_refuses_them_before_hydra_writes_its_configuration(program, monkeypatch):
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(program, return_hydra_config=True)
    check = instantiate(cfg.hydra.callbacks.credentials)
    check.on_run_start(config=cfg)
    check.on_multirun_start(config=OmegaConf.create({"logger": {"uri": ADDRESS}}))
    with pytest.raises(SystemExit, match=r"data.store=s3://\*\*\*@bucket/store holds") as told:
        check.on_multirun_start(config=OmegaConf.create({"data": {"store": ADDRESS}}))
    assert "my_secret" not in str(told.value)
    with pytest.raises(SystemExit, match=r"prepare.merge=s3://\*\*\*@bucket/store holds"):
        check.on_run_start(config=OmegaConf.create({"prepare": {"merge": ["a", ADDRESS]}}))
