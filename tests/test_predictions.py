"""Claims about the answers of a network."""

import csv
import json

import pytest
import torch
from conftest import build_for, quiet_trainer
from PIL import Image

from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.predictions import Answer, collect_answers, write_answers, write_figures


@pytest.fixture(scope="module")
def answered(party_store):
    """Store, class names, and the answers of a network that has learned nothing."""
    data = FaceAudioDataModule(str(party_store), batch_size=5)
    task = build_for(data, "lowrank")
    batches = quiet_trainer().predict(task, datamodule=data)
    return data.store, data.names, collect_answers(data.store, batches)


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_clip_of_the_split_is_answered_once_in_the_order_of_the_store(answered, tmp_path):
    store, names, answers = answered
    rows = rows_of(write_answers(tmp_path, answers, names))
    index = [clip for clip in store.index if clip["split"] == "test"]
    assert [row["clip_id"] for row in rows] == [clip["clip_id"] for clip in index]
    assert [row["label"] for row in rows] == [clip["label"] for clip in index]
    assert not (tmp_path / "timelines").exists()


def test_probabilities_sum_to_one_and_the_largest_names_the_prediction(answered, tmp_path):
    _, names, answers = answered
    rows = rows_of(write_answers(tmp_path, answers, names))
    for row, answer in zip(rows, answers, strict=True):
        numbers = [float(row[name]) for name in names]
        assert numbers == pytest.approx(answer.probabilities.tolist(), abs=1e-6)
        assert sum(numbers) == pytest.approx(1, abs=1e-5)
        assert row["predicted"] == max(names, key=lambda name: float(row[name]))


def test_json_says_what_the_table_says(answered, tmp_path):
    _, names, answers = answered
    rows = rows_of(write_answers(tmp_path, answers, names))
    table = json.loads((tmp_path / "predictions.json").read_text())
    for row, entry in zip(rows, table, strict=True):
        assert (row["clip_id"], row["predicted"]) == (entry["clip_id"], entry["predicted"])
        assert float(row["sad"]) == pytest.approx(entry["probabilities"]["sad"], abs=1e-6)


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


def window(start, probabilities):
    clip = {"clip_id": f"talk/show.mp4 @ {start:.2f} s", "label": "", "start": str(start)}
    return Answer(clip | {"samples": "16000"}, 0, torch.tensor(probabilities))


def test_windows_become_a_time_line_and_their_mean(tmp_path):
    windows = [window(0.0, [0.2, 0.8]), window(0.5, [0.6, 0.4]), window(1.0, [0.9, 0.1])]
    (row,) = rows_of(write_answers(tmp_path, windows, ["low", "high"]))
    assert (row["clip_id"], row["note"]) == ("talk/show.mp4", "mean of 3 windows")
    assert float(row["low"]) == pytest.approx(1.7 / 3, abs=1e-5)
    (table,) = (tmp_path / "timelines").glob("*.csv")
    times = [(line["start_s"], line["end_s"], line["predicted"]) for line in rows_of(table)]
    assert times == [
        ("0.000", "1.000", "high"),
        ("0.500", "1.500", "low"),
        ("1.000", "2.000", "low"),
    ]
    assert size_of(table.with_suffix(".png"))[0] > 600


def test_figures_show_each_clip(answered, tmp_path):
    store, names, answers = answered
    write_figures(tmp_path / "figures", store, answers[:2], names)
    pictures = sorted((tmp_path / "figures").iterdir())
    assert len(pictures) == 2
    sizes = [size_of(picture) for picture in pictures]
    assert min(min(size) for size in sizes) > 200
    write_figures(tmp_path / "plain", store, [answers[0]._replace(glimpses=None)], names)
    (plain,) = (tmp_path / "plain").iterdir()
    assert size_of(plain)[0] < sizes[0][0]
