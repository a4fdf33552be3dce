"""Claims about experiments inside a process, as notebooks have them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import tone, write_picture, write_sound

from avfusion.corpora.unlabeled import UnlabeledRecordings, find_recordings
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.features import prediction_features
from avfusion.figures.clip import clip_view
from avfusion.figures.gallery import gallery_figure
from avfusion.figures.style import RIGHT, WRONG
from avfusion.preparation.prepare import prepare
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


def test_a_session_trains_and_says_how_well(trained):
    task, _, scores, before = trained
    assert {"train/loss", "val/accuracy", "val/attention_hit"} <= set(scores)
    changed = [name for name, value in task.state_dict().items() if not value.equal(before[name])]
    assert "network.head.logits.weight" in changed


def test_a_session_answers_for_each_clip_of_a_split_in_the_order_of_the_store(trained):
    task, data, *_ = trained
    found = notebook.predict_split(task, data, "test")
    assert [answer.row for answer in found] == data.splits.rows("test").tolist()
    assert all(float(answer.values.sum()) == pytest.approx(1, abs=1e-5) for answer in found)


def test_a_session_answers_for_new_recordings(trained, tmp_path, in_process):
    task, data, *_ = trained
    write_picture(tmp_path / "one.png", (200, 60, 60))
    write_sound(tmp_path / "one.wav", tone(1.0))
    (answer,) = notebook.predict_files(str(tmp_path), task, data)
    assert len(answer.values) == 8


def test_recordings_are_answered_for_as_a_store_of_them_would_be(
    trained, recordings, tmp_path, in_process, monkeypatch
):
    task, data, *_ = trained
    files = list_recordings(recordings, tmp_path)
    batches, answer = [], task.predict_step
    with monkeypatch.context() as patch:
        patch.setattr(
            task, "predict_step", lambda clips, n: batches.append(clips) or answer(clips, n)
        )
        ours = notebook.predict_files(files, task, data)
    assert [len(clips.row) for clips in batches] == [8, 2]
    corpus = UnlabeledRecordings(find_recordings(files), data.target.output_names)
    store = prepare(corpus, prediction_features(data.description["features"]), tmp_path / "stores")
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


def test_a_recording_that_cannot_be_decoded_is_left_out_with_a_word(trained, tmp_path, caplog):
    task, data, *_ = trained
    write_sound(tmp_path / "good.wav", tone(1.0))
    (tmp_path / "bad.wav").write_bytes(b"")
    (answer,) = notebook.predict_files(str(tmp_path), task, data)
    assert "good" in answer.clip.clip_id and "bad" in caplog.text
    (tmp_path / "good.wav").unlink()
    with pytest.raises(ValueError, match="None of the recordings can be used"):
        notebook.predict_files(str(tmp_path), task, data)


def test_pointing_of_clips_is_what_the_pointing_game_averages(trained):
    task, data, *_ = trained
    found = notebook.predict_split(task, data, "val")
    glimpses = torch.stack([answer.glimpses for answer in found])
    boxes = torch.from_numpy(data.store.boxes)[[answer.row for answer in found]]
    game = PointingGame()
    game.update(glimpses, boxes)
    hit, mass = pointing(glimpses, boxes)
    assert float(hit.mean()) == pytest.approx(float(game.compute()["attention_hit"]))
    assert float(mass.mean()) == pytest.approx(float(game.compute()["attention_mass"]), rel=1e-5)


def test_a_gallery_has_a_row_per_network_and_colours_what_is_right(trained):
    task, data, *_ = trained
    found = notebook.predict_split(task, data, "test")[:3]
    views = [clip_view(data.store, a.row, a.values, a.glimpses, data.target) for a in found]
    views[0], views[1] = views[0]._replace(right=True), views[1]._replace(right=False)
    axes = gallery_figure({"one": views, "other": views[:2]}).axes
    assert len(axes) == 6
    assert [axes[place].title.get_color() for place in (0, 1, 3)] == [RIGHT, WRONG, RIGHT]
    assert [len(axes[place].images) for place in (2, 5)] == [2, 0]  # picture and glimpse, nothing
