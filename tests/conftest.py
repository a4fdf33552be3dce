"""Small recordings, a small store, and batches, made here."""

import atexit
import csv
import gc
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from copy import deepcopy
from dataclasses import fields, replace
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

import av
import fork_server
import lightning as L
import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from lightning.pytorch.loggers import TensorBoardLogger
from object_server import ObjectServer, serve_objects
from omegaconf import DictConfig, OmegaConf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from avfusion.checkpoint import Recipe
from avfusion.corpora import CocktailParty, Manifest, cocktail_party
from avfusion.data.batch import Clips
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.index import ClipRecord, write_index
from avfusion.data.splits import Splits, make_plan, split_clips
from avfusion.data.store import INDEX_FILE, STORE_FORMAT, Store
from avfusion.features import AudioFeatures, FaceFeatures, FaceMaps, Features
from avfusion.features.clip import Stream
from avfusion.preparation.executors.local import InProcess, Local
from avfusion.preparation.prepare import prepare
from avfusion.run.configuration import with_description
from avfusion.run.shorthands import expand_shorthands
from avfusion.targets import SingleLabel, Target, choose_target
from avfusion.training.task import FusionTask

ROOT = Path(__file__).parents[1]
CONF = ROOT / "conf"
MODELS = sorted(path.stem for path in (CONF / "model").glob("*.yaml") if path.stem != "base")
QUICK_MODELS = ("lowrank", "mcb", "bottleneck", "audio_only", "face_only", "lenet")
WHOLE_RUNS = {"watched", "hostile_run"}  # fixtures
SHARED = Path(os.environ.get("AVFUSION_SHARED", ROOT.parent / "shared"))

# As many clips as forks render and decode; for more, processes start that import torch.
SMALL_PARTY = "data.corpus.clips={train: 32, val: 17, test: 15}"
SMALL_TEST_ROWS = range(32 + 17, 32 + 17 + 15)

MILLISECOND = Fraction(1, 1000)

# Files of tests run side by side: threads would wait for each other, here and in programs.
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"

# A shell lets what it runs in the background ignore Ctrl-C, and so would programs that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

fork_server.keep_configurations()  # to compose takes 40 ms instead of 190, some thousand times


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip tests of pretrained encoders where the packages that these come from are not there."""
    if item.get_closest_marker("encoders"):
        for package in ("timm", "torchvision"):
            pytest.importorskip(package, reason=f"{package} comes with --group encoder-tests")


def pytest_collection_finish() -> None:
    """Let the collection of garbage leave out what stays: half a second each time."""
    gc.collect()
    gc.freeze()
    atexit.register(gc.unfreeze)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files of long tests go first, so that none of them is the last that everything waits for.

    Of the cases of all models, the quick part has those that differ most, and none of the claims
    about a run that is trained, drawn and tested.
    """
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in long)
    for item in items:
        model = item.callspec.params.get("model") if hasattr(item, "callspec") else None
        other_model = isinstance(model, str) and model in MODELS and model not in QUICK_MODELS
        if other_model or WHOLE_RUNS.intersection(getattr(item, "fixturenames", ())):
            item.add_marker("slow")


def load(config: str, *overrides: str) -> DictConfig:
    """Compose a configuration as the command line would."""
    return deepcopy(_load(config, *overrides))


@cache
def _load(config: str, *overrides: str) -> DictConfig:
    # Composing takes 40 ms, a copy 6: every model is built in some twenty tests.
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(config, overrides=expand_shorthands(overrides))


@contextmanager
def hydra_at_rest() -> Iterator[None]:
    """Take back what a program that is run in this process does to Hydra and to logging."""
    handlers, level = list(logging.root.handlers), logging.root.level
    try:
        yield
    finally:
        HydraConfig.instance().cfg = None
        for handler in set(logging.root.handlers) - set(handlers):
            handler.close()
        logging.root.handlers = handlers  # a closed one would open its file again
        logging.root.setLevel(level)


