"""Claims about the published protocols, each of which is a file of conf/data/protocol."""

import itertools
import json
import logging
from collections import defaultdict

import numpy as np
import pytest
from conftest import CONF, clip_record, indexed, load
from hydra.errors import InstantiationException
from hydra.utils import instantiate

from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.protocols import SubjectFolds
from avfusion.data.splits import split_clips
from avfusion.preparation.leakage import refuse_splits

NAMES = sorted(path.stem for path in (CONF / "data" / "protocol").glob("*.yaml"))
LEAKY = {"leaky_random_5", "leaky_ogm_ge", "leaky_emobox"}
IDENTITY = {"ranges_5"}  # of subjects who are to be known again: refused unless that is allowed
LUNA_JIMENEZ = [
    {2, 5, 14, 15, 16},
    {3, 6, 7, 13, 18},
    {10, 11, 12, 19, 20},
    {8, 17, 21, 23, 24},
    {1, 4, 9, 22},
]
SENTENCES = ("DFA", "IEO", "IOM", "ITH")


def ravdess(root, missing=(), spell="{:02}"):
    """The 1,440 trials of speech: 60 of each of 24 actors."""
    actors = [n for n in range(1, 25) if n not in missing]
    clips = ((actor, take) for actor in actors for take in range(60))
    made = (
        clip_record(f"{actor:02}-{take}", subject=spell.format(actor), split="")
        for actor, take in clips
    )
    return indexed(root, made)


def crema_d(root):
    """Four clips of each of 91 actors."""
    clips = itertools.product(range(1001, 1092), SENTENCES)
    made = (clip_record(f"{a}_{s}_ANG_XX", subject=str(a), split="") for a, s in clips)
    return indexed(root, made)


def iemocap(root):
    clips = itertools.product(range(1, 6), "FM", range(3))
    made = (
        clip_record(f"Ses0{s}{g}{n}", subject=f"Ses0{s}{g}", session=f"Session{s}", split="")
        for s, g, n in clips
    )
    return indexed(root, made)


def savee(root):
    clips = itertools.product(("DC", "JE", "JK", "KL"), range(120))
    return indexed(root, (clip_record(f"{s}_{n}", subject=s, split="") for s, n in clips))


def enterface(root):
    clips = itertools.product(range(1, 44), range(30))
    made = (clip_record(f"s{s}_{n}", subject=f"subject {s}", split="") for s, n in clips)
    return indexed(root, made)


def meld(root):
    splits = ["train"] * 8 + ["val"] + ["test"] * 2
    made = (clip_record(f"c{n}", subject=f"s{n}", split=s) for n, s in enumerate(splits))
    return indexed(root, made)


CORPORA = {
    "luna_jimenez_5": ravdess,
    "hicmae_6": ravdess,
    "emobox_6": ravdess,
    "fixed": ravdess,
    "actors_5": crema_d,
    "leaky_ogm_ge": crema_d,
    "leaky_emobox": crema_d,
    "session_5": iemocap,
    "speaker_4": savee,
    "subject_5": enterface,
    "official": meld,
}
# Clips of each test fold, or of training, validation and test.
SIZES = {
    "luna_jimenez_5": [300, 300, 300, 300, 240],
    "hicmae_6": [240] * 6,
    "emobox_6": [240] * 6,
    "fixed": [960, 240, 240],
    "actors_5": [72, 72, 72, 72, 76],
    "session_5": [6] * 5,
    "speaker_4": [120] * 4,
    "official": [8, 1, 2],
}


def write_lists(folder, tested):
    """The files of both published lists, with this test for each actor's clips."""
    folder.mkdir()
    rows = {
        f"{actor}_{sentence}_ANG_XX": sentence in tested
        for actor, sentence in itertools.product(range(1001, 1092), SENTENCES)
    }
    for name, is_test in (("train", False), ("test", True)):
        clips = [clip for clip, tests in rows.items() if tests == is_test]
        (folder / f"{name}.csv").write_text("".join(f"{clip},ANG\n" for clip in clips))
        objects = [{"key": "x", "wav": f"downloads/AudioWAV/{clip}.wav"} for clip in clips]
        lines = "".join(json.dumps(one) + "\n" for one in objects)
        (folder / f"cremad_{name}_fold_1.jsonl").write_text(lines)
    return folder


