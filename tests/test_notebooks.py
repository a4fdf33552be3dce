import json
import os
import sys
from pathlib import Path

import fork_server
import pytest
from conftest import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_output_is_kept_in_git(path):
    cells = json.loads(path.read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_starts_with_what_it_shows(path):
    first = json.loads(path.read_text())["cells"][0]
    title, _, shows, *_ = first["source"]
    assert first["cell_type"] == "markdown" and title.startswith("# ")
    assert shows.startswith(("What this shows: ", "This notebook "))


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Where notebooks keep data: they share one small corpus, which the first of them renders."""
    return tmp_path_factory.mktemp("data")


@pytest.mark.slow
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_runs_from_top_to_bottom(path, data, tmp_path):
    command = [sys.executable, "-m", "pytest", "--nbmake", "--nbmake-timeout=900", str(path)]
    plain = ["-p", "no:cacheprovider", "-o", "addopts=", "-o", "timeout=0"]
    plain += ["--rootdir", str(tmp_path), "-W", "ignore:Module already imported"]
    environment = os.environ | {"AVFUSION_DATA": str(data), "TMPDIR": str(tmp_path)}
    process = fork_server.run([*command, *plain], env=environment)
    assert process.returncode == 0, process.stdout[-3000:]
