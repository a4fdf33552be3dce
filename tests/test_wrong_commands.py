"""Wrong command lines end with one sentence, before any work."""

import json
import runpy
import shlex
import shutil
import sys
from pathlib import Path
from string import Template

import lightning as L
import pytest
import torch
from conftest import (
    ROOT,
    build_task,
    hydra_at_rest,
    load,
    tone,
    write_sound,
)
from hydra._internal.hydra import Hydra
from wrong_commands import CHEAP, OURS, THEIRS, TYPED

from avfusion.corpora import cocktail_party
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.store import read_description
from avfusion.preparation.executors.local import InProcess, Local

OTHER_MAPS = {"encoder": {"_target_": "other"}, "weights": "hub", "sha256": "0"}
HYDRA = {"multirun.yaml"}  # written before a program begins, as are its logs and .hydra


def write_checkpoints(folder: Path, store: Path, *overrides: str) -> Path:
    """Write what a training on a store leaves, untrained."""
    cfg = load("train", "data=store", f"data.store={store}", "data.batch_size=8", *overrides)
    task = build_task(cfg, FaceAudioDataModule(str(store)).description, recorded=True)
    (folder / "checkpoints").mkdir(parents=True)
    for name in ("best", "last"):
        checkpoint = {"state_dict": task.state_dict(), "recipe": task.recipe.plain()}
        torch.save(checkpoint, folder / "checkpoints" / f"{name}.ckpt")
    return folder


def copied(store: Path, to: Path, **changes: object) -> Path:
    """Copy a store that says something else of itself."""
    shutil.copytree(store, to)
    changed = json.dumps(read_description(store) | changes)
    (to / "description.json").write_text(changed)
    return to


@pytest.fixture(scope="module")
def places(
    party_store, recordings_store, mapped_store, several_store, recordings, tmp_path_factory
) -> dict[str, Path]:
    """The places that command lines name."""
    root = tmp_path_factory.mktemp("places")
    found = {
        name: root / name for name in ("empty", "text", "foreign", "nowhere", "sweep", "begun")
    }
    found["empty"].mkdir()
    found["text"].write_text("hello")
    torch.save({"state_dict": {}}, found["foreign"])
    (found["sweep"] / "0").mkdir(parents=True)
    (found["sweep"] / "0" / "job.json").write_text('{"overrides": [], "exit_code": 0}')
    (found["sweep"] / "0" / "results.json").write_text('{"test/accuracy": 0.5}')
    found["begun"].mkdir()
    (found["begun"] / "config.yaml").write_text("seed: 0\n")
    (root / "twice.csv").write_text(
        "clip_id,label,subject,split,image_path\n1,a|b|a,s,train,text\n"
    )
    remapped = shutil.copytree(mapped_store, root / "remapped")
    described = json.loads((remapped / "face_map" / "stream.json").read_text())
    described["stream"] |= OTHER_MAPS
    (remapped / "face_map" / "stream.json").write_text(json.dumps(described))
    broken = copied(party_store, root / "broken")
    (broken / "description.json").write_text('{"format": ')
    return found | {
        "store": party_store,
        "other": recordings_store,
        "mapped": mapped_store,
        "remapped": remapped,
        "seer": write_checkpoints(root / "seer", mapped_store, "model/face_encoder=precomputed"),
        "several": several_store,
        "recordings": recordings,
        "run": write_checkpoints(root / "run", party_store),
        "listener": write_checkpoints(root / "listener", party_store, "model=audio_only"),
        "old": copied(party_store, root / "old", format=1),
        "broken": broken,
        "twice": root / "twice.csv",
        "sound": write_sound(root / "sound.wav", tone(1.0)),
    }


@pytest.fixture(autouse=True)
def at_rest(monkeypatch, tmp_path):
    """Start in an empty folder, let no work begin, and take back what Hydra does to logging."""

    def begin(*arguments, **options):
        pytest.fail("Work has begun.")

    # Private: composes all once more, to learn whether this is a sweep; the flags say so, too.
    monkeypatch.setattr(Hydra, "get_mode", lambda *_, **__: None)
    for owner, name in [
        *[(L.Trainer, name) for name in ("fit", "test", "predict")],
        (cocktail_party, "run_parallel"),
        *[(executor, "run") for executor in (Local, InProcess)],
    ]:
        monkeypatch.setattr(owner, name, begin)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AVFUSION_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("HYDRA_FULL_ERROR", raising=False)
    with hydra_at_rest():
        yield


