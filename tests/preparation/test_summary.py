"""Claims about what a preparation tells people."""

import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import (
    CONF,
    ROOT,
    clip_record,
    indexed,
    load,
    single_label,
    split_by,
    write_recordings,
)
from hydra import initialize_config_dir

from avfusion.corpora import Manifest
from avfusion.data.index import tabulate
from avfusion.data.store import Store
from avfusion.features import AudioFeatures, FaceFeatures, Features
from avfusion.features.clip import Stream
from avfusion.preparation import workers as work
from avfusion.preparation.executors.local import Local
from avfusion.preparation.prepare import prepare
from avfusion.preparation.shards import decode_chunk, list_note_kinds
from avfusion.preparation.summary import (
    describe_missing_faces,
    describe_next_command,
    describe_truncation,
    describe_unused_frames,
    preview_store,
    summarize_store,
    tabulate_classes,
)
from avfusion.run.corpus_protocol import find_protocol
from avfusion.run.streams import find_streams


def cells(text, row):
    """Return the cells of a row of the table."""
    (line,) = (line for line in text.splitlines() if line.strip().startswith(f"{row}  "))
    return line.split()[len(row.split()) :]


def test_the_summary_counts_clips_hours_subjects_and_classes_by_split(recordings_store):
    text = summarize_store(recordings_store)
    assert text.startswith(f"{recordings_store}: 24 clips of")
    assert cells(text, "clips") == ["16", "4", "4"]
    assert cells(text, "subjects") == ["4", "1", "1"]
    assert cells(text, "low") == cells(text, "high") == ["8", "2", "2"]


def test_hours_of_sound_are_those_of_the_recordings_and_hours_kept_those_of_the_clips():
    hours = (("train", 2.0, 1.0), ("train", 1.0, 0.5), ("test", 0.5, 0.5))
    clips = tabulate(
        clip_record(split=split, seconds=3600 * whole, samples=round(3600 * kept) * 16_000)
        for split, whole, kept in hours
    )
    text = "\n".join(tabulate_classes(clips, single_label("low")))
    assert cells(text, "hours of sound") == ["3.00", "0.00", "0.50"]
    assert cells(text, "hours kept") == ["1.50", "0.00", "0.50"]


def test_a_store_knows_how_long_its_recordings_were(recordings_store):
    seconds = Store(recordings_store).column("seconds")
    assert seconds == pytest.approx([0.8 + 0.3 * take for take in range(4)] * 6, abs=1e-3)


def test_the_summary_ends_its_table_with_the_pace_of_the_preparation(
    recordings, long_features, tmp_path, in_process, monkeypatch
):
    moments = iter((10.0, 14.0))
    monkeypatch.setattr(work, "perf_counter", lambda: next(moments))
    store = prepare(Manifest(str(recordings)), long_features, tmp_path)
    assert "\n6.0 clips/s: 24 clips in 4.0 s.\n" in summarize_store(store)


def test_of_a_store_that_is_already_there_no_pace_is_told_but_where_it_is_and_what_is_next(
    recordings_store,
):
    first, again = (
        summarize_store(recordings_store),
        summarize_store(recordings_store, already_there=True),
    )
    assert again.startswith(f"{recordings_store} is already there: 24 clips of ")
    assert "clips/s" in first and "clips/s" not in again
    assert again.splitlines()[-2:] == first.splitlines()[-2:]


def test_the_pace_is_that_of_the_clips_that_were_decoded_after_an_interruption(
    recordings, long_features, tmp_path, in_process, monkeypatch
):
    monkeypatch.setattr(work, "CHUNK_CLIPS", 8)
    written = []

    def interrupted(part):
        if len(written) == 1:
            raise KeyboardInterrupt
        written.append(decode_chunk(part))

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(work, "decode_chunk", interrupted)
        prepare(Manifest(str(recordings)), long_features, tmp_path)
    text = summarize_store(prepare(Manifest(str(recordings)), long_features, tmp_path))
    assert "clips/s: 16 clips (of 24: the others before an interruption) in" in text


def test_a_store_that_was_made_elsewhere_has_no_throughput(recordings_store, tmp_path):
    moved = shutil.copytree(recordings_store, tmp_path / "moved")
    assert "clips/s" in summarize_store(recordings_store) and "clips/s" not in summarize_store(
        moved
    )


