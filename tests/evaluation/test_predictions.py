"""Claims about the predictions that a test leaves, each checked against its results."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from conftest import build_for, quiet_trainer
from sklearn.metrics import average_precision_score

from avfusion.callbacks import SavePredictions
from avfusion.callbacks.save_predictions import predict_validation
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.evaluation.predictions import (
    FILE_NAME,
    VERSION,
    load_predictions,
    load_validation_predictions,
)

ARRAYS = {"version", "split", "store", "labels", "output_names", "rows", "clip_ids", "subjects"}
ARRAYS |= {"outputs", "targets", "boxes", "modalities"}
LOOKS = {"map_shape", "peaks", "peak_weights", "attention_hit", "attention_mass"}


def run_test(store, folder, model, *overrides, **options):
    """Test an untrained network, and return its scores, itself and its data."""
    data = FaceAudioDataModule(str(store), batch_size=5)
    task = build_for(data, model, *overrides)
    with torch.no_grad():
        for weight in task.parameters():  # so that classes and cells differ
            weight += 0.05 * torch.randn_like(weight)
    trainer = quiet_trainer(callbacks=[SavePredictions(str(folder))], **options)
    (scores,) = trainer.test(task, datamodule=data, verbose=False)
    return {name.removeprefix("test/"): value for name, value in scores.items()}, task, data


@pytest.fixture(scope="module")
def tested(party_store, tmp_path_factory):
    """Folder, scores, network and data of a network with attention that was tested."""
    folder = tmp_path_factory.mktemp("tested")
    return folder, *run_test(party_store, folder, "lowrank")


def test_the_scores_of_a_test_follow_from_the_file(tested):
    folder, scores, *_ = tested
    with np.load(folder / FILE_NAME, allow_pickle=False) as file:
        arrays = dict(file)
    assert set(arrays) == ARRAYS | LOOKS and arrays["version"] == VERSION
    outputs, targets = arrays["outputs"].astype(float), arrays["targets"]
    log_sum = np.log(np.exp(outputs).sum(axis=1))
    loss = log_sum - outputs[np.arange(len(outputs)), targets]
    assert scores["loss"] == pytest.approx(loss.mean(), rel=1e-5)
    said, classes = outputs.argmax(axis=1), range(outputs.shape[1])
    assert scores["accuracy"] == pytest.approx((said == targets).mean())
    occurring = [k for k in classes if (targets == k).any()]
    recalls = [(said[targets == k] == k).mean() for k in occurring]
    assert scores["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    for name, recall in zip(arrays["output_names"][occurring], recalls, strict=True):
        assert scores[f"accuracy_{name}"] == pytest.approx(recall)
    found = [k for k in classes if ((targets == k) | (said == k)).any()]
    f1 = [2 * ((said == k) & (targets == k)).sum() / ((said == k).sum() + (targets == k).sum())
          for k in found]  # fmt: skip
    assert scores["macro_f1"] == pytest.approx(np.mean(f1))
    boxed = ~np.isnan(arrays["boxes"]).any(axis=1)
    assert boxed.any() and (np.isnan(arrays["attention_hit"]) == ~boxed).all()
    for name in ("attention_hit", "attention_mass"):
        assert scores[name] == pytest.approx(np.nanmean(arrays[name]), abs=1e-6)


def test_each_clip_stands_once_in_the_order_of_the_store_with_what_the_network_says(tested):
    folder, _, task, data = tested
    found, rows = load_predictions(folder), data.splits.rows("test")
    assert found.rows.tolist() == rows.tolist() and found.split == "test"
    for place, row in enumerate(rows):
        clip = data.store.record(int(row))
        assert (found.clip_ids[place], found.subjects[place]) == (clip.clip_id, clip.subject)
        assert found.output_names[found.targets[place]] == clip.label
    np.testing.assert_array_equal(found.boxes, data.store.boxes[rows])
    clips = data.dataset("test").__getitems__(list(range(len(rows))))
    task.eval()
    with torch.no_grad():
        logits, glimpses, *_ = task.network(clips.with_floats())
    np.testing.assert_allclose(found.outputs, logits.numpy(), atol=1e-4)
    assert found.glimpses.map_shape.tolist() == list(glimpses.shape[2:])
    for clip, peaks, weights in zip(
        glimpses.numpy(), found.glimpses.peaks, found.glimpses.peak_weights, strict=True
    ):
        for glimpse, peak, weight in zip(clip, peaks, weights, strict=True):
            assert glimpse.max() == pytest.approx(weight, abs=1e-5)
            assert glimpse[tuple(peak)] == pytest.approx(weight, abs=1e-5)
    sure = torch.softmax(torch.from_numpy(found.outputs), dim=1)
    torch.testing.assert_close(found.predict(), sure)


def test_a_test_without_a_face_says_so_and_knows_no_boxes(tested, tmp_path):
    folder, scores, task, data = tested
    assert load_predictions(folder).modalities == ["face", "audio"]
    trainer = quiet_trainer(callbacks=[SavePredictions(str(tmp_path))])
    (deprived,) = trainer.test(task, datamodule=data.without("face"), verbose=False)
    found = load_predictions(tmp_path)
    assert found.modalities == ["audio"] and found.take(np.arange(3)).modalities == ["audio"]
    assert np.isnan(found.boxes).all() and np.isnan(found.glimpses.attention_hit).all()
    assert deprived["test/loss"] != scores["loss"]
    clips = data.dataset("test").__getitems__(list(range(len(found)))).with_floats()
    no_face = torch.zeros_like(clips.has_face)
    deaf = clips._replace(has_face=no_face, all_have_face=False)
    with torch.no_grad():
        logits = task.network.eval()(deaf).logits
    np.testing.assert_allclose(found.outputs, logits.numpy(), atol=1e-4)


def test_validation_clips_get_a_file_of_their_own_which_is_that_of_a_test_on_them(tested, tmp_path):
    _, _, task, data = tested
    trainer = quiet_trainer(callbacks=[SavePredictions(str(tmp_path))])
    trainer.predict(task, datamodule=data)
    predict_validation(trainer, task, data.reading("val"))
    assert not list(tmp_path.iterdir())  # of other predictions, and where validation is the test

    predict_validation(trainer, task, data)
    found = load_validation_predictions(tmp_path)
    trainer.test(task, datamodule=data.reading("val"), verbose=False)
    expected = load_predictions(tmp_path)
    assert found.split == "val" and found.rows.tolist() == data.splits.rows("val").tolist()
    np.testing.assert_array_equal(found.outputs, expected.outputs)
    np.testing.assert_array_equal(found.targets, expected.targets)
    np.testing.assert_array_equal(found.glimpses.peaks, expected.glimpses.peaks)
    (saving,) = (one for one in trainer.callbacks if isinstance(one, SavePredictions))
    saving.on_fit_start(trainer, task)  # of weights that are no more
    with pytest.raises(FileNotFoundError):
        load_validation_predictions(tmp_path)


def test_a_file_of_an_earlier_version_had_all_modalities(tested, tmp_path):
    with np.load(tested[0] / FILE_NAME) as file:
        arrays = {name: values for name, values in file.items() if name != "modalities"}
    np.savez(tmp_path / FILE_NAME, **arrays)
    assert load_predictions(tmp_path).modalities == ["face", "audio"]


def test_a_test_of_some_batches_leaves_their_clips_and_no_earlier_ones(tested, tmp_path):
    folder, _, task, data = tested
    (tmp_path / FILE_NAME).write_bytes((folder / FILE_NAME).read_bytes())
    trainer = quiet_trainer(callbacks=[SavePredictions(str(tmp_path))], limit_test_batches=2)
    (scores,) = trainer.test(task, datamodule=data, verbose=False)
    found = load_predictions(tmp_path)
    assert found.rows.tolist() == data.splits.rows("test")[:10].tolist()
    assert found.correct.mean() == pytest.approx(scores["test/accuracy"])
    np.testing.assert_allclose(found.outputs, load_predictions(folder).outputs[:10], atol=1e-5)


def test_a_network_without_attention_leaves_no_peaks(party_store, tmp_path):
    scores, *_ = run_test(party_store, tmp_path, "audio_only")
    with np.load(tmp_path / FILE_NAME, allow_pickle=False) as file:
        assert set(file) == ARRAYS
    assert load_predictions(tmp_path).correct.mean() == pytest.approx(scores["accuracy"])


def test_clips_of_several_classes_have_a_target_for_each(several_store, tmp_path):
    scores, _, data = run_test(several_store, tmp_path, "audio_only", "loss=bce")
    found = load_predictions(tmp_path)
    assert not found.target.exclusive and found.targets.shape == found.outputs.shape
    for place, row in enumerate(found.rows):
        has = [n for n, own in zip(found.output_names, found.true[place], strict=True) if own]
        assert sorted(has) == sorted(data.store.record(int(row)).label.split("|"))
    assert found.correct.mean() == pytest.approx(scores["subset_accuracy"])
    assert (found.predicted == found.true).mean() == pytest.approx(scores["accuracy"])
    columns = zip(found.true.T, found.outputs.T, strict=True)
    areas = [average_precision_score(*column) for column in columns if column[0].any()]
    assert scores["mean_average_precision"] == pytest.approx(np.mean(areas))
    assert found.predict().numpy() == pytest.approx(1 / (1 + np.exp(-found.outputs)), abs=1e-6)


def test_what_is_read_is_what_was_written(tested, tmp_path):
    found = load_predictions(tested[0])
    path = replace(found, output_names=['<a> "ä"', *found.output_names[1:]]).save(tmp_path)
    again = load_predictions(tmp_path)
    assert again.output_names[0] == '<a> "ä"' and [path] == list(tmp_path.iterdir())
    np.testing.assert_array_equal(again.outputs, found.outputs)
    np.testing.assert_array_equal(again.glimpses.peaks, found.glimpses.peaks)


def test_clips_without_a_known_label_can_be_left_out(tested):
    found = load_predictions(tested[0])
    targets = found.targets.copy()
    targets[:3] = -1
    known = replace(found, targets=targets).labeled()
    assert known.clip_ids.tolist() == found.clip_ids[3:].tolist()
    np.testing.assert_array_equal(known.glimpses.peaks, found.glimpses.peaks[3:])
    assert known.glimpses.map_shape.tolist() == found.glimpses.map_shape.tolist()
    assert found.labeled() is found


def test_a_file_of_another_version_is_answered_by_the_command_that_writes_it_again(
    tested, tmp_path
):
    with np.load(tested[0] / FILE_NAME) as file:
        np.savez(tmp_path / FILE_NAME, **dict(file) | {"version": 7})
    with pytest.raises(ValueError, match=r"has version 7.* src/eval\.py ckpt_path=.* split=val"):
        load_predictions(tmp_path, "val")
