"""IEMOCAP: tables of dialogues, spans of their videos, and the half of the picture that speaks."""

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from conftest import load
from hydra.utils import instantiate
from published import (
    prepare_by_command,
    prepare_by_training,
    report_of,
    write_clip,
    write_voice,
)

from avfusion.corpora import Iemocap
from avfusion.corpora.iemocap import CLASSES, NUM_UTTERANCES
from avfusion.features import AudioFeatures, FaceFeatures, Features, Policies
from avfusion.features.video import count_pictures

LINE = "[{:.4f} - {:.4f}]\t{}\t{}\t[{:.4f}, {:.4f}, {:.4f}]\n"
EVALUATORS = "C-E2:\tNeutral;\t()\nC-F1:\tNeutral;\t(curious)\nA-E3:\tval 3; act 2; dom  2;\t()\n\n"
# Start, end, end of the name, emotion, valence, activation, dominance.
IMPROVISED = [
    (0.0, 0.8, "F000", "neu", 2.5, 2.5, 2.5),
    (0.8, 1.6, "M000", "exc", 4.0, 3.5, 3.0),
    (1.6, 2.4, "F001", "xxx", 2.0, 3.0, 3.5),
    (2.4, 3.2, "MXX0", "fru", 2.0, 3.0, 3.5),
]
SCRIPTED = [(0.2, 0.9, "F000", "ang", 1.5, 4.0, 4.5), (1.0, 1.9, "M000", "hap", 4.5, 3.0, 3.0)]
SECONDS, RATE = 3.2, 10


def draw_dialogue(left: int, right: int) -> list[np.ndarray]:
    """Pictures whose halves have gray levels of their own, which grow with time by 30 a second."""
    pictures = []
    for number in range(round(SECONDS * RATE)):
        picture = np.zeros((40, 64, 3), np.uint8)
        picture[:, :32], picture[:, 32:] = left + 3 * number, right + 3 * number
        pictures.append(picture)
    return pictures


