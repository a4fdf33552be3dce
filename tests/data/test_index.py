"""Claims about the columns of an index."""

import csv
import json
from collections import Counter, defaultdict
from dataclasses import replace

import numpy as np
import pytest
from conftest import clip_record, indexed, single_label, split_by

from avfusion.corpora import Box
from avfusion.data import index as module
from avfusion.data.dataset import SplitDataset
from avfusion.data.index import (
    BOX,
    SCHEMA,
    ClipRecord,
    Codes,
    Index,
    PictureSize,
    Window,
    check_export,
    export_index,
    tabulate,
    write_index,
)
from avfusion.data.store import INDEX_FILE, Store
from avfusion.data.train_test_overlap import digest_training_clips, find_overlap
from avfusion.preparation.leakage import CONTENT_COLUMNS, find_leaks, find_repeats

ODD = [
    "two\nlines",
    'quotes "", commas, and tabs\t',
    "",
    "NaN",
    r"caf\udce9.mp4",
    "müde 嬉しい 😀",
    "a\x00b\r",
]


def known(number: int) -> ClipRecord:
    """A record of which everything is known, each number another one."""
    return clip_record(
        f"id{number:05d}/{number}",
        label="low",
        subject=f"s{number % 3}",
        session=ODD[(number + 1) % 7],
        split="test",
        shard=number // 7,
        place=number,
        window=Window(number / 3, number / 3 + 1.5),
        seconds=number / 7,
        samples=number,
        frames=number + 1,
        has_face=True,
        pictures=2**40 + number,
        note="damaged",
        box=Box(0.1, 0.2, 0.3, 1 / (number + 3)),
        crop=Box(-4.0, 0.0, 48.0, 44.0),
        picture_size=PictureSize(1280, 720),
        face_source="/in/face.png",
        audio_source="/in/voice.wav",
        face_digest=2**64 - 1 - number,
        audio_digest=number,
    )


@pytest.fixture
def small_groups(monkeypatch):
    monkeypatch.setattr(module, "ROW_GROUP", 8)


def test_records_come_back_as_they_were_written_whatever_is_unknown(tmp_path, small_groups):
    records = [known(number) if number % 3 else clip_record(f"{number}") for number in range(30)]
    write_index(tmp_path / INDEX_FILE, records)
    index = Index(tmp_path / INDEX_FILE)
    assert len(index) == 30 and index.records(range(30)) == records
    rows = [29, 0, 8, 8, 7, 16]
    assert index.records(rows) == [records[row] for row in rows]
    assert index.records([]) == []


@pytest.mark.parametrize("text", ODD)
def test_text_comes_back_as_it_was_written(tmp_path, text):
    record = replace(known(1), clip_id=text, label=text, subject=text, note=text, face_source=text)
    write_index(tmp_path / INDEX_FILE, [record])
    assert Index(tmp_path / INDEX_FILE).records([0]) == [record]


def test_what_is_unknown_is_null_in_its_columns_and_nan_among_numbers(tmp_path):
    write_index(tmp_path / INDEX_FILE, [clip_record(), known(1)])
    index = Index(tmp_path / INDEX_FILE)
    empty = {name for name in SCHEMA.names if index.columns(name)[name].null_count}
    parts = {"start", "end", *BOX, "picture_width", "picture_height", "face_source", "audio_source"}
    parts |= {f"crop_{side}" for side in ("left", "top", "right", "bottom")}
    assert empty == parts | {"face_digest", "audio_digest"}
    starts = module.to_numpy(index.columns("start")["start"])
    assert np.isnan(starts[0]) and starts[1] == 1 / 3


def test_attributes_are_columns_of_text_that_may_be_unknown(tmp_path):
    of_one = (("gender", "female"), ("level", "high"))
    records = [
        clip_record("a", attributes=of_one),
        clip_record("b", attributes=(("gender", "m\u00e4nnlich"),)),
        clip_record("c"),
    ]
    store = indexed(tmp_path, records)
    assert store.attributes == ["gender", "level"]
    assert store.attribute("gender") == ["female", "m\u00e4nnlich", None]
    assert store.attribute("level") == ["high", None, None]
    assert store.records([2, 0]) == [records[2], records[0]]
    assert ClipRecord.from_row(json.loads(json.dumps(records[0].to_row()))) == records[0]


def test_equal_records_give_equal_bytes(tmp_path, small_groups):
    for name in ("one", "two"):
        write_index(tmp_path / name, (known(number) for number in range(21)))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    assert Index(tmp_path / "one").ends.tolist() == [8, 16, 21]


def test_an_index_without_clips_has_all_columns(tmp_path):
    write_index(tmp_path / INDEX_FILE, [])
    index = Index(tmp_path / INDEX_FILE)
    assert len(index) == 0 and index.records([]) == [] and list(index.rows()) == []
    assert Codes.of(index.columns("label")["label"]).names == []


@pytest.mark.parametrize("content", [None, b"", b"clip_id,label\na,b\n"])
def test_an_index_that_cannot_be_read_says_what_to_do(tmp_path, content):
    if content is not None:
        (tmp_path / INDEX_FILE).write_bytes(content)
    with pytest.raises(ValueError, match=r"index\.parquet cannot be read .*prepare the corpus aga"):
        Index(tmp_path / INDEX_FILE)


