import pytest
from conftest import load
from hydra.errors import CompactHydraException as Error
from omegaconf import OmegaConf

from avfusion import run


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


@pytest.mark.parametrize("key", ["ckpt_path", "init_from"])
def test_a_missing_checkpoint_is_refused_before_any_work(key, tmp_path):
    with pytest.raises(FileNotFoundError, match="give the folder of a run"):
        run.check(load("train", f"{key}={tmp_path}/none"))


@pytest.mark.parametrize("seed", ["null", "-1", "1.5"])
def test_a_seed_that_is_no_whole_number_is_refused(seed):
    with pytest.raises(ValueError, match="seed must be a whole number"):
        run.check(load("train", f"seed={seed}"))