def make_protocol(name, tmp_path, **changed):
    """The protocol of a file."""
    overrides = []
    if name in ("leaky_ogm_ge", "leaky_emobox"):
        folder = tmp_path / "lists"
        lists = folder if folder.is_dir() else write_lists(folder, {"DFA"})
        overrides.append(f"data.protocol.lists={lists}")
    overrides += [f"data.protocol.{key}={value}" for key, value in changed.items()]
    cfg = load("train", "data=store", "data.store=x", f"data.protocol={name}", *overrides)
    return instantiate(cfg.data.protocol, _convert_="all")


def split(store, protocol, fold=None, on_test=False):
    return split_clips(protocol.make_plan(fold, 0), store, "test" if on_test else None)


def subjects_of(store, splits, name):
    subjects = np.array(store.texts("subject"))
    return set(subjects[splits.where(name)].tolist())


def all_splits(store, protocol):
    """The splits of every fold, or the only ones."""
    try:
        return [split(store, protocol)]
    except ValueError:
        return [split(store, protocol, fold) for fold in split(store, protocol, 0).folds]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_name_of_a_file_and_of_its_protocol_are_the_same_with_a_source(name, tmp_path):
    protocol = make_protocol(name, tmp_path)
    assert protocol.name == name and protocol.source
    assert bool(protocol.leak) == (name in LEAKY) == name.startswith("leaky_")