def test_codes_count_and_find_what_a_list_of_text_does(tmp_path, small_groups):
    texts = [ODD[number * number % 5] for number in range(50)]
    write_index(tmp_path / INDEX_FILE, [clip_record(subject=text) for text in texts])
    codes = Codes.of(Index(tmp_path / INDEX_FILE).columns("subject")["subject"])
    assert codes.texts(range(50)) == texts and len(codes.names) == len(set(texts))
    assert codes.counts() == Counter(texts)
    some = np.arange(50) % 4 == 1
    assert codes.counts(some) == Counter(texts[1::4])
    assert codes.in_order(some) == list(dict.fromkeys(texts[1::4]))
    assert codes.where(ODD[1], "never").tolist() == [text == ODD[1] for text in texts]


def test_a_store_opens_no_column_and_training_those_that_a_batch_needs(recordings_store):
    store = Store(recordings_store)
    assert len(store) == 24 and store.index.opened == []
    rows = split_by(store).rows("train")
    assert store.index.opened == ["split"]
    SplitDataset(store, rows, single_label("high", "low")).__getitems__([0, 1])
    read = {"split", "label", "place", "frames", "has_face", "has_audio", *BOX}
    assert set(store.index.opened) == read
    before = list(store.index.opened)
    digest_training_clips(store, np.arange(24) < 16)
    assert store.index.opened[len(before) :] == ["subject", "face_digest", "audio_digest"]


def test_columns_of_a_store_are_those_of_its_records(party_store):
    store = Store(party_store)
    records = store.records(range(len(store)))
    assert store.texts("clip_id") == [record.clip_id for record in records]
    assert store.labels.texts(range(len(store))) == [record.label for record in records]
    assert store.lengths("mfcc").tolist() == [record.frames for record in records]
    assert store.has_face.tolist() == [record.has_face for record in records]
    np.testing.assert_array_equal(store.boxes, np.array([r.box for r in records], np.float32))
    assert [store.record(row) for row in (3, 0)] == [records[3], records[0]]


def find_leaks_by_lists(records, digest, by):
    """Leaks as a loop over the clips finds them."""
    groups = defaultdict(list)
    for record in records:
        if getattr(record, digest) is not None:
            groups[getattr(record, digest)].append(record)
    return [
        " = ".join(f"{clip.clip_id} ({getattr(clip, by)})" for clip in group)
        for group in groups.values()
        if len({getattr(clip, by) for clip in group}) > 1
    ]


def test_leaks_and_overlap_of_many_clips_are_those_that_a_loop_finds():
    chance = np.random.default_rng(3)

    def chosen(*values):
        return values[chance.integers(len(values))]

    records = [
        clip_record(
            f"c{number}",
            label=chosen("a", "b"),
            split=chosen("train", "val", "test"),
            face_digest=chosen(None, int(chance.integers(300)) + 2**63),
            audio_digest=chosen(None, int(chance.integers(300)) + 2**63),
        )
        for number in range(400)
    ]
    leaks = find_leaks(tabulate(records)) | find_repeats(tabulate(records).select(CONTENT_COLUMNS))
    for kind, digest in (("sound", "audio_digest"), ("picture", "face_digest")):
        assert leaks[f"same_{kind}_in_two_splits"] == find_leaks_by_lists(records, digest, "split")
    silent = [record for record in records if record.audio_digest is None]
    assert leaks["two_labels_for_one_recording"] == [
        *find_leaks_by_lists(records, "audio_digest", "label"),
        *find_leaks_by_lists(silent, "face_digest", "label"),
    ]
    assert min(len(found) for name, found in leaks.items() if name != "untrained_classes") > 10


def test_clips_without_subject_or_content_were_never_trained_on(tmp_path):
    first, second = np.array([True, False]), np.array([False, True])
    clips = [clip_record("a"), clip_record("b", subject="Bo")]
    nothing = digest_training_clips(indexed(tmp_path / "nothing", clips), first)
    assert nothing == {"subjects": "", "recordings": ""}
    clips = [clip_record("a", subject="Bo", audio_digest=5), clip_record("b", audio_digest=6)]
    digests = digest_training_clips(indexed(tmp_path / "digests", clips), first)
    assert digests["recordings"] == f"{5:016x}"
    other = indexed(tmp_path / "other", [clip_record("b"), clip_record("c", face_digest=5)])
    found = find_overlap(digests, other, second)
    assert list(found.values()) == [[], ["c"]]
    assert list(find_overlap(digests, other, first).values()) == [[], []]
    assert list(find_overlap(nothing, other, second).values()) == [[], []]


def test_an_export_is_a_table_for_people(tmp_path):
    records = [known(5), clip_record('quoted "b"\nand more')]
    write_index(tmp_path / INDEX_FILE, records)
    path = check_export(tmp_path / "clips.csv")
    export_index(Index(tmp_path / INDEX_FILE), path)
    with path.open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert list(first) == SCHEMA.names
    assert (first["has_face"], first["has_audio"], second["has_face"]) == ("1", "1", "0")
    assert (first["start"], first["end"]) == (str(5 / 3), str(5 / 3 + 1.5))
    assert first["face_digest"] == "fffffffffffffffa" and first["audio_digest"] == f"{5:016x}"
    assert second["clip_id"] == 'quoted "b"\nand more'
    empty = {name for name, cell in second.items() if cell == ""}
    assert {"box_left", "start", "crop_top", "picture_width", "face_digest"} <= empty


def test_an_export_that_cannot_be_written_is_refused_before_work(tmp_path):
    for path in (tmp_path, tmp_path / "none" / "clips.csv"):
        with pytest.raises(
            ValueError, match=rf"prepare\.export={path} cannot be written: name a f"
        ):
            check_export(path)
