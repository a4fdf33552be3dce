"""eNTERFACE'05: folders rather than names, the subject that was not cut, and one command."""

from collections import Counter
from pathlib import Path

import pytest
from published import prepare_by_command, prepare_by_training, report_of, write_clip

from avfusion.corpora import Enterface05

EMOTIONS = ("anger", "disgust", "fear", "happiness", "sadness", "surprise")


def write_enterface05(root: Path, blank: str = " ") -> Path:
    """Two sentences of subjects 3 and 11, named as in the archive, and a session of subject 6."""
    for subject, prefix in ((3, "s_3"), (11, "s12"), (12, "s12")):
        for emotion in ("anger", "surprise"):
            for sentence in (1, 5):
                name = f"{prefix}_{emotion[:2]}_{sentence}.avi"
                folders = (f"subject {subject}", emotion, f"sentence {sentence}", name)
                write_clip(root / "/".join(folders).replace(" ", blank))
    write_clip(root / f"subject{blank}6" / "anger" / "s6_an.avi")
    return root


@pytest.fixture(scope="module")
def enterface05(tmp_path_factory) -> Path:
    return write_enterface05(tmp_path_factory.mktemp("enterface database"))


def test_subjects_are_those_of_folders_as_names_of_subject_11_say_12(enterface05):
    contents = Enterface05(str(enterface05)).read()
    assert Counter(clip.subject for clip in contents.recordings) == {"3": 4, "11": 4, "12": 4}
    assert contents.output_names == ["anger", "surprise"]
    clips = {clip.clip_id: clip for clip in contents.recordings}
    assert clips["s11_su_5"].label == "surprise"
    assert dict(clips["s11_su_5"].attributes) == {"sentence": "su_5"}
    assert contents.faults[-1].startswith("eNTERFACE'05 has 1287 clips of 43 subjects, and ")


def test_the_subject_that_was_not_cut_into_sentences_is_left_out(enterface05):
    left_out = Enterface05(str(enterface05)).read().left_out
    assert [(clip.clip_id, clip.reason) for clip in left_out] == [
        ("s6_an", "a whole session, not cut into sentences")
    ]
    everything = Enterface05(str(enterface05), include_known_bad=True).read()
    assert len(everything.recordings) == 13


@pytest.mark.parametrize("blank", ["-", "_", ""])
def test_copies_have_other_signs_for_the_blanks(enterface05, tmp_path, blank):
    ids = [
        [clip.clip_id for clip in Enterface05(str(root)).read().recordings]
        for root in (enterface05, write_enterface05(tmp_path / "copy", blank))
    ]
    assert ids[0] == ids[1]


@pytest.mark.slow
def test_the_whole_corpus_has_1287_clips(tmp_path):
    for subject in range(1, 45):
        for emotion in EMOTIONS:
            for sentence in range(1, 6):
                if (subject, emotion) == (23, "happiness") and sentence > 2:
                    continue
                name = f"s{subject}_{emotion[:2]}"
                folder = tmp_path / f"subject {subject}" / emotion
                folder.mkdir(parents=True, exist_ok=True)
                if subject != 6:
                    folder = folder / f"sentence {sentence}"
                    folder.mkdir()
                    name = f"{name}_{sentence}"
                (folder / f"{name}.avi").write_bytes(b"RIFF")
    contents = Enterface05(str(tmp_path)).read()
    assert len(contents.recordings) == 1287
    assert len({clip.subject for clip in contents.recordings}) == 43
    assert len(contents.left_out) == 6
    assert not contents.faults


def test_folders_that_break_the_rule_are_told(enterface05, tmp_path):
    write_clip(tmp_path / "subject 45" / "anger" / "sentence 1" / "s45_an_1.avi")
    write_clip(tmp_path / "subject 5" / "anger" / "s5_an_1.avi")
    with pytest.raises(FileNotFoundError, match=r"found 2 files \(.avi 2\), such as ") as error:
        Enterface05(str(tmp_path)).read()
    assert "(no folder of a sentence)" in str(error.value)
    assert "(subject 45)" in str(error.value)


def test_one_command_prepares_it_and_so_does_training(enterface05, tmp_path, in_process):
    given = f"corpus.root='{enterface05}'"
    store = prepare_by_command("corpus=enterface05", given, f"prepare.stores={tmp_path}")
    assert len(store) == 12
    assert store.has_face.all()
    assert store.has_audio.all()
    assert report_of(store)["s6_an"]["outcome"] == "left out"
    assert prepare_by_training(tmp_path, "data=enterface05", f"data.{given}").root == store.root