def toy_description(classes: int = 3, features: int = 75) -> dict:
    """What a store would say of itself, with normalisation that does nothing."""
    return {
        "output_names": [f"class_{number}" for number in range(classes)],
        "class_counts": [10] * classes,
        "labels": "single_label",
        "outputs": classes,
        "clips": {"train": 10 * classes, "val": classes, "test": classes},
        "boxes": True,
        "leaks": {},
        "streams": {
            "frames": toy_stream("face", "pictures", (1, 32, 32, 3), 3),
            "mfcc": toy_stream("audio", "sequence", (12, features), features),
            "face_map": toy_stream("face", "maps", (1, 3, 32, 32), 0),
        },
    }


def toy_stream(modality: str, kind: str, shape: tuple[int, ...], features: int) -> dict:
    """What a store would say of a stream whose features need no normalisation."""
    mean, std = (0.0,) * features, (1.0,) * features
    return Stream(modality, kind, shape, "float32", mean=mean, std=std).plain()


def toy_clips(batch: int = 4, frames: int = 12, size: int = 32, pictures: int = 1) -> Clips:
    """A batch of noise with boxes, as it reaches a network; its pictures are its face maps, too."""
    lengths = torch.randint(3, frames + 1, (batch,))
    audio = torch.randn(batch, frames, 75)
    audio[torch.arange(frames) >= lengths[:, None]] = 0
    face = torch.rand(batch, pictures, 3, size, size)
    return Clips(
        streams={"frames": face, "mfcc": audio, "face_map": face},
        lengths={"mfcc": lengths},
        has_face=torch.ones(batch, dtype=torch.bool),
        has_audio=torch.ones(batch, dtype=torch.bool),
        label=torch.arange(batch) % 3,
        box=torch.tensor([[0.1, 0.1, 0.6, 0.6]]).repeat(batch, 1),
        row=torch.arange(batch),
    )


def doubled(clips: Clips) -> Clips:
    """Clips with their streams in double precision."""
    return clips._replace(streams={name: part.double() for name, part in clips.streams.items()})


def single_label(*output_names: str) -> SingleLabel:
    """The target of clips that have one of these classes."""
    return SingleLabel({"output_names": output_names})


def encoded_labels(target: Target, numbers: Iterable[int]) -> torch.Tensor:
    """An encoded label for each number: the class with that place or, of numbers, halves."""
    if target.number_names:
        halves = [[number / 2 - place for place in range(target.outputs)] for number in numbers]
        return torch.tensor(halves)
    return torch.from_numpy(target.encode([target.output_names[number] for number in numbers]))


def build_task(cfg: DictConfig, description: dict, recorded: bool = False) -> FusionTask:
    """Build the task of a configuration for what data say of themselves, and record its recipe."""
    target = choose_target(description)
    cfg = with_description(cfg, description | {"outputs": target.outputs})
    recipe = Recipe(**recipe_of(cfg)) if recorded else None
    return instantiate(cfg.model, _convert_="all", _partial_=True)(target=target, recipe=recipe)


def recipe_of(cfg: DictConfig, *more: str) -> dict:
    """What a checkpoint of single-label data says of how to rebuild its task."""
    parts = ("model", "data", "description", *more)
    recipe = {part: OmegaConf.to_container(cfg, resolve=False)[part] for part in parts}
    recipe |= {part: OmegaConf.to_container(cfg[part], resolve=True) for part in parts[:3]}
    recipe["model"] |= {"optimizer": None, "scheduler": None}
    recipe["target"] = {"_target_": "avfusion.targets.SingleLabel", "_partial_": True}
    return recipe | {"seed": cfg.seed}


def build(
    model: str,
    *overrides: str,
    classes: int = 3,
    labels: str = "single_label",
    narrow: bool = False,
) -> FusionTask:
    """Build a model as training would, for data that say of themselves what a toy says.

    Half of what that takes are the weights of an LSTM; where it has one, it may be ``narrow``.
    """
    cfg, target = _configure(model, *overrides, classes=classes, labels=labels, narrow=narrow)
    return instantiate(cfg.model, _convert_="all", _partial_=True)(target=target, recipe=None)


