"""Claims about preparation on dask, by a cluster of two processes that all tests share."""

import os

import pytest

from avfusion.preparation import executors, workers
from avfusion.preparation.executors import dask as dask_executor
from avfusion.preparation.executors.dask import Dask, start_local_cluster
from avfusion.preparation.executors.local import InProcess

pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def cluster():
    with start_local_cluster(2) as cluster:
        yield cluster


@pytest.mark.slow
def test_begun_by_one_process_and_ended_on_dask_with_a_worker_killed_the_bytes_are_the_same(
    made, cluster, monkeypatch
):
    decode, decoded = workers.decode_chunk, []

    def interrupted_in_the_second(part):
        decoded.append(part)
        if len(decoded) == 2:
            raise KeyboardInterrupt
        decode(part)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(workers, "decode_chunk", interrupted_in_the_second)
        made.prepare("dask", InProcess())
    made.kill("self")
    executor = Dask(cluster.scheduler_address)
    executor.check()
    store = made.prepare("dask", executor)
    assert not (made.root / "kill").exists()
    assert made.files(store) == made.whole


@pytest.mark.slow
def test_workers_of_another_environment_are_refused_by_name(made, cluster, monkeypatch):
    real = executors.describe_environment()
    monkeypatch.setattr(executors, "describe_environment", lambda: real | {"numpy": "1.0"})
    with pytest.raises(ValueError, match=r"The worker on .* has numpy \d.* instead of 1\.0, so"):
        Dask(cluster.scheduler_address).check()


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "tcp://name:secret@127.0.0.1:9"])
def test_a_scheduler_that_does_not_answer_is_named_without_credentials(address):
    with pytest.raises(OSError, match=r"No dask scheduler .* answers at tcp://127\.0\.0\.1:9 wi"):
        Dask(address, timeout=0.2).check()


def test_dask_that_is_not_installed_is_asked_for(monkeypatch):
    monkeypatch.setattr(dask_executor, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs dask\.distributed.*pip install -e '\.\[dask\]'"):
        Dask().check()


@pytest.mark.slow
def test_processes_of_this_machine_leave_no_number_of_threads_behind(monkeypatch):
    for library in ("OMP", "MKL", "OPENBLAS"):  # the cluster of the other tests has set them
        monkeypatch.delenv(f"{library}_NUM_THREADS", raising=False)
    before = dict(os.environ)
    with start_local_cluster(1):
        assert os.environ["MKL_NUM_THREADS"] == "1"  # set by dask, for its workers
    assert dict(os.environ) == before
