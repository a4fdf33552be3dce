"""Claims about files of predictions, and inputs that failed."""

import csv
import json

import pytest
import torch
from conftest import build_for, clip_record, quiet_trainer, single_label, split_by
from PIL import Image

from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.index import Window
from avfusion.evaluation import prediction_files as files
from avfusion.evaluation.inference import ClipPrediction, collect_predictions
from avfusion.evaluation.prediction_files import (
    report_failed_clips,
    write_figures,
    write_predictions,
)

PITCH = single_label("low", "high")


@pytest.fixture(scope="module")
def predicted(party_store):
    """Store, target, and the predictions of a network that has learned nothing."""
    data = FaceAudioDataModule(str(party_store), batch_size=5)
    task = build_for(data, "lowrank")
    batches = quiet_trainer().predict(task, datamodule=data)
    return data.store, data.target, collect_predictions(data, batches, task.network)


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_clip_of_the_split_has_one_prediction_in_the_order_of_the_store(predicted, tmp_path):
    store, target, predictions = predicted
    rows = rows_of(write_predictions(tmp_path, predictions, target))
    records = store.records(split_by(store).rows("test"))
    assert [row["clip_id"] for row in rows] == [record.clip_id for record in records]
    assert [row["label"] for row in rows] == [record.label for record in records]
    assert not (tmp_path / "timelines").exists()


def test_probabilities_sum_to_one_and_the_largest_names_the_prediction(predicted, tmp_path):
    _, target, predictions = predicted
    rows = rows_of(write_predictions(tmp_path, predictions, target))
    for row, prediction in zip(rows, predictions, strict=True):
        numbers = [float(row[name]) for name in target.output_names]
        assert numbers == pytest.approx(prediction.values.tolist(), abs=1e-6)
        assert sum(numbers) == pytest.approx(1, abs=1e-5)
        assert row["predicted"] == max(target.output_names, key=lambda name: float(row[name]))


def test_json_and_csv_hold_the_same_predictions(predicted, tmp_path):
    _, target, predictions = predicted
    rows = rows_of(write_predictions(tmp_path, predictions, target))
    table = json.loads((tmp_path / "predictions.json").read_text())
    for row, entry in zip(rows, table, strict=True):
        assert (row["clip_id"], row["predicted"]) == (entry["clip_id"], entry["predicted"])
        assert float(row["sad"]) == pytest.approx(entry["probabilities"]["sad"], abs=1e-6)


def size_of(path):
    with Image.open(path) as picture:
        return picture.size


def window(start, probabilities, note=""):
    clip = clip_record(f"talk/show.mp4 @ {start:.2f} s", window=Window(start, start + 1))
    known = probabilities and torch.tensor(probabilities)
    return ClipPrediction(clip, 0, known, note=note)


def test_windows_become_a_time_line_and_their_mean(tmp_path):
    windows = [window(0.0, [0.2, 0.8]), window(0.5, [0.6, 0.4]), window(1.0, [0.9, 0.1])]
    (row,) = rows_of(write_predictions(tmp_path, windows, PITCH))
    assert (row["clip_id"], row["note"]) == ("talk/show.mp4", "mean of 3 windows")
    assert float(row["low"]) == pytest.approx(1.7 / 3, abs=1e-5)
    (table,) = (tmp_path / "timelines").glob("*.csv")
    assert table.name == "show.csv"
    times = [(line["start_s"], line["end_s"], line["predicted"]) for line in rows_of(table)]
    assert times == [
        ("0.000", "1.000", "high"),
        ("0.500", "1.500", "low"),
        ("1.000", "2.000", "low"),
    ]
    assert size_of(table.with_suffix(".png"))[0] > 600


def test_a_window_without_a_prediction_has_a_row_with_the_reason_and_no_share_in_the_mean(tmp_path):
    silent = window(0.5, None, "no prediction: silent, no picture")
    windows = [window(0.0, [0.2, 0.8]), silent, window(1.0, [0.9, 0.1])]
    (row,) = rows_of(write_predictions(tmp_path, windows, PITCH))
    assert row["note"] == "mean of 2 of 3 windows, no prediction: silent, no picture"
    assert float(row["low"]) == pytest.approx(0.55, abs=1e-5)
    (table,) = (tmp_path / "timelines").glob("*.csv")
    lines = rows_of(table)
    assert [line["start_s"] for line in lines] == ["0.000", "0.500", "1.000"]
    assert {line["end_s"] for line in lines} == {"1.000", "1.500", "2.000"}
    assert lines[1] | {"start_s": "", "end_s": ""} == {
        "start_s": "",
        "end_s": "",
        "predicted": "",
        "low": "",
        "high": "",
        "note": silent.note,
    }
    assert table.with_suffix(".png").exists()


