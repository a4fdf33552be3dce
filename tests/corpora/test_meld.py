"""MELD: tables and videos of three splits, speakers in several of them, and files that are none."""

import csv
import logging
import shutil
from collections import Counter
from pathlib import Path

import pytest
from conftest import load
from hydra.utils import instantiate
from published import prepare_by_command, preview, report_of, write_clip

from avfusion.corpora import Meld
from avfusion.preparation.summary import summarize_store

FOLDERS = {
    "train": "train_splits",
    "dev": "dev_splits_complete",
    "test": "output_repeated_splits_test",
}
HEADER = (
    "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode,StartTime,"
    "EndTime"
).split(",")
# Table, dialogue, utterance, speaker, emotion, sentiment.
ROWS = [
    ("train", 0, 0, "Chandler", "neutral", "neutral"),
    ("train", 0, 1, "Monica", "joy", "positive"),
    ("train", 1, 0, "Joey", "anger", "negative"),
    ("train", 125, 3, "Ross", "neutral", "neutral"),
    ("dev", 0, 0, "Joey", "anger", "negative"),
    ("dev", 110, 7, "Monica", "neutral", "neutral"),
    ("test", 0, 0, "Chandler", "joy", "positive"),
    ("test", 38, 4, "Joey", "neutral", "neutral"),
]
MISSING = [("dev", 110, 7)]


def write_table(path: Path, rows, header=HEADER) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for number, (_, dialogue, utterance, speaker, emotion, sentiment) in enumerate(rows, 1):
            said = 'I\x92ll say, "a comma, too"'
            times = ("00:16:16,059", "00:16:21,731")
            cells = (emotion, sentiment, dialogue, utterance, 8, 21)
            writer.writerow([number, said, speaker, *cells, *times])


def write_meld(root: Path, folders=FOLDERS, rows=ROWS, tables: str = "") -> Path:
    """The clips that ``ROWS`` name, and what lies beside them in the archives."""
    for table, folder in folders.items():
        (root / folder).mkdir(parents=True)
        some = [row for row in rows if row[0] == table]
        for row in some:
            if row[:3] not in MISSING:
                write_clip(root / folder / f"dia{row[1]}_utt{row[2]}.mp4")
        (root / tables.format(table)).mkdir(exist_ok=True)
        write_table(root / tables.format(table) / f"{table}_sent_emo.csv", some)
    return root


@pytest.fixture(scope="module")
def meld(tmp_path_factory) -> Path:
    root = write_meld(tmp_path_factory.mktemp("downloads") / "MELD.Raw")
    test = root / FOLDERS["test"]
    for name in ("final_videos_testdia0_utt0.mp4", "._dia0_utt0.mp4", "dia99_utt9.mp4"):
        write_clip(test / name)
    write_table(root / "train_sent_emo_dya.csv", ROWS)
    return root


def read(root: Path, *options, **more):
    return {clip.clip_id: clip for clip in Meld(str(root), *options, **more).read().recordings}


def test_the_split_is_part_of_the_id_as_dialogues_are_counted_anew_in_each(meld):
    clips = read(meld)
    assert {clip_id: clip.split for clip_id, clip in clips.items()} == {
        "train_dia0_utt0": "train",
        "train_dia0_utt1": "train",
        "train_dia1_utt0": "train",
        "dev_dia0_utt0": "val",
        "test_dia0_utt0": "test",
    }
    for clip_id, clip in clips.items():
        folder = FOLDERS[clip_id.partition("_")[0]]
        assert clip.video == meld / folder / f"{clip_id.partition('_')[2]}.mp4"


def test_emotions_or_sentiments_are_the_labels_and_the_other_is_an_attribute(meld):
    contents = Meld(str(meld)).read()
    assert contents.output_names == ["anger", "joy", "neutral"]
    joy = read(meld)["train_dia0_utt1"]
    assert (joy.label, joy.subject, joy.session) == ("joy", "Monica", "s08e21")
    assert dict(joy.attributes) == {"dialogue": "train_dia0", "sentiment": "positive"}

    contents = Meld(str(meld), "sentiment").read()
    assert contents.output_names == ["negative", "neutral", "positive"]
    assert dict(read(meld, "sentiment")["dev_dia0_utt0"].attributes)["emotion"] == "anger"
    with pytest.raises(ValueError, match="label must be one of emotion, sentiment, got 'mood'"):
        Meld(str(meld), "mood")