@cache
def _configure(
    model: str, *overrides: str, classes: int, labels: str, narrow: bool
) -> tuple[DictConfig, Target]:
    # A third of what building takes: to instantiate leaves both as they are.
    description = toy_description(classes) | {"labels": labels}
    target = choose_target(description)
    cfg = load("train", f"model={model}", *overrides)
    if narrow and "hidden_dim" in (cfg.model.network.get("audio_encoder") or {}):
        cfg.model.network.audio_encoder.hidden_dim = 32
    return with_description(cfg, description | {"outputs": target.outputs}), target


def build_for(data: FaceAudioDataModule, model: str, *overrides: str) -> FusionTask:
    """Build a model for the data of a store."""
    cfg = load("train", f"model={model}", *overrides)
    return build_task(cfg, data.description)


def save_run(
    folder: Path, model: str, *overrides: str, maps: tuple[dict, dict] | None = None
) -> FusionTask:
    """Write the checkpoint of an untrained network, with what ``maps`` it would have been given."""
    cfg = load("train", f"model={model}", *overrides)
    description = toy_description()
    if maps is not None:
        description["streams"]["face_map"] |= maps[0]
    task = build_task(cfg, description, recorded=True)
    checkpoint = {"state_dict": task.state_dict(), "recipe": task.recipe.plain()}
    (folder / "checkpoints").mkdir(parents=True)
    encoders = {} if maps is None else {"encoders": {"face_map": maps[1]}}
    checkpoint["FaceAudioDataModule"] = encoders
    torch.save(checkpoint, folder / "checkpoints" / "best.ckpt")
    return task


def save_teacher(folder, store, model="lowrank", *overrides):
    """Write the checkpoint of an untrained network for a store."""
    data = FaceAudioDataModule(str(store))
    cfg = load("train", f"model={model}", "data=store", f"data.store={store}", *overrides)
    task = build_task(cfg, data.description, recorded=True)
    recipe = task.recipe.plain() | {"trained_on": {"subjects": "", "recordings": ""}}
    (folder / "checkpoints").mkdir(parents=True)
    checkpoint = {"state_dict": task.state_dict(), "recipe": recipe, "FaceAudioDataModule": {}}
    torch.save(checkpoint, folder / "checkpoints" / "best.ckpt")
    return task


