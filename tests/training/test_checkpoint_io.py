"""Claims about writing checkpoints."""

import pytest
import torch

from avfusion.training.checkpoint_io import AtomicCheckpointIO


def test_a_checkpoint_comes_back(tmp_path):
    path = tmp_path / "deep" / "a.ckpt"
    AtomicCheckpointIO().save_checkpoint({"state_dict": {"w": torch.ones(3)}}, path)
    assert torch.load(path, weights_only=True)["state_dict"]["w"].tolist() == [1, 1, 1]
    assert [file.name for file in path.parent.iterdir()] == ["a.ckpt"]


def test_a_write_that_fails_leaves_the_checkpoint_before(tmp_path, monkeypatch):
    path = tmp_path / "a.ckpt"
    AtomicCheckpointIO().save_checkpoint({"step": 1}, path)

    def full(checkpoint, file):
        file.write(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match="No space left"):
        AtomicCheckpointIO().save_checkpoint({"step": 2}, path)
    assert torch.load(path, weights_only=True) == {"step": 1}
    assert [file.name for file in tmp_path.iterdir()] == ["a.ckpt"]


def test_what_was_read_of_a_file_is_not_read_again_but_its_next_version_is(tmp_path):
    path, io = tmp_path / "a.ckpt", AtomicCheckpointIO()
    io.save_checkpoint({"step": 1}, path)
    known = {"step": 0}
    io.keep(path, known)
    assert io.load_checkpoint(path, weights_only=True) is known
    assert io.load_checkpoint(path, weights_only=True) == {"step": 1}
    io.keep(tmp_path / "b.ckpt", known)
    assert io.load_checkpoint(path, weights_only=True) == {"step": 1}
