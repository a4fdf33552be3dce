"""Claims about where a result comes from."""

import json
import subprocess

import torch

from avfusion.run import provenance


def test_provenance_holds_commit_versions_machine_and_command(tmp_path):
    provenance.write_provenance(tmp_path)
    record = json.loads((tmp_path / "provenance.json").read_text())
    assert record["versions"]["torch"] == torch.__version__
    assert record["machine"]["cores"] >= 1 and record["command"]
    said = provenance._run_git("rev-parse", "HEAD")
    assert record["git"]["commit"] == said and (said is None or len(said) == 40)


def test_changes_that_are_not_committed_are_kept(tmp_path, monkeypatch):
    def git(*arguments):
        subprocess.run(["git", "-C", tmp_path, *arguments], check=True, capture_output=True)

    git("init")
    (tmp_path / "code.py").write_text("before\n")
    git("add", "code.py")
    git("-c", "user.name=a", "-c", "user.email=a@b", "commit", "-m", "first")
    monkeypatch.setattr(provenance, "SOURCE_FOLDER", tmp_path)
    provenance.write_provenance(tmp_path)
    assert not json.loads((tmp_path / "provenance.json").read_text())["git"]["dirty"]
    assert not (tmp_path / "git.diff").exists()

    (tmp_path / "code.py").write_text("after\n")
    provenance.write_provenance(tmp_path)
    assert json.loads((tmp_path / "provenance.json").read_text())["git"]["dirty"]
    assert "-before\n+after\n" in (tmp_path / "git.diff").read_text()


def test_code_outside_of_a_repository_has_no_commit(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "SOURCE_FOLDER", tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert provenance._run_git("rev-parse", "HEAD") is None
