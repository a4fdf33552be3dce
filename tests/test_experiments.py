"""Claims about the experiments on published corpora: from a miniature of each to its table."""

import csv
import runpy
import shlex
import sys
from collections.abc import Callable, Iterable
from itertools import product
from pathlib import Path

import pytest
from conftest import CONF, ROOT, hydra_at_rest, load
from published import write_clip, write_voice

from avfusion.evaluation.runs import find_runs
from avfusion.run.notebook import compose_config
from avfusion.run.streams import find_streams

EXPERIMENTS = ("crema_d", "enterface05", "iemocap", "meld", "ravdess", "savee")
DIALOGUE = "[{0:.1f} - {1:.1f}]\tSes0{2}F_impro01_{3}\t{4}\t[2.0, 2.0, 2.0]\n"


def name_crema_d() -> Iterable[str]:
    for actor, emotion, level in product((1001, 1019, 1037, 1055, 1073), ("ANG", "SAD"), "LH"):
        yield f"VideoFlash/{actor}_IEO_{emotion}_{level + ('O' if level == 'L' else 'I')}.flv"


def name_enterface05() -> Iterable[str]:
    for subject, emotion, sentence in product(range(1, 6), ("anger", "fear"), (1, 2)):
        folder = f"subject {subject}/{emotion}/sentence {sentence}"
        yield f"{folder}/s{subject}_{emotion[:2]}_{sentence}.avi"


def name_ravdess() -> Iterable[str]:
    for actor, emotion, statement in product((1, 2, 3, 8, 10), (3, 4), (1, 2)):
        yield f"Actor_{actor:02}/01-01-{emotion:02}-01-{statement:02}-01-{actor:02}.mp4"


def name_savee() -> Iterable[str]:
    for speaker, take in product(("DC", "JE", "JK", "KL"), ("a1", "a2", "n1", "n2")):
        yield f"AudioVisualClip/{speaker}/{take}.avi"


NAMES: dict[str, Callable[[], Iterable[str]]] = {
    "crema_d": name_crema_d,
    "enterface05": name_enterface05,
    "ravdess": name_ravdess,
    "savee": name_savee,
}


