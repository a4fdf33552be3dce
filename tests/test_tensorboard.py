"""Claims about TensorBoard as people see it: what its server hands out, and its rendered tabs."""

import json
import re
import runpy
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode
from urllib.request import urlopen

import pytest
from browser import Browser, find_browser, wait_or_kill
from conftest import ROOT, events_of, hydra_at_rest, results

pytestmark = pytest.mark.slow
needs_browser = pytest.mark.skipif(
    find_browser() is None, reason="neither chromium nor chrome is installed"
)
TABS = "scalars custom_scalars images audio histograms pr_curves projector text hparams"
JOBS = (["optimizer=adamw"], ["optimizer=momentum", "callbacks.early_stopping.patience=3"])
SMALL = (
    "trainer=cpu trainer.max_epochs=1 trainer.log_every_n_steps=1 data=store data.batch_size=8 "
    "callbacks.weight_histograms.every_n_epochs=1 callbacks.progress=null "
    "callbacks.model_summary=null"
)


@pytest.fixture(scope="module")
def sweep(party_store, tmp_path_factory) -> Path:
    """The folders of two finished jobs that chose different things, and have everything on."""
    folder = tmp_path_factory.mktemp("sweep")
    with pytest.MonkeyPatch.context() as patch, hydra_at_rest():
        patch.chdir(ROOT)
        for number, chosen in enumerate(JOBS):  # each as its launcher starts it, but in here
            own = [f"data.store={party_store}", f"hydra.run.dir={folder / str(number)}"]
            patch.setattr(sys, "argv", ["src/train.py", *SMALL.split(), *own, *chosen])
            runpy.run_path("src/train.py", run_name="__main__")
    return folder


