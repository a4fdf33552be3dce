"""Claims about what a preparation tells people."""

import shutil

import pytest
from conftest import write_recordings

from avfusion.corpora import Manifest
from avfusion.data import work
from avfusion.data.part import write_part
from avfusion.data.prepare import prepare
from avfusion.data.store import Store
from avfusion.data.summary import preview, summary, table


def cells(text, row):
    """Return the cells of a row of the table."""
    (line,) = (line for line in text.splitlines() if line.strip().startswith(f"{row}  "))
    return line.split()[len(row.split()) :]


def test_the_summary_counts_clips_hours_subjects_and_classes_by_split(recordings_store):
    text = summary(recordings_store)
    assert text.startswith(f"{recordings_store}: 24 clips of")
    assert cells(text, "clips") == ["16", "4", "4"]
    assert cells(text, "subjects") == ["4", "1", "1"]
    assert cells(text, "low") == cells(text, "high") == ["8", "2", "2"]


def test_hours_of_sound_are_those_of_the_recordings_and_hours_kept_those_of_the_clips():
    clips = [
        {"split": split, "label": "low", "subject": "s", "seconds": seconds, "samples": samples}
        for split, seconds, samples in (
            ("train", "7200.0", str(3600 * 16_000)),
            ("train", "3600.0", str(1800 * 16_000)),
            ("test", "1800.0", str(1800 * 16_000)),
        )
    ]
    text = "\n".join(table(clips, ["low"]))
    assert cells(text, "hours of sound") == ["3.00", "0.00", "0.50"]
    assert cells(text, "hours kept") == ["1.50", "0.00", "0.50"]


def test_a_store_knows_how_long_its_recordings_were(recordings_store):
    seconds = [float(clip["seconds"]) for clip in Store(recordings_store).index]
    assert seconds == pytest.approx([0.8 + 0.3 * take for take in range(4)] * 6, abs=1e-3)


def test_the_summary_ends_its_table_with_the_pace_of_the_preparation(
    recordings, long_features, tmp_path, in_process, monkeypatch
):
    moments = iter((10.0, 14.0))
    monkeypatch.setattr(work, "perf_counter", lambda: next(moments))
    store = prepare(Manifest(str(recordings)), long_features, tmp_path)
    assert "\n6.0 clips/s: 24 clips in 4.0 s.\n" in summary(store)


def test_of_a_store_that_is_already_there_no_pace_is_told_but_where_it_is_and_what_is_next(
    recordings_store,
):
    first, again = summary(recordings_store), summary(recordings_store, already_there=True)
    assert again.startswith(f"{recordings_store} is already there: 24 clips of ")
    assert "clips/s" in first and "clips/s" not in again
    assert again.splitlines()[-2:] == first.splitlines()[-2:]


def test_the_pace_is_that_of_the_clips_that_were_decoded_after_an_interruption(
    recordings, long_features, tmp_path, in_process, monkeypatch
):
    monkeypatch.setattr(work, "PART_CLIPS", 8)
    written = []

    def interrupted(part):
        if len(written) == 1:
            raise KeyboardInterrupt
        written.append(write_part(part))

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(work, "write_part", interrupted)
        prepare(Manifest(str(recordings)), long_features, tmp_path)
    text = summary(prepare(Manifest(str(recordings)), long_features, tmp_path))
    assert "clips/s: 16 clips (of 24: the others before an interruption) in" in text


def test_a_store_that_was_made_elsewhere_has_no_pace(recordings_store, tmp_path):
    moved = shutil.copytree(recordings_store, tmp_path / "moved")
    assert "clips/s" in summary(recordings_store) and "clips/s" not in summary(moved)


def test_the_summary_ends_with_the_command_to_train(recordings_store):
    last = summary(recordings_store).splitlines()[-1]
    assert last == f"  python src/train.py data=store data.store={recordings_store}"


@pytest.fixture
def to_test_on(tmp_path, small_features, in_process):
    """A store of a subject to test on, one of whose clips is empty."""
    write_recordings(tmp_path, subjects=1)
    manifest = tmp_path / "manifest.csv"
    rows = manifest.read_text().replace("s0,train", "s0,test").splitlines()
    manifest.write_text("\n".join([*rows[:-1], rows[-1].replace("s0,test", "s0,val")]))
    (tmp_path / "s0_1.wav").write_bytes(b"")
    corpus = Manifest(str(tmp_path), allow_subject_overlap=True)
    return prepare(corpus, small_features, tmp_path / "stores")


def test_the_summary_says_what_is_unusual(to_test_on):
    text = summary(to_test_on)
    assert f"Skipped 1: empty file (1). Each is listed in {to_test_on}/report.csv." in text
    assert "1 subjects are in several splits" in text
    assert text.endswith(f"python src/eval.py ckpt_path=<run> data=store data.store={to_test_on}")


def test_a_preview_says_what_would_happen_and_does_nothing(
    recordings, small_features, tmp_path, monkeypatch
):
    monkeypatch.setattr(work, "run_parallel", lambda *_: pytest.fail("decoded"))
    text = preview(Manifest(str(recordings)), small_features, tmp_path / "stores", None)
    assert "would be written: 24 clips" in text and cells(text, "clips") == ["16", "4", "4"]
    assert not (tmp_path / "stores").exists()
    limited = preview(Manifest(str(recordings)), small_features, tmp_path / "stores", 6)
    assert cells(limited, "clips") == ["4", "1", "1"]


def test_a_preview_knows_what_is_done_already(
    recordings, recordings_store, long_features, tmp_path, in_process, monkeypatch
):
    stores = recordings_store.parent
    assert "is already there" in preview(Manifest(str(recordings)), long_features, stores, None)
    monkeypatch.setattr(work, "PART_CLIPS", 6)
    monkeypatch.setattr("avfusion.data.prepare.finish", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare(Manifest(str(recordings)), long_features, tmp_path)
    text = preview(Manifest(str(recordings)), long_features, tmp_path, None)
    assert "is begun, 24 clips at least" in text