def filled(text: str, places: dict[str, Path]) -> str:
    """Put the places into a line."""
    return Template(text).substitute(places)


def ended(line: str, monkeypatch, capsys) -> tuple[object, str]:
    """Run a program in this process; return its exit code and what it wrote to stderr."""
    monkeypatch.setattr(sys, "argv", shlex.split(line))
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "src" / f"{sys.argv[0]}.py"), run_name="__main__")
    said, code = capsys.readouterr().err, end.value.code
    return (1, f"{said}{code}\n") if isinstance(code, str) else (code, said)


def says(text: str, expected: str) -> bool:
    """Say whether a text holds the parts of another, in their order."""
    place = 0
    for part in expected.split(" ... "):
        place = text.find(part, place)
        if place < 0:
            return False
        place += len(part)
    return True


def sentences(stderr: str) -> list[str]:
    """Return the lines that say what was wrong."""
    return [line for line in stderr.splitlines() if line.startswith("Error: ")]


def begun(folder: Path) -> list[Path]:
    """Return the files in a folder that are not what Hydra writes before a program begins."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [
        p for p in files if p.parent.name != ".hydra" and p.name not in HYDRA and p.suffix != ".log"
    ]


@pytest.mark.parametrize(("line", "sentence"), OURS, ids=[line for line, _ in OURS])
@pytest.mark.slow
def test_a_wrong_command_is_answered_by_one_sentence_before_any_work(
    line, sentence, places, monkeypatch, capsys, tmp_path
):
    code, stderr = ended(filled(line, places), monkeypatch, capsys)
    (said,) = sentences(stderr)
    assert code not in (0, None) and "Traceback" not in stderr
    assert says(said, filled(sentence, places)), said
    assert begun(tmp_path) == []


@pytest.mark.parametrize(("line", "sentence"), CHEAP, ids=[line for line, _ in CHEAP])
def test_what_is_wrong_with_a_command_itself_is_the_only_thing_said(
    line, sentence, places, monkeypatch, capsys, tmp_path
):
    code, stderr = ended(filled(line, places), monkeypatch, capsys)
    (said,) = stderr.splitlines()
    assert code == 1 and said.startswith("Error: ")
    assert says(said, filled(sentence, places)), said
    assert begun(tmp_path) == []


@pytest.mark.parametrize(("line", "words"), THEIRS, ids=[line for line, _ in THEIRS])
def test_a_command_that_does_not_compose_is_answered_by_who_reads_it(
    line, words, places, monkeypatch, capsys, tmp_path
):
    code, stderr = ended(filled(line, places), monkeypatch, capsys)
    assert code not in (0, None) and "Traceback" not in stderr
    assert says(" ".join(stderr.split()), words), stderr
    assert begun(tmp_path) == []


@pytest.mark.slow
@pytest.mark.parametrize(("line", "sentence"), TYPED, ids=[line for line, _ in TYPED])
def test_a_wrong_command_as_it_is_typed_is_answered_alike(line, sentence, places, run, tmp_path):
    program, *overrides = shlex.split(filled(line, places))
    folder = [] if program == "summarize" else [f"hydra.run.dir={tmp_path}"]
    before = sorted(run.data.rglob("*"))
    process = run(program, *overrides, *folder, fails=True)
    (said,) = sentences(process.stderr)
    assert says(said, filled(sentence, places)) and "Traceback" not in process.stderr
    assert begun(tmp_path) == [] and sorted(run.data.rglob("*")) == before


def test_the_traceback_is_shown_where_it_is_asked_for(monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    monkeypatch.setattr(sys, "argv", ["train", "data.batch_size=many"])
    with pytest.raises(ValueError, match=r"data\.batch_size must be a whole number"):
        runpy.run_path(str(ROOT / "src" / "train.py"), run_name="__main__")
