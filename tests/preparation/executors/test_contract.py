"""Claims about every executor, found by its YAML."""

import pytest
from conftest import CONF, load
from hydra.utils import instantiate

from avfusion.preparation.executors import Executor

EXECUTORS = sorted(path.stem for path in (CONF / "prepare" / "executor").glob("*.yaml"))


@pytest.mark.parametrize("name", EXECUTORS)
def test_an_executor_offers_what_preparation_asks_of_it_and_does_nothing_until_then(name, tmp_path):
    cfg = load("prepare", f"prepare/executor={name}", f"prepare.stores={tmp_path}")
    executor = instantiate(cfg.prepare.executor, _convert_="all")
    assert isinstance(executor, Executor) and executor.is_remote == (name != "local")
    assert not list(tmp_path.iterdir())