def write_meld(root: Path) -> None:
    columns = "Sr No.,Utterance,Speaker,Emotion,Sentiment,Dialogue_ID,Utterance_ID,Season,Episode"
    folders = ("train_splits", "dev_splits_complete", "output_repeated_splits_test")
    for split, folder, clips in zip(("train", "dev", "test"), folders, (8, 4, 4), strict=True):
        rows = [
            [
                n,
                "What?",
                ("Joey", "Ross")[n // 2 % 2],
                ("joy", "anger")[n % 2],
                "neutral",
                0,
                n,
                1,
                1,
            ]
            for n in range(clips)
        ]
        for row in rows:
            write_clip(root / folder / f"dia0_utt{row[0]}.mp4", f"{split}{row[0]}")
        with (root / f"{split}_sent_emo.csv").open("w", newline="") as file:
            csv.writer(file).writerows([columns.split(","), *rows])


def write_iemocap(root: Path) -> None:
    for session in range(1, 6):
        place, name = root / f"Session{session}", f"Ses0{session}F_impro01"
        turns = [("F000", "ang"), ("M000", "sad"), ("F001", "sad"), ("M001", "ang")]
        table = place / f"dialog/EmoEvaluation/{name}.txt"
        table.parent.mkdir(parents=True)
        lines = [
            DIALOGUE.format(0.5 * n, 0.5 * n + 0.5, session, turn, emotion)
            for n, (turn, emotion) in enumerate(turns)
        ]
        table.write_text(
            "% [START_TIME - END_TIME] TURN_NAME EMOTION [V, A, D]\n\n" + "".join(lines)
        )
        write_clip(place / f"dialog/avi/DivX/{name}.avi", seconds=2.0)
        for turn, _ in turns:
            write_voice(place / f"sentences/wav/{name}/{name}_{turn}.wav", seconds=0.5)


def write_miniature(name: str, root: Path) -> None:
    """Clips of two emotions, of subjects in each of the folds."""
    if name in NAMES:
        for path in NAMES[name]():
            write_clip(root / path)
    else:
        {"meld": write_meld, "iemocap": write_iemocap}[name](root)


# Streams that need no weights, in the place of pretrained ones; the last override counts.
QUICK = (
    "features/audio_stream@data.features.audio_stream=logmel model/face_encoder=convnet "
    "data.features.face_stream=null data.features.face.size=32 "
    "data.features.face.detector=none data.features.face.num_frames=2 data.batch_size=2 "
    "data.features.audio.max_duration=0.5 trainer=cpu trainer.max_epochs=1 logger=csv "
    "trainer.enable_progress_bar=false hydra/launcher=basic hydra.sweep.dir=sweep"
)
MINIATURE = {
    "crema_d": "data.protocol.allow_missing=true",
    "ravdess": "data.protocol.allow_missing=true",
}


@pytest.fixture
def train(tmp_path, monkeypatch, in_process):
    """Run train.py in this process and in an empty folder; return how it ended."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVFUSION_DATA", str(tmp_path / "data"))

    def train(line: str) -> object:
        monkeypatch.setattr(sys, "argv", shlex.split(f"train {line}"))
        with hydra_at_rest():
            try:
                runpy.run_path(str(ROOT / "src" / "train.py"), run_name="__main__")
            except SystemExit as end:
                return end.code
        return 0

    return train


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_runs_its_folds_to_a_table_with_intervals(name, train, tmp_path, capsys):
    write_miniature(name, tmp_path / "corpus")
    models = "concat,audio_only" if name == "savee" else "concat"
    given = f"-m experiment={name} data.corpus.root=corpus seed=1 model={models}"
    assert train(f"{given} {QUICK} {MINIATURE.get(name, '')}") == 0
    said = capsys.readouterr().out
    table = (tmp_path / "sweep" / "pooled.md").read_text()
    folds = {"meld": "data.protocol=official", "savee": "4 folds"}.get(name, "5 folds")
    assert folds in said and "majority class" in table and "linear probe: logmel" in table
    with (tmp_path / "sweep" / "pooled.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["of"] == "all clips"]
    assert {row["score"] for row in rows} >= {"UAR", "WAR", "macro F1", "weighted F1"}
    assert all(float(row["low"]) <= float(row["value"]) <= float(row["high"]) for row in rows)
    runs = find_runs(["sweep"])
    assert {run.results["data/corpus"] for run in runs} == {name}
    assert len({run.results["data/store"] for run in runs}) == 1  # it was prepared once


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_an_experiment_says_protocol_figures_encoders_and_time(name):
    text = (CONF / "experiment" / f"{name}.yaml").read_text()
    command, _, rest = text.partition("\n#\n")
    assert f"python src/train.py -m experiment={name} data.corpus.root=<folder>" in command
    protocol = load("train", f"experiment={name}").data.protocol.name
    assert f"# Protocol: {protocol}" in rest
    for word in ("# Published", "# Encoders: ", "# Time on two cores", "On one GPU (estimated)"):
        assert word in rest.replace("\n# On one", " On one")


@pytest.mark.slow
def test_a_network_of_one_modality_reads_the_stream_of_that_alone():
    read = {
        (model, streams): {*find_streams(compose_config(*given).model)}
        for model in ("concat", "audio_only", "face_only")
        for streams in ("whisper_fer", "wavlm_clip", "decoded")
        for given in [("experiment=ravdess", f"model={model}", f"streams={streams}")]
    }
    assert read["concat", "whisper_fer"] == {"whisper", "fer"}
    assert read["audio_only", "whisper_fer"] == {"whisper"}
    assert read["face_only", "whisper_fer"] == {"fer"}
    assert read["audio_only", "wavlm_clip"] == {"wavlm"}
    assert read["concat", "decoded"] == {"mfcc", "frames"}
    assert read["face_only", "decoded"] == {"frames"}
