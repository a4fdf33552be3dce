"""Claims about the folder of a run."""

from avfusion.run.folder import choose_run_folder


def test_a_continued_run_stays_in_its_folder(tmp_path):
    checkpoints = tmp_path / "checkpoints"
    checkpoints.mkdir()
    (checkpoints / "last.ckpt").touch()
    assert choose_run_folder(str(tmp_path), "new") == str(tmp_path)
    assert choose_run_folder(str(checkpoints / "last.ckpt"), "new") == str(tmp_path)


def test_a_new_run_and_one_from_a_loose_checkpoint_get_a_new_folder(tmp_path):
    (tmp_path / "found.ckpt").touch()
    assert choose_run_folder(None, "new") == "new"
    assert choose_run_folder(str(tmp_path / "found.ckpt"), "new") == "new"
    assert choose_run_folder(str(tmp_path / "missing"), "new") == "new"