def write_dialogue(session: Path, dialogue: str, lines, level: int = 20) -> None:
    """The three kinds of files of a dialogue, and others that lie beside them."""
    table = session / "dialog" / "EmoEvaluation" / f"{dialogue}.txt"
    for folder in (table.parent / "Categorical", session / "dialog" / "transcriptions"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{dialogue}_e2_cat.txt").write_text(f"{dialogue}_F000 :Neutral; ()\n")
    text = "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n"
    for start, end, turn, *rest in lines:
        text += LINE.format(start, end, f"{dialogue}_{turn}", *rest) + EVALUATORS
        sound = session / "sentences" / "wav" / dialogue / f"{dialogue}_{turn}.wav"
        write_voice(sound, seconds=end - start)
    table.write_text(text)

    video = session / "dialog" / "avi" / "DivX" / f"{dialogue}.avi"
    write_clip(video, seconds=SECONDS, pictures=draw_dialogue(level, 100 + level))
    markers = session / "sentences" / "MOCAP_head" / dialogue / f"{dialogue}_F000.txt"
    markers.parent.mkdir(parents=True)
    markers.write_text("Frame# Time pitch roll yaw")
    write_voice(session / "dialog" / "wav" / f"{dialogue}.wav", seconds=SECONDS)


def write_iemocap(root: Path) -> Path:
    write_dialogue(root / "Session1", "Ses01F_impro01", IMPROVISED)
    write_dialogue(root / "Session1", "Ses01M_script01_1", SCRIPTED)
    write_dialogue(root / "Session5", "Ses05F_script01_1b", SCRIPTED)
    return root


@pytest.fixture(scope="module")
def iemocap(tmp_path_factory) -> Path:
    return write_iemocap(tmp_path_factory.mktemp("downloads") / "IEMOCAP_full_release")


def read(root: Path, *options, **more):
    return {clip.clip_id: clip for clip in Iemocap(str(root), *options, **more).read().recordings}


def test_a_clip_is_an_utterance_with_its_sound_its_span_and_who_says_it(iemocap):
    clip = read(iemocap)["Ses01F_impro01_M000"]
    session = iemocap / "Session1"
    assert clip.audio == session / "sentences/wav/Ses01F_impro01/Ses01F_impro01_M000.wav"
    assert clip.image == session / "dialog/avi/DivX/Ses01F_impro01.avi"
    assert (clip.label, clip.subject, clip.session) == ("happy", "Ses01M", "Session1")
    assert clip.span == (0.8, 1.6)
    assert dict(clip.attributes) == {
        "dialogue": "Ses01F_impro01",
        "gender": "male",
        "scenario": "improvised",
    }
    script = read(iemocap)["Ses05F_script01_1b_F000"]
    assert (script.subject, script.session) == ("Ses05F", "Session5")
    assert dict(script.attributes)["scenario"] == "scripted"


def test_labels_are_four_emotions_six_or_three_numbers(iemocap):
    four, six = read(iemocap), read(iemocap, "emotion_6")
    assert {name: clip.label for name, clip in four.items() if "impro" in name} == {
        "Ses01F_impro01_F000": "neutral",
        "Ses01F_impro01_M000": "happy",
    }
    assert {name: clip.label for name, clip in six.items() if "impro" in name} == {
        "Ses01F_impro01_F000": "neutral",
        "Ses01F_impro01_M000": "excited",
        "Ses01F_impro01_MXX0": "frustrated",
    }
    contents = Iemocap(str(iemocap), "dimensions").read()
    assert contents.labels == "continuous"
    assert contents.output_names == ["activation", "dominance", "valence"]
    clips = {clip.clip_id: clip for clip in contents.recordings}
    unclear = clips["Ses01F_impro01_F001"]
    assert (unclear.label, unclear.numbers) == ("activation|dominance|valence", (3.0, 3.5, 2.0))
    assert dict(unclear.attributes)["emotion"] == "xxx"
    assert len(clips) == 8
    with pytest.raises(ValueError, match=r"label must be one of emotion_4, .* got 'mood'"):
        Iemocap(str(iemocap), "mood")


def test_the_whole_corpus_has_as_many_utterances_as_its_emotions():
    by_emotion = dict(neu=1708, ang=1103, sad=1084, hap=595, exc=1041, fru=1849)
    by_emotion |= dict(sur=107, fea=40, dis=2, oth=3, xxx=2507)
    assert sum(by_emotion.values()) == NUM_UTTERANCES["dimensions"]
    for label, codes in CLASSES.items():
        assert sum(by_emotion[code] for code in codes) == NUM_UTTERANCES[label]
    assert sum((1085, 1023, 1151, 1031, 1241)) == NUM_UTTERANCES["emotion_4"]


def test_whose_letter_the_dialogue_has_is_on_the_left(iemocap):
    sides = {
        (name[5], name.split("_")[-1][0]): "left" if clip.region.left == 0 else "right"
        for name, clip in read(iemocap).items()
    }
    assert sides == {
        ("F", "F"): "left",
        ("F", "M"): "right",
        ("M", "F"): "right",
        ("M", "M"): "left",
    }


def test_pictures_are_those_of_the_utterance_and_of_the_half_that_speaks(iemocap):
    features = Features(FaceFeatures(size=32, num_frames=2), AudioFeatures(duration=0.6))
    for name, clip in read(iemocap, "dimensions").items():
        features_of = features(clip)
        middle = (clip.span[0] + clip.span[1]) / 2
        times = middle + np.array([-0.15, 0.15])
        level = (20 if clip.region.left == 0 else 120) + 3 * RATE * times
        shown = features_of.face[:, 12:20, 4:28].mean(axis=(1, 2, 3))
        np.testing.assert_allclose(shown, level, atol=5, err_msg=name)
        assert features_of.seconds == pytest.approx(clip.span[1] - clip.span[0], abs=0.01)


def test_pictures_alone_are_those_of_the_whole_span(iemocap):
    clip = read(iemocap, modalities="face")["Ses01F_impro01_M000"]
    assert clip.audio is None
    policies = Policies(missing="mask")
    features = Features(FaceFeatures(size=32, num_frames=2), AudioFeatures(duration=0.3), policies)
    shown = features(clip).face[:, 12:20, 4:28].mean(axis=(1, 2, 3))
    np.testing.assert_allclose(shown, 120 + 3 * RATE * np.array([1.0, 1.4]), atol=5)
    assert count_pictures(clip) == 8


def test_voices_alone_need_no_videos(iemocap, tmp_path):
    shutil.copytree(iemocap, tmp_path / "voices", ignore=shutil.ignore_patterns("*.avi"))
    clips = read(tmp_path / "voices", modalities="audio")
    assert [*clips] == [*read(iemocap)]
    assert {clip.picture_source for clip in clips.values()} == {None}
    with pytest.raises(
        FileNotFoundError, match=r"6 of 6 clips of IEMOCAP .* \(no picture\), .*audio"
    ):
        read(tmp_path / "voices")


def test_a_half_download_is_told_by_counts(iemocap, tmp_path):
    shutil.copytree(iemocap, tmp_path / "half")
    (tmp_path / "half/Session1/dialog/avi/DivX/Ses01M_script01_1.avi").unlink()
    shutil.rmtree(tmp_path / "half/Session1/sentences/wav/Ses01F_impro01")
    contents = Iemocap(str(tmp_path / "half")).read()
    reasons = Counter(clip.reason for clip in contents.left_out)
    assert reasons == {"no picture": 2, "no sound": 2}
    (sentence,) = contents.faults
    assert sentence.startswith("IEMOCAP has 5531 clips of 10 subjects, and ")
    assert "nothing of Ses01F, Ses01M, Ses02F" in sentence


@pytest.mark.slow
def test_a_video_that_ends_before_the_clip_is_a_reason_to_skip_it(iemocap, tmp_path):
    shutil.copytree(iemocap, tmp_path / "cut")
    video = tmp_path / "cut/Session1/dialog/avi/DivX/Ses01F_impro01.avi"
    write_clip(video, seconds=0.5)
    store = prepare_by_command(
        "corpus=iemocap", f"corpus.root={tmp_path / 'cut'}", f"prepare.stores={tmp_path}"
    )
    assert report_of(store)["Ses01F_impro01_M000"]["reason"] == "ends before the clip"
    assert report_of(store)["Ses01F_impro01_F000"]["outcome"] == "kept"


def test_what_is_wrong_with_a_folder_is_said_in_a_sentence(iemocap, tmp_path):
    tables = iemocap / "Session1" / "dialog" / "EmoEvaluation"
    with pytest.raises(FileNotFoundError, match=r"4 of 4 clips .* \(no file\), .*_F000 \(.*txt\)"):
        Iemocap(str(tables)).read()
    sounds = iemocap / "Session1" / "sentences"
    with pytest.raises(FileNotFoundError, match=r"holds 6 sounds and 0 videos of IEMOCAP and none"):
        Iemocap(str(sounds)).read()
    with pytest.raises(FileNotFoundError, match=r"no file of IEMOCAP, found nothing, expected Ses"):
        Iemocap(str(tmp_path)).read()

    shutil.copytree(iemocap, tmp_path / "broken")
    table = tmp_path / "broken/Session1/dialog/EmoEvaluation/Ses01F_impro01.txt"
    table.write_text("not a table")
    with pytest.raises(
        ValueError, match=r"Ses01F_impro01.txt has no line such as \[6.2901 - 8.2357"
    ):
        Iemocap(str(tmp_path / "broken")).read()


def test_parts_in_several_folders_are_one_corpus(iemocap):
    sessions = [str(iemocap / name) for name in ("Session1", "Session5")]
    assert [clip.clip_id for clip in Iemocap(sessions).read().recordings] == [*read(iemocap)]


@pytest.mark.slow
@pytest.mark.parametrize("label", NUM_UTTERANCES)
def test_one_command_prepares_it(iemocap, tmp_path, label):
    more = (f"corpus.label={label}", f"prepare.stores={tmp_path}")
    store = prepare_by_command("corpus=iemocap", f"corpus.root={iemocap}", *more)
    assert len(store) == {"emotion_4": 6, "emotion_6": 7, "dimensions": 8}[label]
    assert {*store.texts("session")} == {"Session1", "Session5"}
    numbers = ["emotion"] if label == "dimensions" else []
    assert store.attributes == ["dialogue", *numbers, "gender", "scenario"]


def test_training_prepares_it_on_first_use(iemocap, tmp_path):
    store = prepare_by_training(tmp_path, "data=iemocap", f"data.corpus.root={iemocap}")
    assert Counter(store.texts("subject")) == {"Ses01F": 2, "Ses01M": 2, "Ses05F": 1, "Ses05M": 1}


@pytest.mark.slow
def test_training_leaves_one_session_with_its_two_speakers_out(tmp_path):
    for session in range(1, 6):
        dialogue = f"Ses0{session}F_script01_1"
        write_dialogue(tmp_path / f"Session{session}", dialogue, SCRIPTED, level=6 * session)
    small = ["data.features.face.size=16", "data.features.audio.duration=0.3"]
    given = [f"data.corpus.root={tmp_path}", f"data.store={tmp_path / 'stores'}", *small]
    tested = []
    for fold in range(5):
        cfg = load("train", "data=iemocap", f"data.fold={fold}", *given)
        data = instantiate(cfg.data, _convert_="all")
        assert data.description["clips"] == {"train": 6, "val": 2, "test": 2}
        assert data.description["shared_subjects"] == []
        tested.append({data.store.texts("session")[row] for row in data.splits.rows("test")})
    assert tested == [{f"Session{session}"} for session in range(1, 6)]