def test_a_recording_none_of_whose_windows_has_a_prediction_has_no_mean(tmp_path):
    windows = [window(start, None, "no prediction: silent") for start in (0.0, 0.5)]
    (row,) = rows_of(write_predictions(tmp_path, windows, PITCH))
    assert (row["predicted"], row["low"], row["high"]) == ("", "", "")
    (entry,) = json.loads((tmp_path / "predictions.json").read_text())
    assert entry["probabilities"] == {"low": None, "high": None}


@pytest.mark.parametrize(("model", "asked"), [("face_only", "face"), ("audio_only", "audio")])
def test_a_network_of_one_modality_predicts_nothing_where_it_is_missing(
    predicted, model, asked, tmp_path
):
    store, target, _ = predicted
    stream = {"face": "frames", "audio": "mfcc"}[asked]
    data = FaceAudioDataModule(str(store.root), batch_size=5, streams=(stream,))
    lacking = int(split_by(store).rows("test")[3])
    getattr(data.store, f"has_{asked}")[lacking] = False
    task = build_for(data, model)
    batches = quiet_trainer().predict(task, datamodule=data)
    predictions = collect_predictions(data, batches, task.network)
    failed = [prediction for prediction in predictions if prediction.values is None]
    assert [prediction.row for prediction in failed] == [lacking]
    assert f"no prediction, the network takes only the {asked}: " in failed[0].note
    write_figures(tmp_path / "figures", store, failed, target)
    assert not list((tmp_path / "figures").iterdir())
    assert "1 clip has no prediction" in report_failed_clips(predictions, tmp_path)
    assert not report_failed_clips(
        [prediction for prediction in predictions if prediction.values is not None], tmp_path
    )


def test_a_network_of_both_modalities_predicts_from_the_available_one(predicted):
    data = FaceAudioDataModule(str(predicted[0].root), batch_size=5)
    data.store.has_audio[int(data.splits.rows("test")[3])] = False
    task = build_for(data, "lowrank")
    batches = quiet_trainer().predict(task, datamodule=data)
    predictions = collect_predictions(data, batches, task.network)
    assert all(prediction.values is not None for prediction in predictions)


@pytest.mark.slow
@pytest.mark.parametrize(("form", "beginning"), [("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_figures_are_vector_graphics_on_request(predicted, form, beginning, tmp_path):
    store, target, predictions = predicted
    write_figures(tmp_path / "figures", store, predictions[:1], target, form)
    write_predictions(tmp_path, [window(0.0, [0.2, 0.8])], PITCH, figure_format=form)
    files = [*tmp_path.glob(f"figures/*.{form}"), *tmp_path.glob(f"timelines/*.{form}")]
    assert len(files) == 2 and all(file.read_bytes().startswith(beginning) for file in files)


def test_figures_show_each_clip(predicted, tmp_path):
    store, target, predictions = predicted
    write_figures(tmp_path / "figures", store, predictions[:2], target)
    pictures = sorted((tmp_path / "figures").iterdir())
    assert [picture.stem for picture in pictures] == [p.clip.clip_id for p in predictions[:2]]
    sizes = [size_of(picture) for picture in pictures]
    assert min(min(size) for size in sizes) > 200
    write_figures(tmp_path / "plain", store, [predictions[0]._replace(glimpses=None)], target)
    (plain,) = (tmp_path / "plain").iterdir()
    assert size_of(plain)[0] < sizes[0][0]


def test_predictions_are_complete_before_figures_are_drawn(tmp_path, monkeypatch):
    def no_room(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(files, "timeline_figure", no_room)
    with pytest.raises(OSError, match="No space left"):
        write_predictions(tmp_path, [window(0.0, [0.25, 0.75])], PITCH)
    (row,) = rows_of(tmp_path / "predictions.csv")
    (entry,) = json.loads((tmp_path / "predictions.json").read_text())
    assert (row["predicted"], row["high"]) == ("high", "0.750000")
    assert entry["probabilities"] == {"low": 0.25, "high": 0.75}


def test_a_text_that_utf_8_cannot_encode_loses_no_prediction(tmp_path):
    first = window(0.0, [0.25, 0.75], note="caf\udce9.mp4: damaged")
    predictions = [
        first,
        ClipPrediction(clip_record("th\udce9.mp4"), 1, torch.tensor([0.75, 0.25])),
    ]
    rows = rows_of(write_predictions(tmp_path, predictions, PITCH))
    assert [(row["clip_id"], row["predicted"]) for row in rows] == [
        ("talk/show.mp4", "high"),
        (r"th\udce9.mp4", "low"),
    ]
    assert rows[0]["note"] == r"mean of 1 windows, caf\udce9.mp4: damaged"
    (line,) = rows_of(tmp_path / "timelines" / "show.csv")
    assert line["note"] == r"caf\udce9.mp4: damaged"
