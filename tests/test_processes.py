"""Several processes train the model of one."""

import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

import fork_server
import numpy as np
import pytest
import torch
from conftest import ROOT, SMALL_PARTY, SMALL_TEST_ROWS, results, split_by
from object_server import BUCKET, SECRET

from avfusion.data.store import Store
from avfusion.evaluation.predictions import load_predictions
from avfusion.evaluation.runs import read_run
from avfusion.preparation.upload import upload_store
from avfusion.report.sources import read_sources

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


def find_port(tries: int) -> int:
    """Find a port that is free, and below those that systems give to who asks for any."""
    first = os.getpid() + 1000 * tries
    for number in range(10_000):
        port = 20_000 + (first + number) % 10_000
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port
    pytest.fail("no port between 20000 and 30000 is free")


def end_all(processes: list, seconds: float) -> list[int | None]:
    """Exit codes of processes once all have ended, or one has failed, or there is no more time."""
    deadline = monotonic() + seconds
    codes = [process.poll() for process in processes]
    while None in codes and not any(codes) and monotonic() < deadline:
        sleep(0.1)
        codes = [process.poll() for process in processes]
    for process in processes:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return codes


def train_on_machines(root: Path, given: tuple[str, ...], port: int) -> list[int | None]:
    """Train on two machines; the exit code of each."""
    # Of their own name: nobody else's machine at this port takes part.
    nodes = f"--nnodes=2 --nproc-per-node=2 --master-addr=127.0.0.1 --master-port={port}"
    processes = []
    for rank, folder in enumerate((root / "first", root / "second")):
        for name in ("home", "tmp"):
            (folder / name).mkdir(parents=True)
        command = [sys.executable, "-m", "torch.distributed.run", *nodes.split()]
        command += [f"--rdzv-id={root}", f"--node-rank={rank}", str(ROOT / "src" / "train.py")]
        command += [*given, *record_ranks(folder / "ranks")]
        own = {"HOME": str(folder / "home"), "TMPDIR": str(folder / "tmp"), "AVFUSION_DATA": "data"}
        own |= {"PYTHONPATH": str(ROOT / "tests"), "CI": "true"}
        with (folder / "console.log").open("w") as console:
            processes.append(
                fork_server.Popen(
                    command,
                    cwd=folder,
                    env=os.environ | own,
                    stdout=console,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
    return end_all(processes, 300)


@pytest.fixture(scope="module")
def machines(server, party_store, tmp_path_factory):
    """Two machines after a training: they shared a loopback address and that of a store.

    Each has a working directory, data, cache, home and temporary folder of its own.
    """
    address = upload_store(party_store, f"s3://{BUCKET}/machines")
    given = (
        *("data=store", f"data.store={address}", "data.batch_size=4", *SMALL[1:]),
        *("trainer=ddp", "trainer.devices=2", "trainer.num_nodes=2", "diagnostics=none"),
        "trainer.max_epochs=1",
    )
    for tries in range(10):
        root = tmp_path_factory.mktemp("machines")
        server.requests.clear()
        codes = train_on_machines(root, given, find_port(tries))
        folders = [root / "first", root / "second"]
        told = "".join((one / "console.log").read_text()[-3000:] for one in folders)
        if "EADDRINUSE" not in told:  # another program has taken it meanwhile
            break
    assert codes == [0, 0], told
    return address, folders, list(server.requests)


def test_machines_that_share_nothing_but_addresses_train_one_network(machines, party_store):
    address, folders, _ = machines
    saved = [file for folder in folders for file in sorted((folder / "ranks").glob("*.pt"))]
    assert [file.name for file in saved] == [f"rank{number}.pt" for number in range(4)]
    ranks = [torch.load(file, weights_only=True) for file in saved]
    for other in ranks[1:]:
        assert all(
            torch.equal(ranks[0]["weights"][name], value)
            for name, value in other["weights"].items()
        )
    tested = [row for rank in ranks for row in rank["rows"]]
    assert sorted(tested) == split_by(Store(party_store)).rows("test").tolist()

    # The four processes agree on a run folder, whose files the first machine has alone.
    ours, theirs = ([*(folder / "logs" / "lowrank").iterdir()] for folder in folders)
    assert [run.name for run in ours] == [run.name for run in theirs]
    assert results(ours[0])["data/store"] == address
    assert (ours[0] / "checkpoints" / "best.ckpt").exists()
    assert not list(theirs[0].rglob("*.ckpt"))


def test_the_processes_of_a_machine_fetch_what_they_read_once(machines):
    _, folders, requests = machines
    asked = Counter((one.key, one.first) for one in requests if one.first is not None)
    assert {*asked.values()} == {2}  # machines, not processes
    read = {key.partition("/")[2].partition("/")[2].partition("/")[2] for key, _ in asked}
    assert {"index.parquet", "frames/00000.npy", "mfcc/00000.npy"} <= read
    assert not [name for name in read if name.startswith("waveform")]
    for folder in folders:
        fetched = {file.name for file in folder.glob("data/cache/*/*/*/*.npy")}
        assert fetched == {"00000.npy"} and not list(folder.glob("data/stores"))


def test_no_file_of_a_run_holds_credentials(machines):
    _, folders, _ = machines
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    assert len(files) > 20
    assert not [file for file in files if SECRET.encode() in file.read_bytes()]


def test_what_a_run_records_of_its_store_is_found_from_another_machine(
    machines, tmp_path, monkeypatch
):
    address, folders, _ = machines
    (folder,) = (folders[0] / "logs" / "lowrank").iterdir()
    monkeypatch.setenv("AVFUSION_DATA", str(tmp_path / "data"))
    command = [str(ROOT / "src" / "eval.py"), f"ckpt_path={folder}", "trainer.accelerator=cpu"]
    given = ["data=store", f"data.store={address}"]
    done = fork_server.run([sys.executable, *command, *given], cwd=tmp_path)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    (tested,) = (tmp_path / "logs" / "eval").glob("*/results.json")
    there, before = results(tested.parent), results(folder)
    scores = [name for name in before if name.startswith("test/")]
    assert {name: there[name] for name in scores} == pytest.approx(
        {name: before[name] for name in scores}, abs=1e-5, nan_ok=True
    )
    sources = read_sources(read_run(folder))  # as the report does
    assert not sources.missing and sources.store.address == address
    (cached,) = (tmp_path / "data" / "cache").glob("*/*/")
    assert sources.store.root == cached
