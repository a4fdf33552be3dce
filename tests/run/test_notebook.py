"""Claims about experiments and trained networks in Python, as in a notebook."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import tone, write_picture, write_sound
from tiny_encoders import TARGETS, TinyFace, TinyVoice

import avfusion
from avfusion import checkpoint as checkpoint_files
from avfusion.corpora.unlabeled import UnlabeledRecordings, find_recordings
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.evaluation.inference import make_batch
from avfusion.features import build_prediction_features
from avfusion.figures.clip import clip_view
from avfusion.figures.gallery import gallery_figure
from avfusion.figures.style import RIGHT, WRONG
from avfusion.preparation.prepare import prepare
from avfusion.preparation.shards import decode_recording
from avfusion.preparation.streams import add_stream
from avfusion.run import notebook
from avfusion.training.metrics.pointing import PointingGame, pointing


@pytest.fixture(scope="module")
def trained(party_store):
    """A task that was trained on a toy for one epoch, and its data."""
    cfg = notebook.compose_config(
        "data=store", f"data.store={party_store}", "data.batch_size=8", "model=concat"
    )
    task, data = notebook.build(cfg)
    before = {name: value.clone() for name, value in task.state_dict().items()}
    return task, data, notebook.train(task, data, epochs=1), before


def test_training_changes_the_weights_and_measures_the_last_epoch(trained):
    task, _, scores, before = trained
    assert {"train/loss", "val/accuracy", "val/attention_hit"} <= set(scores)
    changed = [name for name, value in task.state_dict().items() if not value.equal(before[name])]
    assert "network.head.logits.weight" in changed


def test_each_clip_of_a_split_has_a_prediction_in_the_order_of_the_store(trained):
    task, data, *_ = trained
    found = notebook.predict_split(task, data, "test")
    assert [prediction.row for prediction in found] == data.splits.rows("test").tolist()
    assert all(float(prediction.values.sum()) == pytest.approx(1, abs=1e-5) for prediction in found)


def test_new_recordings_have_predictions(trained, tmp_path, in_process):
    task, data, *_ = trained
    write_picture(tmp_path / "one.png", (200, 60, 60))
    write_sound(tmp_path / "one.wav", tone(1.0))
    (prediction,) = notebook.predict_files(str(tmp_path), task, data)
    assert len(prediction.values) == 8


def test_predictions_for_recordings_equal_those_of_a_store_of_them(
    trained, recordings, tmp_path, in_process, monkeypatch
):
    task, data, *_ = trained
    files = list_recordings(recordings, tmp_path)
    batches, predict_step = [], task.predict_step
    with monkeypatch.context() as patch:
        patch.setattr(
            task, "predict_step", lambda clips, n: batches.append(clips) or predict_step(clips, n)
        )
        ours = notebook.predict_files(files, task, data)
    assert [len(clips.row) for clips in batches] == [8, 2]
    corpus = UnlabeledRecordings(find_recordings(files), data.target.output_names)
    store = prepare(
        corpus, build_prediction_features(data.description["features"]), tmp_path / "stores"
    )
    prepared = FaceAudioDataModule(
        str(store), target=lambda description: task.target, batch_size=data.batch_size
    )
    theirs = notebook.predict_split(task, prepared, "test")
    assert len(ours) == len(theirs) == 10
    for one, other in zip(ours, theirs, strict=True):
        assert one.clip == replace(other.clip, shard=one.clip.shard, place=one.clip.place)
        assert torch.equal(one.values, other.values)
        assert torch.equal(one.glimpses, other.glimpses)
        assert one.note == other.note


def list_recordings(recordings: Path, folder: Path) -> str:
    """Name ten recordings in a file, two of them without a picture: more than one batch.

    One that cannot be decoded comes first.
    """
    (folder / "clips").symlink_to(recordings)
    sounds = sorted((folder / "clips").glob("*.wav"))
    lines = [f"{p.with_suffix('.png')} + {p}" for p in sounds[:8]]
    lines += [str(p) for p in sounds[8:10]]
    (folder / "a.wav").touch()
    lines.append("a.wav")
    (folder / "some.txt").write_text("\n".join(lines))
    return str(folder / "some.txt")


def test_streams_of_encoders_are_computed_of_new_recordings(
    party_store, tmp_path, in_process, monkeypatch
):
    """A network on a voice of two layers and on face maps, beside their encoders by hand."""
    monkeypatch.setattr(checkpoint_files, "ALLOWED_TARGETS", {*TARGETS})
    root = shutil.copytree(party_store, tmp_path / "store")
    voice, face = TinyVoice("voice", layers=2), TinyFace("face", kind="maps")
    for encoder in (voice, face):
        add_stream(root, encoder, torch.device("cpu"))
    task, data = notebook.build(
        notebook.compose_config("data=store", f"data.store={root}", "audio=voice", "face=face")
    )
    notebook.train(task, data, epochs=1)
    task.trainer.save_checkpoint(tmp_path / "best.ckpt")

    files = tmp_path / "new"
    files.mkdir()
    for name, seconds in (("one", 1.2), ("two", 0.7)):
        write_picture(files / f"{name}.png", (200, 60, 60))
        write_sound(files / f"{name}.wav", tone(seconds))
    write_sound(files / "voice_alone.wav", tone(0.9))
    (files / "bad.wav").write_bytes(b"")
    ours = avfusion.predict(tmp_path / "best.ckpt", files)
    theirs = notebook.predict_files(files, task, data)

    features = build_prediction_features(data.description["features"])
    clips = [decode_recording(features, recording) for recording in find_recordings(str(files))[1:]]
    batch = make_batch(clips, features).with_floats()
    tokens, lengths = voice.build()(batch.streams["waveform"], batch.lengths["waveform"])
    true = torch.arange(tokens.shape[2]) < lengths[:, None, None]
    maps = face.build()(batch.streams["frames"], None).values * batch.has_face.view(-1, 1, 1, 1, 1)
    streams = {"voice": tokens * true[..., None], "face": maps}
    streams = {name: values.half().float() for name, values in streams.items()}
    batch = batch._replace(streams=streams, lengths={"voice": lengths})
    with torch.inference_mode():
        expected = task.eval().network(batch).logits.softmax(-1)

    assert [Path(one.clip.clip_id).stem for one in ours] == ["one", "two", "voice_alone"]
    assert "zeros stand in for the face" in ours[2].note
    for one, other, values in zip(ours, theirs, expected, strict=True):
        assert torch.equal(one.values, other.values)
        assert torch.allclose(one.values, values, atol=1e-5)


def test_a_recording_that_cannot_be_decoded_is_left_out_and_logged(trained, tmp_path, caplog):
    task, data, *_ = trained
    write_sound(tmp_path / "good.wav", tone(1.0))
    (tmp_path / "bad.wav").write_bytes(b"")
    (prediction,) = notebook.predict_files(str(tmp_path), task, data)
    assert "good" in prediction.clip.clip_id and "bad" in caplog.text
    (tmp_path / "good.wav").unlink()
    with pytest.raises(ValueError, match="None of the recordings can be used"):
        notebook.predict_files(str(tmp_path), task, data)


def test_the_pointing_game_averages_over_the_clips(trained):
    task, data, *_ = trained
    found = notebook.predict_split(task, data, "val")
    glimpses = torch.stack([prediction.glimpses for prediction in found])
    boxes = torch.from_numpy(data.store.boxes)[[prediction.row for prediction in found]]
    game = PointingGame()
    game.update(glimpses, boxes)
    hit, mass = pointing(glimpses, boxes)
    assert float(hit.mean()) == pytest.approx(float(game.compute()["attention_hit"]))
    assert float(mass.mean()) == pytest.approx(float(game.compute()["attention_mass"]), rel=1e-5)


def test_a_gallery_has_a_row_per_network_and_colors_correct_predictions(trained):
    task, data, *_ = trained
    found = notebook.predict_split(task, data, "test")[:3]
    views = [clip_view(data.store, p.row, p.values, p.glimpses, data.target) for p in found]
    views[0], views[1] = views[0]._replace(right=True), views[1]._replace(right=False)
    axes = gallery_figure({"one": views, "other": views[:2]}).axes
    assert len(axes) == 6
    assert [axes[place].title.get_color() for place in (0, 1, 3)] == [RIGHT, WRONG, RIGHT]
    assert [len(axes[place].images) for place in (2, 5)] == [2, 0]  # picture and glimpse, nothing


@pytest.fixture(scope="module")
def checkpoint(trained, tmp_path_factory) -> Path:
    """A run folder with the checkpoint of the trained task."""
    task, *_ = trained
    run = tmp_path_factory.mktemp("run")
    task.trainer.save_checkpoint(run / "checkpoints" / "best.ckpt")
    return run


def test_a_run_is_loaded_with_its_description_in_evaluation_mode(trained, checkpoint):
    task, data, *_ = trained
    for given in (checkpoint, str(checkpoint), checkpoint / "checkpoints" / "best.ckpt"):
        loaded, description = avfusion.load(given)
        assert not loaded.training and loaded.device.type == "cpu"
        weights = task.state_dict()
        assert loaded.state_dict().keys() == weights.keys()
        assert all(torch.equal(value, weights[name]) for name, value in loaded.state_dict().items())
        assert description["output_names"] == data.target.output_names
        assert description["clips"] == data.description["clips"]


def test_predictions_of_a_run_equal_those_of_its_task(trained, checkpoint, tmp_path, in_process):
    task, data, *_ = trained
    for name in ("one", "two"):
        write_picture(tmp_path / f"{name}.png", (200, 60, 60))
        write_sound(tmp_path / f"{name}.wav", tone(1.0))
    ours = avfusion.predict(checkpoint, tmp_path)
    theirs = notebook.predict_files(tmp_path, task, data)
    assert len(ours) == len(theirs) == 2
    for one, other in zip(ours, theirs, strict=True):
        assert one.clip == other.clip and torch.equal(one.values, other.values)


def test_a_run_without_a_checkpoint_is_refused_with_its_path(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"No checkpoint at {tmp_path}"):
        avfusion.load(tmp_path)


def test_the_package_has_no_other_attributes():
    with pytest.raises(AttributeError, match="has no attribute 'lod'"):
        avfusion.lod  # noqa: B018


@pytest.mark.slow
def test_a_network_that_imagines_trains_as_any_other_and_says_what_it_imagined(
    party_store, tmp_path, in_process
):
    data = ("data=store", f"data.store={party_store}", "data.batch_size=8")
    task, data = notebook.build(notebook.compose_config("model/missing=imagined", *data))
    scores = notebook.train(task, data, epochs=1)
    assert scores["val/loss"] > 0 and not task.automatic_optimization

    write_picture(tmp_path / "silent.png", (200, 60, 60))
    (silent,) = notebook.predict_files(tmp_path / "silent.png", task, data)
    assert "the voice is imagined" in silent.note
    bias = task.network.imagination.audio_from_face.output.bias
    with torch.no_grad():
        bias += torch.randn_like(bias)
    (other,) = notebook.predict_files(tmp_path / "silent.png", task, data)
    assert not torch.allclose(other.values, silent.values)