class Server:
    """TensorBoard's answers; ``address`` ends without a slash."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get(self, route: str, **query: str):
        """Return an answer in JSON, or its bytes."""
        address = f"{self.address}/data/{route}"
        with urlopen(address + (f"?{urlencode(query)}" if query else ""), timeout=60) as answer:
            read = answer.read()
        return json.loads(read) if answer.headers.get_content_subtype() == "json" else read

    def wait(self, ready) -> None:
        """Wait until it has read everything, and finds a tab for it."""
        end = time.monotonic() + 120
        while not ready():
            assert time.monotonic() < end, self.get("plugins_listing")
            time.sleep(0.3)


@contextmanager
def serve(logdir: Path) -> Iterator[Server]:
    """Start TensorBoard as the README does, on a free port, until it can show all of its tabs."""
    options = ["--logdir", str(logdir), "--host", "127.0.0.1", "--port", "0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "tensorboard.main", *options], stderr=subprocess.PIPE, text=True
    )
    try:
        lines = iter(process.stderr.readline, "")
        found = next(filter(None, (re.search(r"http://\S+?:\d+", line) for line in lines)))
        server = Server(found.group())
        server.wait(
            lambda: (
                {name for name in TABS.split() if server.get("plugins_listing")[name]["enabled"]}
                == set(TABS.split())
            )
        )
        yield server
    finally:
        process.terminate()
        wait_or_kill(process)
        process.stderr.close()


@pytest.fixture(scope="module")
def served(sweep) -> Iterator[tuple[Path, Server]]:
    """One finished run and its server."""
    with serve(sweep / "0") as server:
        yield sweep / "0", server


@pytest.fixture(scope="module")
def swept(sweep) -> Iterator[tuple[Path, Server]]:
    """The sweep and its server."""
    with serve(sweep) as server:
        yield sweep, server


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    page = Browser(tmp_path_factory.mktemp("profile"))
    yield page
    page.close()


def test_every_tag_that_was_written_is_handed_out(served):
    folder, server = served
    tags = events_of(folder).Tags()
    for plugin in ("scalars", "images", "audio", "histograms"):
        assert set(server.get(f"plugin/{plugin}/tags")["."]) == set(tags[plugin])
    assert {"train/first_batch", "val/confusion", "test/confusion"} <= set(tags["images"])
    assert "hp_metric" not in tags["scalars"]
    curves = set(server.get("plugin/pr_curves/tags")["."])
    assert {tag.partition("/")[0] for tag in curves} == {
        "val_precision_recall",
        "test_precision_recall",
    }
    texts = server.get("plugin/text/tags")["."]
    assert {"run/config.yaml/text_summary", "run/model/text_summary"} <= set(texts)


@pytest.mark.parametrize(
    ("plugin", "route", "begins"),
    [("images", "individualImage", b"\x89PNG"), ("audio", "individualAudio", b"RIFF")],
)
def test_every_picture_and_every_sound_can_be_fetched(plugin, route, begins, served):
    _, server = served
    for tag in server.get(f"plugin/{plugin}/tags")["."]:
        (*_, last) = server.get(f"plugin/{plugin}/{plugin}", run=".", tag=tag, sample="0")
        assert server.get(f"plugin/{plugin}/{route}?{last['query']}").startswith(begins)


def test_the_projector_has_each_vector_with_labels_and_thumbnails(served):
    _, server = served
    assert server.get("plugin/projector/runs") == ["."]
    vectors = server.get("plugin/projector/info", run=".")["embeddings"]
    assert {one["tensorName"].partition(":")[0] for one in vectors} == {"face", "audio", "fused"}
    for one in vectors:
        query = {"run": ".", "name": one["tensorName"]}
        clips, width = one["tensorShape"]
        assert clips == 12
        assert len(server.get("plugin/projector/tensor", **query)) == 4 * clips * width
        lines = server.get("plugin/projector/metadata", **query).decode().splitlines()
        assert lines[0].split("\t") == ["label", "subject", "clip_id"] and len(lines) == 1 + clips
        assert server.get("plugin/projector/sprite_image", **query).startswith(b"\x89PNG")


def ask(server: Server, route: str, **question) -> dict:
    return server.get(f"plugin/hparams/{route}", request=json.dumps(question))


def test_a_sweep_has_a_row_per_job_and_a_column_for_what_any_of_them_chose(swept):
    folder, server = swept
    columns = ask(server, "experiment", experimentName="", includeMetrics=True)
    differing = [column["name"] for column in columns["hparamInfos"] if column.get("differs")]
    assert "optimizer" in differing
    names = {column["name"] for column in columns["hparamInfos"]}
    assert {"optimizer.momentum", "callbacks.early_stopping.patience", "seed", "model"} <= names
    metrics = [column["name"]["tag"] for column in columns["metricInfos"]]
    headlines = ["accuracy", "attention_hit", "balanced_accuracy", "loss", "macro_f1"]
    assert metrics == [*(f"test/{name}" for name in headlines), "val/accuracy"]
    wanted = [{"metric": {"group": "", "tag": tag}} for tag in ("val/accuracy", "test/accuracy")]
    rows = ask(
        server,
        "session_groups",
        startIndex=0,
        sliceSize=10,
        allowedStatuses=["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"],
        colParams=[*({"hparam": name, "includeInResult": True} for name in names), *wanted],
    )["sessionGroups"]
    assert len(rows) == 2
    for row in rows:
        job = (folder / row["sessions"][0]["name"]).parent  # the row is a run inside of the job's
        chosen = {"0": "adamw", "1": "momentum"}[job.name]
        assert row["hparams"]["optimizer"] == chosen
        for name in ("optimizer.momentum", "callbacks.early_stopping.patience"):
            assert (name in row["hparams"]) == (chosen == "momentum")
        final = {value["name"]["tag"]: value["value"] for value in row["metricValues"]}
        ended = results(job)
        for tag in ("val/accuracy", "test/accuracy", "test/loss"):
            assert final[tag] == pytest.approx(ended[tag], rel=1e-6)


SEEN = {
    "scalars": (["train", "val", "test"], {"lines": 1}),
    "custom_scalars": (["loss", "accuracy", "recall per class, validation"], {"lines": 4}),
    "images": (["clips", "test", "train", "val"], {"images": 4}),
    "audio": (["sounds"], {"audio": 4}),
    "histograms": (["weights_attention", "weights_fusion"], {"lines": 4}),
    "pr_curves": (["test_precision_recall", "val_precision_recall"], {"lines": 4}),
    "text": (["run/config.yaml/text_summary", "run/model/text_summary"], {}),
    "projector": (["3 tensors found", "Points:", "12", "label"], {"canvases": 1}),
    "hparams": (["model", "lowrank", "optimizer", "adamw", "test/accuracy"], {}),
}


@needs_browser
@pytest.mark.parametrize("tab", SEEN)
def test_each_tab_shows_what_it_should(tab, served, browser):
    texts, least = SEEN[tab]
    browser.open(f"{served[1].address}/#{tab}")
    browser.seen(*texts, seconds=120, **least)


@needs_browser
def test_the_page_of_a_sweep_shows_what_each_job_chose(swept, browser):
    browser.open(f"{swept[1].address}/#hparams")
    jobs = [f"{number} {swept[0].name}" for number in range(2)]
    texts = browser.seen("Trial ID", *jobs, seconds=120)["texts"]
    table = texts[texts.index("Trial ID") :]
    assert {"optimizer", "callbacks.early_stopping.patience", "adamw", "momentum"} <= set(table)