def quiet_trainer(**options) -> L.Trainer:
    """A trainer on the CPU that writes nothing."""
    quiet = dict.fromkeys(
        ("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False
    )
    return L.Trainer(accelerator="cpu", devices=1, **quiet | options)


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Let every test draw the same numbers, whatever ran before it."""
    torch.manual_seed(0)


@pytest.hookimpl(tryfirst=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef) -> None:
    """Let what several tests share draw the same numbers, too: it comes before ``seeded``."""
    if fixturedef.scope != "function":
        torch.manual_seed(0)


@pytest.fixture
def shared_by_files() -> Iterator[None]:
    """A process of many tests has threads, and forked workers that hand on descriptors may hang."""
    before = torch.multiprocessing.get_sharing_strategy()
    torch.multiprocessing.set_sharing_strategy("file_system")
    yield
    torch.multiprocessing.set_sharing_strategy(before)


def tone(seconds: float, rate: int = 16_000, pitch: float = 220.0) -> np.ndarray:
    """A tone with two harmonics, in [-1, 1]."""
    time = np.arange(round(seconds * rate)) / rate
    return sum(np.sin(2 * np.pi * k * pitch * time) / (3 * k) for k in (1, 2, 3))


def write_sound(path: Path, wave: np.ndarray, rate: int = 16_000, codec: str | None = None) -> Path:
    """Write sound, ``[samples]`` or ``[channels, samples]``, in the format of the file's name."""
    channels = np.atleast_2d(wave)
    layout = "mono" if len(channels) == 1 else "stereo"
    codecs = {".wav": "pcm_s16le", ".flac": "flac", ".mp3": "libmp3lame", ".m4a": "aac"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec or codecs[path.suffix], rate=rate, layout=layout)
        samples = np.ascontiguousarray(channels.T.reshape(1, -1) * 32767, dtype=np.float64)
        frame = av.AudioFrame.from_ndarray(samples.astype(np.int16), format="s16", layout=layout)
        frame.rate, frame.pts = rate, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            container.mux(packet)
    return path


def write_picture(
    path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (48, 40)
) -> Path:
    """Write a picture of one colour with a dark spot; ``size`` is width and height."""
    picture = Image.new("RGB", size, colour)
    picture.paste((10, 10, 10), (4, 4, 12, 12))
    picture.save(path)
    return path


def write_video(
    path: Path,
    pictures: list[np.ndarray],
    times: list[float],
    wave: np.ndarray | None = None,
    sound_start: float = 0.0,
    pixels: str = "yuv420p",
) -> Path:
    """Write pictures, each shown from its time in seconds on, and a sound at 16 kHz."""
    height, width, _ = pictures[0].shape
    old = path.suffix == ".mpg"  # which knows no times but those of its rate
    codecs = ("mpeg1video", "mp2") if old else ("libx264", "aac")
    with av.open(str(path), "w") as container:
        video = container.add_stream(codecs[0], rate=25)
        video.width, video.height, video.pix_fmt = width, height, pixels
        if not old:
            video.time_base = video.codec_context.time_base = MILLISECOND
        frames = [av.VideoFrame.from_ndarray(picture, format="rgb24") for picture in pictures]
        for frame, time in zip(frames, times, strict=True):
            frame.pts, frame.time_base = round(time * 1000), MILLISECOND
        streams = [(video, frames)]
        if wave is not None:
            sound = container.add_stream(codecs[1], rate=16_000, layout="mono")
            samples = (wave[None] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
            frame.rate, frame.pts = 16_000, round(sound_start * 16_000)
            streams.append((sound, [frame]))
        for stream, frames in streams:
            for frame in [*frames, None]:
                container.mux(stream.encode(frame))
    return path


def write_manifest(root: Path, rows: list[dict[str, str]]) -> Path:
    """Write a manifest.csv with the columns of its rows."""
    path = root / "manifest.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_recordings(root: Path, subjects: int = 6, each: int = 4) -> Path:
    """Write pictures and sounds whose colour and pitch tell two labels apart, and a manifest."""
    rows = []
    root.mkdir(exist_ok=True)
    for subject in range(subjects):
        split = ("train", "train", "train", "train", "val", "test")[subject % 6]
        for take in range(each):
            label, clip_id = ("low", "high")[take % 2], f"s{subject}_{take}"
            pitch = (150 if label == "low" else 400) + subject
            wave = tone(0.8 + 0.3 * take, pitch=pitch)
            write_sound(root / f"{clip_id}.wav", wave)
            tint = 60 + 4 * subject + take  # no two pictures are the same
            colour = (200, 60, tint) if label == "low" else (60, tint, 200)
            write_picture(root / f"{clip_id}.png", colour)
            row = {
                "clip_id": clip_id,
                "image_path": f"{clip_id}.png",
                "audio_path": f"{clip_id}.wav",
            }
            rows.append(row | {"label": label, "subject": f"s{subject}", "split": split})
    write_manifest(root, rows)
    return root


def one_process(function, jobs, sizes, title, workers=None):
    """Do what ``run_parallel`` does without starting processes."""
    return enumerate(map(function, jobs))


@pytest.fixture
def in_process(monkeypatch) -> None:
    """Render and prepare in this process: it saves the seconds that another takes to start."""
    monkeypatch.setattr(cocktail_party, "run_parallel", one_process)
    monkeypatch.setattr(Local, "run", InProcess.run)


@pytest.fixture(scope="session")
def recordings(tmp_path_factory) -> Path:
    """A folder of 24 clips of six subjects, with a manifest."""
    return write_recordings(tmp_path_factory.mktemp("recordings"))


def clip_record(clip_id: str = "a", **known: Any) -> ClipRecord:
    """A record of half a second of sound, of which nothing else is known but ``known``."""
    unknown = {field.name: None for field in fields(ClipRecord)} | {"numbers": (), "attributes": ()}
    empty = {"label": "", "subject": "", "session": "", "split": "train", "note": ""}
    empty |= {"seconds": 0.5}
    numbers = {"shard": 0, "place": 0, "samples": 8000, "frames": 15, "pictures": 0}
    flags = {"has_face": False, "has_audio": True}
    return ClipRecord(**unknown | empty | numbers | flags | known | {"clip_id": clip_id})


def indexed(root: Path, records: Iterable[ClipRecord], **description: Any) -> Store:
    """A store of these records and nothing else, which says of itself what is given."""
    root.mkdir(parents=True, exist_ok=True)
    known = {"output_names": ["a", "b"], "labels": "single_label", "leaks": {}, "allowed_leaks": []}
    records = list(records)
    attributes = sorted({name for record in records for name, _ in record.attributes})
    numbers = choose_target(known | description).number_names
    write_index(root / INDEX_FILE, records, numbers, attributes)
    streams = {
        "frames": Stream("face", "pictures", (1, 32, 32, 3), "uint8"),
        "mfcc": Stream("audio", "sequence", (15, 75), "float32", lengths="frames"),
    }
    known["streams"] = {name: stream.plain() for name, stream in streams.items()}
    (root / "report.csv").write_text("clip_id,outcome\n")
    (root / "description.json").write_text(
        json.dumps(known | description | {"format": STORE_FORMAT})
    )
    return Store(root)


def split_by(
    store: Store,
    splits: Any = None,
    fold: int | str | None = None,
    seed: int = 0,
    by_subject: bool = True,
) -> Splits:
    """The splits of a store by what the command line says of them."""
    return split_clips(make_plan(splits, fold, seed, by_subject), store)


def write_several(recordings: Path, folder: Path) -> Path:
    """Write a CSV of those recordings that says of half of them that they are late, too."""
    with (recordings / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        for media in ("image_path", "audio_path"):
            row[media] = str(recordings / row[media])
        if row["clip_id"][-1] in "23":
            row["label"] = f"late | {row['label']}"
    folder.mkdir(exist_ok=True)
    return write_manifest(folder, rows)


@pytest.fixture(scope="session")
def small_features() -> Features:
    """Features that are quick to compute: 32 pixels, half a second."""
    return Features(FaceFeatures(size=32), AudioFeatures(duration=0.6))


@pytest.fixture(scope="session")
def long_features() -> Features:
    """Features that hold most of those recordings whole, so that their lengths differ."""
    return Features(FaceFeatures(size=32), AudioFeatures(duration=1.5))


@pytest.fixture(scope="session")
def recordings_store(recordings, long_features, tmp_path_factory) -> Path:
    """The store of those recordings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Local, "run", InProcess.run)
        return prepare(Manifest(str(recordings)), long_features, tmp_path_factory.mktemp("stores"))


@pytest.fixture(scope="session")
def mapped_store(recordings, long_features, tmp_path_factory) -> Path:
    """The store of those recordings with face maps, by an encoder that has learned nothing."""
    recipe = OmegaConf.load(CONF / "features" / "face_maps" / "convnet.yaml").encoder
    features = replace(long_features, face_maps=FaceMaps(encoder=OmegaConf.to_container(recipe)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Local, "run", InProcess.run)
        return prepare(Manifest(str(recordings)), features, tmp_path_factory.mktemp("stores"))


@pytest.fixture(scope="session")
def several_store(recordings, small_features, tmp_path_factory) -> Path:
    """The store of those recordings with several classes: high, low and, of both, late."""
    table = write_several(recordings, tmp_path_factory.mktemp("several"))
    allowed = {"allow_two_labels_for_one_recording": True}  # cut short, tones are the same
    corpus = Manifest(str(table), media_root=str(recordings), **allowed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Local, "run", InProcess.run)
        return prepare(corpus, small_features, tmp_path_factory.mktemp("stores"))


def write_numbers(recordings: Path, folder: Path) -> Path:
    """Write a CSV of those recordings with a pitch for each and a tint for all but two of four."""
    with (recordings / "manifest.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for place, row in enumerate(rows):
        low, take = row.pop("label") == "low", int(row["clip_id"][-1])
        row["target.pitch"] = str((-0.75 if low else 0.5) + place / 100)
        row["target.tint"] = "" if take in (1, 2) else str(3 + take)
        for media in ("image_path", "audio_path"):
            row[media] = str(recordings / row[media])
    folder.mkdir(exist_ok=True)
    return write_manifest(folder, rows)


@pytest.fixture(scope="session")
def number_store(recordings, small_features, tmp_path_factory) -> Path:
    """The store of those recordings with numbers: a pitch and, of half of them, a tint."""
    table = write_numbers(recordings, tmp_path_factory.mktemp("numbers"))
    allowed = {"allow_two_labels_for_one_recording": True}  # cut short, tones are the same
    corpus = Manifest(str(table), media_root=str(recordings), **allowed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Local, "run", InProcess.run)
        return prepare(corpus, small_features, tmp_path_factory.mktemp("stores"))


@pytest.fixture(scope="session")
def party(tmp_path_factory) -> CocktailParty:
    """The embedded corpus, small and rendered."""
    clips = {"train": 24, "val": 8, "test": 12}
    corpus = CocktailParty(str(tmp_path_factory.mktemp("party")), clips)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cocktail_party, "run_parallel", one_process)
        corpus.read()
    return corpus


@pytest.fixture(scope="session")
def party_store(party, small_features, tmp_path_factory) -> Path:
    """The store of the small embedded corpus."""
    return prepare(party, small_features, tmp_path_factory.mktemp("stores"), workers=1)


@pytest.fixture(scope="session")
def watched(party_store, tmp_path_factory) -> Path:
    """The folder of a run of three epochs, drawn in the second and the last, then tested."""
    folder = tmp_path_factory.mktemp("watched")
    data = FaceAudioDataModule(str(party_store), batch_size=8)
    two = "callbacks.clip_images.clips_per_class=2"
    callbacks = instantiate(load("train", "callbacks=dashboard", two).callbacks)
    for callback in callbacks.values():
        if hasattr(callback, "every_n_epochs"):
            callback.every_n_epochs = 2
    logger = TensorBoardLogger(folder, name="", version="", default_hp_metric=False)
    (folder / "config.yaml").write_text("seed: 0\nname: <b>\n")
    trainer = quiet_trainer(
        max_epochs=3,
        logger=logger,
        callbacks=list(callbacks.values()),
        log_every_n_steps=2,
        default_root_dir=folder,
    )
    task = build_for(data, "lowrank")
    trainer.fit(task, datamodule=data)
    trainer.test(task, datamodule=data, verbose=False)
    return folder


@pytest.fixture(scope="session")
def server() -> Iterator[ObjectServer]:
    """An S3 server on loopback, and its clients in this process and in programs it starts."""
    with serve_objects() as started:
        yield started


@pytest.fixture(scope="session")
def run(tmp_path_factory):
    """Run an entry point with data of its own; return the process that has ended.

    It is forked from one that has imported what it needs, as are the processes of ``torchrun`` with
    its options, or started by a shell command.
    """
    data = tmp_path_factory.mktemp("data")

    def run(
        script: str,
        *overrides: str,
        fails: bool = False,
        torchrun: str | None = None,
        shell: str | None = None,
    ) -> subprocess.CompletedProcess:
        environment = {"AVFUSION_DATA": str(data), "PYTHONPATH": "tests", "CI": "true"}
        launcher = ["-m", "torch.distributed.run", *torchrun.split()] if torchrun else []
        command = [sys.executable, *launcher, f"src/{script}.py", *overrides]
        command = ["bash", "-c", shell, *command] if shell else command
        process = fork_server.Popen(
            command,
            cwd=ROOT,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            told, errors = process.communicate()
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # what outlived it
        assert (process.returncode != 0) == fails, told[-3000:] + errors[-3000:]
        return subprocess.CompletedProcess(command, process.returncode, told, errors)

    run.data = data
    return run


def events_of(folder: Path) -> EventAccumulator:
    """All that a run wrote for TensorBoard."""
    everything = {"images": 0, "audio": 0, "tensors": 0, "scalars": 0, "histograms": 0}
    return EventAccumulator(str(folder), size_guidance=everything).Reload()


def results(folder: Path) -> dict:
    return json.loads((folder / "results.json").read_text())