def test_the_summary_ends_with_the_command_to_train(recordings_store):
    last = summarize_store(recordings_store).splitlines()[-1]
    command = f"  python src/train.py data=store data.store={recordings_store} data.batch_size=4"
    assert last == command


@pytest.fixture
def to_test_on(tmp_path, small_features, in_process):
    """A store of a subject to test on, one of whose clips is empty."""
    write_recordings(tmp_path, subjects=1)
    manifest = tmp_path / "manifest.csv"
    rows = manifest.read_text().replace("s0,train", "s0,test").splitlines()
    manifest.write_text("\n".join([*rows[:-1], rows[-1].replace("s0,test", "s0,val")]))
    (tmp_path / "s0_1.wav").write_bytes(b"")
    return prepare(Manifest(str(tmp_path)), small_features, tmp_path / "stores")


def test_the_summary_says_what_is_unusual(to_test_on):
    text = summarize_store(to_test_on)
    assert f"Skipped 1: empty file (1). Each is listed in {to_test_on}/report.csv." in text
    assert "Training by the splits of the corpus is refused:\n1 subject is in more than" in text
    command = f"python src/eval.py ckpt_path=<run> data=store data.store={to_test_on}"
    assert text.endswith(f"{command} 'data.splits={{test: 1}}'")


def test_what_is_known_to_be_refused_is_told_before_anything_is_decoded(
    tmp_path, small_features, monkeypatch, caplog
):
    root = write_recordings(tmp_path / "recordings")
    manifest = root / "manifest.csv"
    manifest.write_text(manifest.read_text().replace(",s5,", ",S0 ,").replace("high,s5", "new,s5"))
    monkeypatch.setattr(Local, "run", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare(Manifest(str(root)), small_features, tmp_path / "stores")
    assert "are refused in training: 1 subject is in more than one split (s0)" in caplog.text
    assert "untrained" not in caplog.text


def test_a_preview_says_what_would_happen_and_does_nothing(
    recordings, small_features, tmp_path, monkeypatch
):
    monkeypatch.setattr(Local, "run", lambda *_: pytest.fail("decoded"))
    text = preview_store(Manifest(str(recordings)), small_features, tmp_path / "stores", None)
    assert "would be written: 24 clips" in text and cells(text, "clips") == ["16", "4", "4"]
    assert not (tmp_path / "stores").exists()
    limited = preview_store(Manifest(str(recordings)), small_features, tmp_path / "stores", 6)
    assert cells(limited, "clips") == ["4", "1", "1"]


def test_a_preview_knows_what_is_done_already(
    recordings, recordings_store, long_features, tmp_path, in_process, monkeypatch
):
    stores = recordings_store.parent
    assert "is already there" in preview_store(
        Manifest(str(recordings)), long_features, stores, None
    )
    monkeypatch.setattr(work, "CHUNK_CLIPS", 6)
    monkeypatch.setattr("avfusion.preparation.prepare.write_description", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare(Manifest(str(recordings)), long_features, tmp_path)
    text = preview_store(Manifest(str(recordings)), long_features, tmp_path, None)
    assert "is begun, 24 clips at least" in text


class Told(Store):
    """What the summary reads of a store."""

    def __init__(self, clips, description):
        self.clips, self.description = clips, description
        self.root = Path("stores/odd, 'name' = [1]")

    def columns(self, *names):
        return tabulate(self.clips).select(names)


def told(clips, detector="none", skipped=None, **audio) -> Told:
    """A store of clips given by length, samples, pictures and note."""
    columns = ("seconds", "samples", "pictures", "note")
    clips = [dict(zip(columns, clip, strict=True)) for clip in clips]
    clips = [clip_record(has_face=True, **clip) for clip in clips]
    settings = {"audio": {"crop": "center", "max_duration": 10.0} | audio}
    settings["face"] = {"detector": detector, "num_frames": 1}
    streams = Features(FaceFeatures(), AudioFeatures()).streams
    plain = {name: stream.plain() for name, stream in streams.items()}
    return Told(clips, {"features": settings, "skipped": skipped or {}, "streams": plain})


@pytest.mark.parametrize(
    ("lengths", "settings", "sentence"),
    [
        ([3.7], {}, "59 % of the sound is cut off (2 s of 4 s, in 1 of 1 clip): "
         "features.audio.crop=whole keeps it."),
        ([1.0, 1.5], {}, None),
        ([12.2, 1.0], {}, "81 % of the sound is cut off (11 s of 13 s, in 1 of 2 clips): "
         "features.audio.crop=whole features.audio.max_duration=13 keep it."),
        ([12.2], {"crop": "whole"}, "88 % of the sound is cut off (11 s of 12 s, in 1 of 1 clip): "
         "features.audio.max_duration=13 keeps it."),
        ([1.53, *[1.5] * 99], {}, "less than 1 % of the sound is cut off (0 s of 3 min, in 1 of "
         "100 clips): features.audio.crop=whole keeps it."),
    ],
)  # fmt: skip
def test_the_sound_that_is_cut_off_is_told_with_the_keys_that_keep_it(lengths, settings, sentence):
    clips = [(length, round(min(length, 1.5) * 16000), 1, "") for length in lengths]
    assert describe_truncation(told(clips, **settings)) == ([] if sentence is None else [sentence])


def test_pictures_that_are_left_out_are_counted():
    clips = [(1.0, 16000, count, "") for count in (90, 10, 1, 0)]
    assert describe_unused_frames(told(clips)) == [
        "97 % of the pictures are left out (98 of 101, in 2 of 4 clips): a clip keeps "
        "features.face.num_frames=1, and has up to 90."
    ]
    assert describe_unused_frames(told(clips[2:])) == []


def test_the_share_of_clips_without_a_detected_face_is_told():
    whole = (1.0, 16000, 1, "silent; no face found, picture used whole")
    seen = (1.0, 16000, 1, "")
    assert describe_missing_faces(told([seen, whole])) == []
    assert describe_missing_faces(told([seen] * 3, "haar")) == [
        "A face was found in each of 3 clips."
    ]
    (line,) = describe_missing_faces(told([seen, whole, seen, seen], "haar"))
    assert line.startswith(
        "No face was found in 1 of 4 clips (25 %) by features.face.detector=haar"
    )
    assert "no_face=skip" in line
    (line,) = describe_missing_faces(told([seen], "haar", {"no face found": 3}))
    assert "3 of 4 clips (75 %)" in line and "no_face=whole" in line


def test_notes_are_counted_by_kind_and_split(recordings_store):
    store = Store(recordings_store)
    note = "damaged: {}.00 of 9.00 s lost; no face found, picture used whole"
    clips = [
        replace(record, note=note.format(row) if row else "")
        for row, record in enumerate(store.records(range(24)))
    ]
    text = "\n".join(tabulate_classes(tabulate(clips), single_label("low", "high")))
    assert cells(text, "damaged") == ["15", "4", "4"]
    assert text.splitlines()[-1].split()[-3:] == ["15", "4", "4"]
    assert list_note_kinds("a: 1; a: 2; b, c") == ["a", "b, c"] and list_note_kinds("") == []


def stored(folder, counts, subjects=9, other=None, **description):
    """A store in an odd folder with so many clips in each split, or in none."""
    splits = [split for split, count in counts.items() for _ in range(count)]
    clips = [
        clip_record(f"c{n}", split=split, label="ab"[n % 2], subject=f"{split}{n % subjects}")
        for n, split in enumerate(splits)
    ]
    audio = other or "avfusion.features.mfcc.AudioFeatures"
    settings = {"audio": {"class": audio}, "face": {}}
    return indexed(folder / "odd, 'name' = [1]", clips, features=settings, **description)


@pytest.mark.parametrize(
    ("counts", "others", "options"),
    [
        ((32, 8, 8), {}, []),
        ((20, 5, 5), {}, ["data.batch_size=4"]),
        ((2, 1, 1), {}, ["data.batch_size=1"]),
        (
            (31, 5, 0),
            {"labels": "multi_label"},
            ["data.batch_size=4", "data.eval_split=val", "loss=bce"],
        ),
        ((99, 5, 5), {"other": "mine.LogMel"}, ["data.augmentation.audio.band=0"]),
    ],
)
def test_the_next_command_has_what_the_store_needs(tmp_path, counts, others, options):
    counts = dict(zip(("train", "val", "test"), counts, strict=True))
    store = stored(tmp_path, counts, **others)
    words = shlex.split(describe_next_command(store)[-1])
    assert words[:3] == ["python", "src/train.py", "data=store"]
    cfg = load("train", *words[2:])
    assert cfg.data.store == str(store.root) and cfg.data.batch_size <= counts["train"]
    assert words[4:] == options


def test_the_next_command_names_the_streams_that_have_other_names(tmp_path):
    streams = {
        "frames": Stream("face", "pictures", (1, 32, 32, 3), "uint8"),
        "logmel": Stream("audio", "sequence", (15, 64), "float32"),
        "vgg16": Stream("face", "maps", (1, 512, 7, 7), "float16", encoder={"_target_": "VGG16"}),
    }
    streams = {name: stream.plain() for name, stream in streams.items()}
    store = stored(tmp_path, dict(train=99, val=5, test=5), other="mine.LogMel", streams=streams)
    words = shlex.split(describe_next_command(store)[-1])
    assert find_streams(load("train", *words[2:]).model) == ["vgg16", "logmel"]
    assert words[-2:] == [
        "data.augmentation.audio.stream=logmel",
        "data.augmentation.audio.band=0",
    ]


@pytest.mark.parametrize("counts", [{"": 60}, {"train": 30, "test": 30}, {"train": 60}])
def test_without_splits_or_clips_to_validate_on_the_command_chooses_splits(tmp_path, counts):
    store = stored(tmp_path, counts)
    line, command = describe_next_command(store)
    assert line == "Train on it by fractions, or by other data.splits, with:"
    words = shlex.split(command)
    cfg = load("train", *words[2:])
    assert cfg.data.splits == {"train": 0.7, "val": 0.1, "test": 0.2}
    assert words[4:] == ["data.splits={train: 0.7, val: 0.1, test: 0.2}"]
    assert all(split_by(store, dict(cfg.data.splits)).counts().values())


def test_a_store_of_few_people_or_of_clips_to_test_on_is_for_tests(tmp_path):
    two = stored(tmp_path / "two", {"": 20}, subjects=2)
    assert describe_next_command(two)[-1].endswith("'data.splits={test: 1}'")
    test = stored(tmp_path / "test", {"test": 20})
    words = shlex.split(describe_next_command(test)[-1])
    assert words[1] == "src/eval.py" and words[-1].startswith("data.store=")


def test_the_table_of_a_store_without_splits_counts_all_clips(tmp_path):
    store = stored(tmp_path, {"": 20})
    text = "\n".join(
        tabulate_classes(store.columns("split", "label", "subject"), single_label("a", "b"))
    )
    assert cells(text, "clips") == ["20"] and cells(text, "subjects") == ["9"]
    assert cells(text, "a") == cells(text, "b") == ["10"]


@pytest.mark.slow
def test_the_next_command_of_a_small_store_in_an_odd_folder_trains(
    recordings, small_features, tmp_path, in_process
):
    stores = tmp_path / "it's, a = [folder] of {stores} $HOME"
    store = prepare(Manifest(str(recordings)), small_features, stores)
    command = summarize_store(store).splitlines()[-1].strip()
    assert "data.batch_size=4" in command
    command = command.replace("python src/", f"{shlex.quote(sys.executable)} {ROOT}/src/")
    environment = os.environ | {"CI": "true"}
    shown = subprocess.run(
        f"{command} trainer=cpu trainer.max_epochs=1 callbacks=minimal hydra.run.dir=run",
        shell=True, cwd=tmp_path, env=environment, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert shown.returncode == 0, shown.stderr[-2000:]
    assert (tmp_path / "run" / "checkpoints" / "last.ckpt").is_file()


def test_the_next_command_of_a_published_corpus_takes_its_protocol_where_the_store_has_it(tmp_path):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        found = {name: find_protocol(name, ()) for name in ("ravdess", "grid", "meld", "manifest")}
        grid = find_protocol("grid", ("subject_overlap",))
    assert [name for name, protocol in found.items() if protocol] == ["ravdess"]
    assert grid is not None and grid.name == "ranges_5"

    clips = [clip_record(f"{n}", subject=f"{n % 24 + 1:02}", split="") for n in range(240)]
    settings = {"audio": {"class": "avfusion.features.mfcc.AudioFeatures"}, "face": {}}
    whole, part = (
        indexed(tmp_path / str(len(some)), some, features=settings) for some in (clips, clips[:5])
    )
    title, command = describe_next_command(whole, found["ravdess"])
    assert "(all folds: -m sweep=folds)" in title
    assert "data.protocol=luna_jimenez_5 data.fold=0" in command
    _, command = describe_next_command(part, found["ravdess"])
    assert "protocol" not in command and "data.splits=" in command
