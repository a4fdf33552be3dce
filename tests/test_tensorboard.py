"""TensorBoard: what its server reads from the event files of a run and of a sweep."""

import json
import re
import runpy
import sys
from pathlib import Path

import pytest
from conftest import ROOT, events_of, hydra_at_rest, results

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore:html5lib")]
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
    """What the page of TensorBoard asks for, of a folder that it has read, without a port."""

    def __init__(self, logdir: Path) -> None:
        from tensorboard.backend.application import TensorBoardWSGIApp
        from tensorboard.backend.event_processing.data_ingester import LocalDataIngester
        from tensorboard.default import get_plugins
        from tensorboard.program import TensorBoard
        from werkzeug.test import Client

        board = TensorBoard()
        options = {"reload_task": "blocking", "reload_interval": 0}
        board.configure(logdir=str(logdir), **options)
        files = LocalDataIngester(board.flags)
        files.start()
        sources = {
            "data_provider": files.data_provider,
            "deprecated_multiplexer": files.deprecated_multiplexer,
        }
        self.client = Client(TensorBoardWSGIApp(board.flags, get_plugins(), **sources))

    def get(self, route: str, **query: str):
        """Return an answer in JSON, or its bytes."""
        answer = self.client.get(f"/data/{route}", query_string=query or None)
        assert answer.status_code == 200, answer.get_data(as_text=True)
        return answer.json if answer.is_json else answer.data


@pytest.fixture(scope="module")
def served(sweep) -> tuple[Path, Server]:
    """One finished run and its server."""
    return sweep / "0", Server(sweep / "0")


@pytest.fixture(scope="module")
def swept(sweep) -> tuple[Path, Server]:
    """The sweep and its server."""
    return sweep, Server(sweep)


def test_the_layout_of_custom_scalars_names_groups_of_tags_that_were_written(served):
    folder, server = served
    layout = server.get("plugin/custom_scalars/layout")
    charts = [chart for category in layout["category"] for chart in category["chart"]]
    assert {"loss", "accuracy", "recall per class, validation"} <= {c["title"] for c in charts}
    written = events_of(folder).Tags()["scalars"]
    for pattern in (tag for chart in charts for tag in chart["multiline"]["tag"]):
        assert any(re.search(pattern, tag) for tag in written), pattern


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
