"""Several processes train the model of one."""

import os
import socket
import threading
from contextlib import suppress

import numpy as np
import pytest
import torch
from conftest import SMALL_PARTY, SMALL_TEST_ROWS, results

from avfusion.evaluation.predictions import load_predictions

pytestmark = pytest.mark.slow
SMALL = (
    SMALL_PARTY,
    "model.network.audio_encoder.hidden_dim=16",
    "trainer.accelerator=cpu",
    "callbacks=minimal",
    "trainer.max_epochs=2",
)
EXACT = (*SMALL, "trainer.precision=64-true", "optimizer=sgd")


def weights(folder):
    checkpoint = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)
    return checkpoint["state_dict"]


def new_folder(logs):
    """Return the override that names a run's folder as it is without one, by the moment."""
    return f"hydra.run.dir='${{run_folder:null,{logs}/${{now:%f}}}}'"


def record_ranks(folder):
    return (
        "+callbacks.recorder._target_=rank_recorder.RankRecorder",
        f"+callbacks.recorder.folder={folder}",
    )


def check_ranks(folder):
    """Claim that two ranks end with equal weights, and that each clip was tested once."""
    first, second = (torch.load(folder / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    ours, theirs = first["weights"], second["weights"]
    assert all(torch.equal(ours[name], theirs[name]) for name in ours | theirs)
    assert sorted(first["rows"] + second["rows"]) == list(SMALL_TEST_ROWS)


ADVERSARY = ("model/missing=imagined", "model.network.modality_dropout=0", "model.r1_weight=1")
ADVERSARY = (*ADVERSARY, "model/alignment=reversal", "trainer.accumulate_grad_batches=2")


@pytest.mark.parametrize("model", [(), ADVERSARY], ids=["common", "adversarial"])
def test_two_processes_end_where_one_with_twice_the_batch_does(model, run, tmp_path):
    one, two, none = tmp_path / "one", tmp_path / "two", tmp_path / "none"
    ddp = ("trainer=ddp", "trainer.devices=2", "data.batch_size=8")
    alone = ("trainer.devices=1", "data.batch_size=16")
    run("train", *EXACT, *model, *alone, f"hydra.run.dir={one}")
    run("train", *EXACT, *model, *ddp, f"hydra.run.dir={two}")
    still = ("optimizer.lr=1e-30", "trainer.devices=1", "trainer.max_epochs=1")
    run("train", *EXACT, *model, *still, f"hydra.run.dir={none}")

    moved = {
        name: (weights(one)[name] - value).abs().max() for name, value in weights(none).items()
    }
    learned = [name for name, distance in moved.items() if distance > 1e-4]
    assert len(learned) > len(moved) / 2
    for name, value in weights(one).items():
        torch.testing.assert_close(weights(two)[name], value, rtol=0, atol=1e-9, msg=name)
    ours, theirs = results(one), results(two)
    tested = [name for name in ours if name.startswith("test/")]
    assert tested
    assert {name: theirs[name] for name in tested} == pytest.approx(
        {name: ours[name] for name in tested}, abs=1e-6, nan_ok=True
    )
    single, shared = load_predictions(one), load_predictions(two)
    assert shared.rows.tolist() == list(SMALL_TEST_ROWS) == single.rows.tolist()
    assert shared.outputs.dtype == np.float64
    np.testing.assert_allclose(shared.outputs, single.outputs, rtol=0, atol=1e-9)
    for name in ("clip_ids", "subjects", "targets", "boxes"):
        np.testing.assert_array_equal(getattr(shared, name), getattr(single, name))
    np.testing.assert_array_equal(shared.glimpses.peaks, single.glimpses.peaks)
    assert float(shared.correct.mean()) == pytest.approx(theirs["test/accuracy"])
    hit = float(np.nanmean(shared.glimpses.attention_hit))
    assert hit == pytest.approx(theirs["test/attention_hit"])


def test_processes_of_torchrun_share_one_run_folder(run, tmp_path):
    logs = tmp_path / "logs"
    small = (*SMALL, "trainer=ddp", "trainer.devices=2", *record_ranks(tmp_path / "ranks"))
    run("train", *small, new_folder(logs), torchrun="--standalone --nproc-per-node=2")
    check_ranks(tmp_path / "ranks")
    (folder,) = logs.iterdir()
    assert results(folder)["epochs"] == 2


def free_port() -> int:
    """Return a port that is free, and below those that other tests are given meanwhile."""
    for port in range(20_000 + os.getpid() % 5_000, 30_000):
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    pytest.fail("no port between 20000 and 30000 is free")


def test_two_nodes_end_with_equal_weights(run, tmp_path):
    port = free_port()
    nodes = f"--nnodes=2 --nproc-per-node=1 --master-addr=127.0.0.1 --master-port={port}"
    logs = tmp_path / "logs"
    ddp = ("trainer=ddp", "trainer.devices=1", "trainer.num_nodes=2")
    small = (*SMALL, *ddp, *record_ranks(tmp_path / "ranks"), new_folder(logs))
    first, second = (f"{nodes} --node-rank={rank}" for rank in (0, 1))
    other = threading.Thread(target=run, args=("train", *small), kwargs={"torchrun": second})
    other.start()
    run("train", *small, torchrun=first)
    other.join()
    check_ranks(tmp_path / "ranks")
    assert len(list(logs.iterdir())) == 1
