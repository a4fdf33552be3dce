"""What train.py does with settings that would end it late, or another way than expected."""

import json
import runpy
import shlex
import shutil
import sys
from pathlib import Path

import pytest
import torch
from conftest import ROOT, hydra_at_rest, results
from lightning import Callback

from avfusion.checkpoint import find_checkpoint
from avfusion.diagnostics import networks
from avfusion.diagnostics.section import read_diagnoses

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


class NaNGradient(Callback):
    """Let one gradient be NaN in a step, counted from 1."""

    def __init__(self, part: str, step: int) -> None:
        self.part, self.step = part, step

    def on_after_backward(self, trainer, task) -> None:
        if trainer.global_step + 1 == self.step:
            next(task.get_submodule(self.part).parameters()).grad[:] = torch.nan


@pytest.fixture
def start(party_store, tmp_path, monkeypatch):
    """Run train.py in this process and in an empty folder; return how it ended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVFUSION_DATA", str(tmp_path / "data"))
    monkeypatch.syspath_prepend(str(ROOT / "tests"))

    def start(line: str) -> object:
        given = f"train data=store data.store={party_store} data.batch_size=8 model=concat"
        given += f" callbacks=minimal trainer=cpu trainer.enable_progress_bar=false {line}"
        monkeypatch.setattr(sys, "argv", shlex.split(given))
        with hydra_at_rest():
            try:
                runpy.run_path(str(ROOT / "src" / "train.py"), run_name="__main__")
            except SystemExit as end:
                return end.code
        return 0

    return start


def steps_of(file: Path) -> int:
    return torch.load(file, weights_only=True)["global_step"]


@pytest.mark.parametrize("keep", [1, -1])
def test_a_copied_run_with_nothing_left_to_train_tests_its_best(keep, start, tmp_path):
    few = f"trainer.max_epochs=3 callbacks.checkpoint.save_top_k={keep} monitor=val/loss mode=min"
    assert start(f"{few} hydra.run.dir=first optimizer.lr=0.05") == 0
    shutil.copytree("first", "second")
    before = results(Path("first"))
    (tmp_path / "second" / "results.json").unlink()
    best = steps_of(find_checkpoint("first", "best"))
    assert start(f"{few} ckpt_path=second optimizer.lr=0.05") == 0
    after = results(Path("second"))
    assert steps_of(find_checkpoint("second", "best")) == best
    same = [name for name in before if name.startswith(("test/", "val/", "score", "status"))]
    assert {name: before[name] for name in same} == {name: after[name] for name in same}
    assert before["status"] == "finished"

    for file in (tmp_path / "second" / "checkpoints").iterdir():
        if file.name != "last.ckpt":
            file.unlink()
    assert start(f"{few} ckpt_path=second optimizer.lr=0.05") == 0
    assert results(Path("second"))["status"] == "finished"
    assert results(Path("second"))["score"] > 0


def test_a_training_that_comes_to_nan_has_failed_and_says_where(start):
    poison = "+callbacks.poison={_target_: test_train_in_process.NaNGradient, "
    poison += "part: network.face_encoder.layers.2, step: 5}"
    assert start(f"hydra.run.dir=run '{poison}'") == 1
    found = results(Path("run"))
    assert (found["status"], found["failed_step"]) == ("failed", 5)
    assert found["failed_part"] == "face_encoder.layers.2"
    assert "the gradient of the weight of face_encoder.layers.2 is not finite" in found["failure"]
    assert json.loads((Path("run") / "results.json").read_text())["status"] == "failed"
    from avfusion.evaluation.aggregate import find_exclusions
    from avfusion.evaluation.runs import find_runs

    (run,) = find_runs(["run"])
    assert run.failed and not run.results
    assert [one.state for one in find_exclusions([run])] == ["Failed"]


def test_fewer_steps_than_an_epoch_has_are_validated_and_tested(start):
    assert start("trainer.max_steps=2 hydra.run.dir=run") == 0
    found = results(Path("run"))
    assert found["status"] == "finished" and 0 <= found["score"] <= 1
    assert steps_of(find_checkpoint("run", "best")) == 2


def test_a_training_ends_with_the_diagnostics_that_it_was_asked_for(start):
    few = "diagnostics.contribution.clips=4 diagnostics.attention.clips=4"
    few += " 'diagnostics.robustness.corruptions=[clipping]'"
    assert start(f"trainer.max_epochs=1 diagnostics=full {few} hydra.run.dir=full") == 0
    (found,) = read_diagnoses(Path("full"))
    whole = found.sections["subsets"].numbers["network/both/accuracy"]
    assert whole == pytest.approx(results(Path("full"))["test/accuracy"])
    assert all(section.numbers for section in found.sections.values())

    assert start("trainer.max_epochs=1 diagnostics=none hydra.run.dir=none") == 0
    assert not (Path("none") / "diagnostics.json").exists()
    same = {key: value for key, value in results(Path("none")).items() if "seconds" not in key}
    assert {key: results(Path("full"))[key] for key in same} == same


def test_a_smoke_test_is_diagnosed_with_all_pairs_of_the_clips_that_it_has_tested(
    start, monkeypatch
):
    monkeypatch.setattr(networks, "MAX_PAIRS", 16)  # of the 64 in a batch
    few = "diagnostics.attention=null diagnostics.robustness=null"
    brief = "trainer=debug model.network.face_encoder.widths='[8,8]'"
    assert start(f"{brief} diagnostics=full {few} hydra.run.dir=run") == 0
    (found,) = read_diagnoses(Path("run"))
    assert found.clips == 8
    assert all(section.numbers for section in found.sections.values())


def test_a_network_in_bfloat16_trains_and_is_tested(start):
    assert start("trainer.precision=bf16-true trainer.max_epochs=1 hydra.run.dir=run") == 0
    assert 0 <= results(Path("run"))["test/accuracy"] <= 1


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("hydra.job.chdir=true", "hydra.job.chdir=true would look for data"),
        ("trainer.val_check_interval=50", "val_check_interval=50 is more than the 3 batches of an"),
        (
            "trainer.val_check_interval=50 trainer.check_val_every_n_epoch=null",
            "is more than the 24 batches of the run: set at most",
        ),
        ("trainer.max_steps=0", "trainer.max_steps must be at least 1, or -1 for no limit, got 0"),
        (
            "trainer.devices=[6]",
            "trainer.devices=[6] lists device numbers, which a CPU does not have",
        ),
        ("'trainer.devices=\"6,\"'", "lists device numbers, which a CPU does not have"),
        ("callbacks.checkpoint.save_top_k=0", "save_top_k=0 would keep no best checkpoint to test"),
        (
            "callbacks.checkpoint.every_n_train_steps=2",
            "validate as often instead, with trainer.val_check_interval=2",
        ),
        (
            "trainer.limit_val_batches=1 monitor=val/accuracy_happy data.batch_size=1",
            "monitor=val/accuracy_happy is never measured: none of the 1 val clips",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(line, sentence, start, capsys):
    end = start(line)
    told = f"{capsys.readouterr().err} {end}"
    assert end not in (0, None)
    assert sentence in " ".join(told.split())