def test_clips_that_are_known_to_be_bad_are_left_out_and_say_who_found_out(meld):
    told = {clip.clip_id: clip for clip in Meld(str(meld)).read().left_out}
    assert {name: clip.reason for name, clip in told.items()} == {
        "train_dia125_utt3": "damaged",
        "dev_dia110_utt7": "missing in the archive",
        "test_dia38_utt4": "cut at the wrong times",
    }
    assert told["train_dia125_utt3"].detail.endswith("declare-lab/MELD/issues/39")
    kept = Meld(str(meld), include_known_bad=True).read()
    assert len(kept.recordings) == 7
    assert [clip.clip_id for clip in kept.left_out] == ["dev_dia110_utt7"]


def test_videos_that_no_table_names_count_for_nothing(meld):
    contents = Meld(str(meld)).read()
    assert not contents.faults
    assert not [clip for clip in contents.recordings if "dia99" in clip.clip_id]


@pytest.mark.parametrize(
    "folders",
    [
        {table: f"{table}/{folder}" for table, folder in FOLDERS.items()},
        {table: table for table in FOLDERS},
        {table: f"{table}_splits" for table in FOLDERS},
    ],
)
def test_folders_in_circulation_are_the_same_corpus(meld, tmp_path, folders):
    write_meld(tmp_path, folders, tables="" if "train/train_splits" != folders["train"] else "{}")
    assert [*read(tmp_path)] == [*read(meld)]


def test_a_half_download_is_told_by_counts(tmp_path):
    write_meld(tmp_path)
    (tmp_path / "train_splits" / "dia0_utt0.mp4").unlink()
    (tmp_path / "test_sent_emo.csv").unlink()
    contents = Meld(str(tmp_path)).read()
    assert Counter(clip.reason for clip in contents.left_out)["no file"] == 1
    (sentence,) = contents.faults
    assert f"{tmp_path} lacks test_sent_emo.csv for 2 videos: put the tables" in sentence


def test_tables_alone_name_clips_without_files(meld, tmp_path):
    for table in FOLDERS:
        shutil.copy(meld / f"{table}_sent_emo.csv", tmp_path)
    message = r"5 of 8 clips of MELD .* \(no file\), such as train_dia0_utt0 .*: add the folder"
    with pytest.raises(FileNotFoundError, match=message):
        Meld(str(tmp_path)).read()
    parts = [str(tmp_path), *(str(meld / folder) for folder in FOLDERS.values())]
    assert [clip.clip_id for clip in Meld(parts).read().recordings] == [*read(meld)]


def test_no_table_no_video_and_a_table_of_another_kind_are_errors(tmp_path):
    write_clip(tmp_path / "train_splits" / "dia0_utt0.mp4")
    with pytest.raises(FileNotFoundError, match=r"lacks train_sent_emo.csv for 1 video: put the"):
        Meld(str(tmp_path)).read()

    write_table(tmp_path / "train_sent_emo.csv", [], ["Speaker", "Mood"])
    with pytest.raises(ValueError, match=r"no column Emotion, .*, it has Speaker, Mood: get it"):
        Meld(str(tmp_path)).read()

    write_table(tmp_path / "train_sent_emo.csv", [("train", 0, 0, "Ross", "smug", "neutral")])
    with pytest.raises(
        ValueError, match="labels train_dia0_utt0 with the emotion 'smug', expected"
    ):
        Meld(str(tmp_path)).read()

    (tmp_path / "other").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no file of MELD, found nothing, expected train_"):
        Meld(str(tmp_path / "other")).read()


def test_one_command_prepares_it_and_training_is_warned_of_nothing_that_is_by_design(
    meld, tmp_path, caplog
):
    text = preview("corpus=meld", f"corpus.root={meld}", f"prepare.stores={tmp_path}")
    assert "5 clips of meld" in text and "refused" not in text
    assert "missing in the archive: dev_dia110_utt7" in text

    store = prepare_by_command("corpus=meld", f"corpus.root={meld}", f"prepare.stores={tmp_path}")
    assert Counter(store.texts("split")) == {"train": 3, "val": 1, "test": 1}
    assert report_of(store)["train_dia125_utt3"]["outcome"] == "left out"
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]

    text = summarize_store(store.root)
    assert "share 2 subjects by design, which every result records: Chandler, Joey" in text
    assert f"data.store={store.root} data.allow_subject_overlap=true" in text
    assert "refused" not in text


def test_training_on_the_official_splits_records_whom_they_share(meld, tmp_path):
    small = ["data.features.face.size=16", "data.features.audio.duration=0.3"]
    cfg = load("train", "data=meld", f"data.corpus.root={meld}", f"data.store={tmp_path}", *small)
    data = instantiate(cfg.data, _convert_="all")
    assert data.description["shared_subjects"] == ["Chandler", "Joey"]