@pytest.mark.parametrize("name", NAMES)
def test_test_folds_partition_the_clips_and_sizes_are_as_published(name, tmp_path):
    store = CORPORA.get(name, enterface)(tmp_path / "store")
    every = all_splits(store, make_protocol(name, tmp_path))
    for splits in every:
        assert sum(splits.counts().values()) == len(store) and all(splits.counts().values())
    if len(every) > 1:
        tested = np.sum([splits.where("test") for splits in every], axis=0)
        assert tested.tolist() == [1] * len(store)
        sizes = [splits.counts()["test"] for splits in every]
        assert sizes == list(every[0].folds.values())
    else:
        sizes = list(every[0].counts().values())
    assert name not in SIZES or sizes == SIZES[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_training_validation_and_test_share_no_subject_unless_the_protocol_says_so(name, tmp_path):
    store = CORPORA.get(name, enterface)(tmp_path / "store")
    for splits in all_splits(store, make_protocol(name, tmp_path)):
        train, val, test = (subjects_of(store, splits, part) for part in ("train", "val", "test"))
        if name in LEAKY:
            assert splits.leak and train & test and "share" in splits.leak
        elif name in IDENTITY:
            assert train == val == test
            with pytest.raises(ValueError, match=r"set data\.allow_subject_overlap=true"):
                refuse_splits(store, splits, {}, ())
        else:
            assert not splits.leak and not train & test and not val & test and not train & val


def test_the_folds_of_luna_jimenez_are_those_of_the_paper_and_the_next_one_validates(tmp_path):
    for number, spell in enumerate(("{:02}", "{}")):
        store = ravdess(tmp_path / str(number), spell=spell)
        protocol = make_protocol("luna_jimenez_5", tmp_path)
        for fold, actors in enumerate(LUNA_JIMENEZ):
            splits = split(store, protocol, fold)
            assert {int(s) for s in subjects_of(store, splits, "test")} == actors
            after = LUNA_JIMENEZ[(fold + 1) % 5]
            assert {int(s) for s in subjects_of(store, splits, "val")} == after
            assert splits.plan == f"data.protocol=luna_jimenez_5 data.fold={fold}"
            assert splits.fold == str(fold)


@pytest.mark.parametrize(("name", "folds"), [("hicmae_6", 6), ("emobox_6", 6), ("actors_5", 5)])
def test_listed_folds_hold_every_actor_of_their_corpus_once(name, folds, tmp_path):
    protocol = make_protocol(name, tmp_path)
    every = [actor for fold in protocol.folds for actor in fold]
    whole = range(1001, 1092) if name == "actors_5" else range(1, 25)
    assert len(protocol.folds) == folds and sorted(every) == list(whole)


def test_a_fold_is_chosen_by_the_name_of_a_speaker_or_a_session(tmp_path):
    store = iemocap(tmp_path / "iemocap")
    splits = split(store, make_protocol("session_5", tmp_path), "session3")
    assert subjects_of(store, splits, "test") == {"Ses03F", "Ses03M"}
    assert subjects_of(store, splits, "val") == {"Ses04F", "Ses04M"}
    men = savee(tmp_path / "savee")
    one = split(men, make_protocol("leave_one_subject_out", tmp_path), "KL")
    assert subjects_of(men, one, "test") == {"KL"} and subjects_of(men, one, "val") == {"DC"}


def test_subject_k_makes_as_many_folds_as_are_asked_for(tmp_path):
    store = enterface(tmp_path / "store")
    splits = split(store, make_protocol("subject_k", tmp_path, folds=10), 9)
    assert len(splits.folds) == 10 and set(splits.folds.values()) == {120, 150}


def test_ranges_are_of_the_names_of_each_subjects_clips(tmp_path):
    names = [f"{talker}_{letter}" for letter in "ecadbgfihj" for talker in ("s1", "S1", "s2")]
    clips = [clip_record(f"{name}{n}", subject=name[:2], split="") for n, name in enumerate(names)]
    store = indexed(tmp_path / "store", clips)
    tested = [split(store, make_protocol("ranges_5", tmp_path), fold) for fold in range(5)]
    of_s2 = [
        "".join(sorted(names[row][3] for row in one.rows("test") if names[row].startswith("s2")))
        for one in tested
    ]
    assert of_s2 == ["ab", "cd", "ef", "gh", "ij"]
    assert [len(one.rows("test")) for one in tested] == [6] * 5  # s1 and S1 are one


def test_the_validation_on_test_trains_on_the_next_fold_too_and_says_so(tmp_path):
    store = ravdess(tmp_path / "store")
    protocol = make_protocol("hicmae_6", tmp_path)
    own, on_test = (split(store, protocol, 1, on_test) for on_test in (False, True))
    assert own.counts() == {"train": 960, "val": 240, "test": 240}
    assert on_test.counts() == {"train": 1200, "val": 240, "test": 240}
    assert (
        on_test.rows("val").tolist() == on_test.rows("test").tolist() == own.rows("test").tolist()
    )
    assert on_test.plan.endswith("data.validation=test")
    assert on_test.record == own.record | {"validation": "test"}


def test_another_fold_may_validate_and_the_test_fold_may_not(tmp_path):
    store = ravdess(tmp_path / "store")
    plan = make_protocol("luna_jimenez_5", tmp_path).make_plan(0, 0)
    splits = split_clips(plan, store, 3)
    assert {int(name) for name in subjects_of(store, splits, "val")} == LUNA_JIMENEZ[3]
    assert {int(name) for name in subjects_of(store, splits, "test")} == LUNA_JIMENEZ[0]
    assert splits.counts() == {"train": 840, "val": 300, "test": 300}
    assert not splits.validates_on_test and splits.record["validation"] == "3"
    with pytest.raises(ValueError, match=r"data\.validation=0 is the fold to test on"):
        split_clips(plan, store, 0)
    with pytest.raises(ValueError, match=r"data\.validation=9 is no fold of data\.protocol=luna"):
        split_clips(plan, store, 9)


def test_the_validation_on_test_leaves_out_what_a_corpus_itself_has_to_validate_on(tmp_path):
    splits = split(meld(tmp_path / "store"), make_protocol("official", tmp_path), on_test=True)
    assert splits.counts() == {"train": 8, "val": 2, "test": 2}


def test_published_lists_are_read_by_the_names_of_clips_and_validate_on_a_tenth(tmp_path):
    store = crema_d(tmp_path / "store")
    for name in ("leaky_ogm_ge", "leaky_emobox"):
        splits = split(store, make_protocol(name, tmp_path))
        ids = np.array(store.texts("clip_id"))
        assert {clip[5:8] for clip in ids[splits.where("test")]} == {"DFA"}
        assert splits.counts() == {"train": 246, "val": 27, "test": 91}


def test_what_a_store_lacks_of_a_protocol_is_refused_in_one_sentence_or_recorded(tmp_path):
    song = ravdess(tmp_path / "song", missing={18})
    protocol = make_protocol("luna_jimenez_5", tmp_path)
    with pytest.raises(ValueError, match=r"luna_jimenez_5 names 1 subject that .* lacks \(18\)"):
        split(song, protocol, 0)
    allowed = make_protocol("luna_jimenez_5", tmp_path, allow_missing="true")
    splits = split(song, allowed, 1)
    assert splits.counts()["test"] == 240 and "lacks (18)" in splits.remark


def test_subjects_that_a_protocol_does_not_name_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"has 91 subjects that .*=hicmae_6 does not name \(1001,"):
        split(crema_d(tmp_path / "store"), make_protocol("hicmae_6", tmp_path), 0)


