"""Claims about preparation by array jobs, which submitit's local executor runs here."""

import shutil

import pytest

from avfusion.preparation import workers
from avfusion.preparation.executors import slurm
from avfusion.preparation.executors.slurm import Slurm

pytest.importorskip("submitit")


@pytest.mark.slow
def test_by_jobs_one_of_which_is_killed_the_bytes_are_the_same(made, monkeypatch):
    monkeypatch.setattr(workers, "CHUNK_CLIPS", 4)  # a part for each of two jobs
    monkeypatch.setenv("PYTHONPATH", ":".join(made.paths))
    executor = Slurm(str(made.root / "jobs"), jobs=2, cluster="local", poll_seconds=0.05)
    executor.check()
    made.kill("parent")
    store = made.prepare("slurm", executor, audio_stream=None)  # each array takes seconds
    assert not (made.root / "kill").exists()
    decoded = {path: made.whole[path] for path in made.whole if path.parts[0] != "tiny"}
    assert made.files(store) == decoded
    (array,) = (made.root / "jobs").iterdir()  # of the jobs one of which was lost
    assert list(array.glob("*_log.err"))


def test_a_machine_without_slurm_or_submitit_is_told_what_it_lacks(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ValueError, match="found no sbatch here: start it on a machine that"):
        Slurm("jobs").check()
    monkeypatch.setattr(slurm, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"needs submitit.*pip install -e '\.\[cluster\]'"):
        Slurm("jobs").check()


def test_another_cluster_is_refused():
    with pytest.raises(ValueError, match=r"prepare\.executor\.cluster must be one of .* got pbs"):
        Slurm("jobs", cluster="pbs")