def test_clips_that_lists_lack_are_refused_and_clips_that_a_store_lacks_are_said(tmp_path):
    store = crema_d(tmp_path / "store")
    protocol = make_protocol("leaky_ogm_ge", tmp_path)
    with (tmp_path / "lists" / "train.csv").open("a") as file:
        file.write("1076_MTI_SAD_XX,SAD\n")
    assert "names 1 clip that" in split(store, protocol).remark
    text = (tmp_path / "lists" / "test.csv").read_text().split("\n", 1)[1]
    (tmp_path / "lists" / "test.csv").write_text(text)
    with pytest.raises(ValueError, match=r"has 1 clip that the lists .* lack \(1001_DFA_ANG_XX\)"):
        split(store, protocol)


def test_sessions_are_counted(tmp_path):
    clips = (clip_record(f"c{n}", subject=f"s{n}", session=f"Ses{n}") for n in range(4))
    with pytest.raises(ValueError, match=r"session_5 is of 5 sessions, and .* has 4 \(Ses0,"):
        split(indexed(tmp_path / "store", clips), make_protocol("session_5", tmp_path), 0)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"splits": "subjects", "fold": 0}, "data.splits=subjects and data.protocol=p exclude"),
        ({}, "data.protocol=p needs data.fold.*data.fold=0,1,2"),
        (
            {"protocol": None, "validation": 2},
            r"data\.validation=2 names a fold, and .*=column has",
        ),
    ],
)
def test_wrong_combinations_are_refused_before_the_store_is_read(given, message):
    protocol = SubjectFolds("p", "here", [[1], [2], [3]])
    with pytest.raises(ValueError, match=message):
        FaceAudioDataModule("no/store", **{"protocol": protocol} | given)


def test_a_fold_of_a_protocol_without_folds_and_an_unknown_fold_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"data\.fold=1 .*data\.protocol=official has none"):
        make_protocol("official", tmp_path).make_plan(1, 0)
    protocol = make_protocol("hicmae_6", tmp_path)
    with pytest.raises(ValueError, match=r"data\.fold=7 is no fold of data\.protocol=hicmae_6"):
        split(ravdess(tmp_path / "store"), protocol, 7)


def test_a_subject_that_is_listed_twice_and_lists_that_are_not_there_are_refused(tmp_path):
    with pytest.raises(ValueError, match="names 1 twice"):
        SubjectFolds("p", "here", [[1], ["01"], [3]])
    with pytest.raises(
        InstantiationException, match=r"train\.csv: data\.protocol=leaky_ogm_ge reads"
    ):
        make_protocol("leaky_ogm_ge", tmp_path, lists=str(tmp_path / "none"))


def test_a_leaky_protocol_is_allowed_by_its_name_and_warned_of(recordings_store, tmp_path, caplog):
    protocol = make_protocol("leaky_random_5", tmp_path)
    data = FaceAudioDataModule(str(recordings_store), protocol=protocol, fold=0, validation="test")
    with caplog.at_level(logging.WARNING):
        assert data.splits.leak == protocol.leak
    plan, validation, *_ = caplog.records
    assert [plan.getMessage(), validation.getMessage()] == [
        f"data.protocol=leaky_random_5: {protocol.leak}",
        "data.validation=test: the best epoch is chosen on the clips of the test.",
    ]


def test_every_subject_of_random_folds_is_trained_on(tmp_path):
    store = savee(tmp_path / "store")
    found = defaultdict(set)
    for fold in range(5):
        splits = split(store, make_protocol("leaky_random_5", tmp_path), fold)
        found[fold] = subjects_of(store, splits, "train") & subjects_of(store, splits, "test")
    assert all(shared == {"DC", "JE", "JK", "KL"} for shared in found.values())
