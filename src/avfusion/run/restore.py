"""Task and data restored from a checkpoint alone."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from avfusion.checkpoint import (
    Recipe,
    check_parameters,
    find_checkpoint,
    get_stream_encoders,
    read_checkpoint,
)
from avfusion.corpora.unlabeled import UnlabeledRecordings, find_recordings
from avfusion.data.checks import check_modalities, check_streams, find_removed
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.splits import Splits
from avfusion.data.store import find_description
from avfusion.data.train_test_overlap import check_overlap
from avfusion.features import Features, build_prediction_features
from avfusion.features.clip import Stream
from avfusion.features.identity import check_classes
from avfusion.features.recorded import RecordedEncoder
from avfusion.files import data_folder
from avfusion.preparation.prepare import prepare
from avfusion.run.configuration import output_folder, to_plain
from avfusion.run.make import make_data, make_task
from avfusion.run.streams import find_streams
from avfusion.training.task import FusionTask

# Arguments of the data module that decide its splits.
SPLIT_ARGUMENTS = {
    "splits",
    "protocol",
    "validation",
    "fold",
    "split_seed",
    "allow_subject_overlap",
    "allow_same_sound_in_two_splits",
    "allow_same_picture_in_two_splits",
    "allow_same_take_in_two_splits",
    "allow_untrained_classes",
}


class Restored(NamedTuple):
    """The task of a checkpoint, data for it, and what of the data it was trained on, by kind."""

    task: FusionTask
    data: FaceAudioDataModule
    overlap: Mapping[str, list[str]]


def restore(cfg: DictConfig, trainer: L.Trainer) -> Restored:
    """Restore the task of a checkpoint, with its own data or the configured data.

    Raises:
        FileNotFoundError: There is no such checkpoint.
        ValueError: The data does not fit the checkpoint, or it was trained on it.
    """
    if trainer.world_size > 1:
        raise ValueError(
            f"{trainer.world_size} processes would each get a part of the clips: set "
            "trainer.devices=1."
        )

    file = find_checkpoint(cfg.ckpt_path, "best")
    checkpoint = read_checkpoint(file)
    recipe = checkpoint["recipe"]
    if cfg.get("input") is not None:
        check_classes(recipe["description"]["features"])
    streams = find_streams(recipe["model"])
    described = recipe["description"]["streams"]
    modalities = {described[name]["modality"] for name in streams}
    check_modalities(find_removed(cfg.modalities), sorted(modalities))  # before recordings are read
    point_to_weights(cfg, recipe)
    task = restore_task(file, checkpoint)

    locations = to_plain(cfg.encoders) if cfg.get("encoders") else {}
    states = get_stream_encoders(checkpoint)
    encoders = find_encoders(recipe["description"], streams, states, locations)
    device = str(trainer.strategy.root_device)
    settings = _configure_data(cfg, recipe, encoders, device, file)
    settings |= {"target": None, "eval_split": cfg.split, "augmentation": None}
    if cfg.batch_size is not None:
        settings["batch_size"] = cfg.batch_size
    settings |= choose_splits(cfg, settings, recipe)
    settings |= _find_allowed_leaks(cfg)
    if cfg.modalities is not None:
        settings["modalities"] = cfg.modalities
    data = make_data(
        settings, recipe["model"], target=lambda description: task.target, device=device
    )
    check_same_features(file, data, recipe["description"])
    if cfg.get("input") is not None:
        return Restored(task, data, {})

    check_same_splits(file, cfg, recipe, data.splits)
    allowed = list_allowed_overlap(cfg)
    overlap = check_overlap(file, recipe, data.store, data.splits, [cfg.split], allowed)
    return Restored(task, data, overlap)


def find_encoders(
    description: Mapping[str, Any],
    streams: Sequence[str],
    states: Mapping[str, Mapping[str, Tensor]],
    locations: Mapping[str, Any] | None = None,
) -> dict[str, RecordedEncoder]:
    """Find the encoders of those streams of a description that are computed.

    ``states`` are the weights that have travelled with a checkpoint, ``locations`` say where others
    lie.
    """
    return {
        name: RecordedEncoder(
            name, Stream.from_plain(described), states.get(name), (locations or {}).get(name)
        )
        for name, described in description["streams"].items()
        if name in streams and described["encoder"]
    }


def build_recording_features(
    description: Mapping[str, Any],
    streams: Sequence[str],
    encoders: Mapping[str, RecordedEncoder],
    face: Mapping[str, Any] | None = None,
) -> Features:
    """Features of recordings for a network that reads these streams.

    Raises:
        ValueError: It reads a stream that nothing computes of recordings.
    """
    features = build_prediction_features(description["features"], face, encoders)
    for name in streams:
        if name not in features.names and description["streams"][name]["encoder"] is None:
            raise ValueError(
                f"The network reads {name}, precomputed features of the corpus, which recordings "
                "do not have: predict the clips of a store that has them, with "
                "data=store data.store=<store>."
            )
    check_streams(streams, features.names, "What recordings become")
    return features


def point_to_weights(cfg: DictConfig, recipe: dict[str, Any]) -> None:
    """Let an encoder that learned along find its frozen weights where ``encoders`` says."""
    encoder = recipe["model"]["network"].get("audio_encoder") or {}
    locations = to_plain(cfg.encoders) if cfg.get("encoders") else {}
    if encoder.get("sha256") and encoder.get("stream") in locations:
        encoder |= locations[encoder["stream"]]


def restore_task(file: Path, checkpoint: dict[str, Any]) -> FusionTask:
    """Restore the task of a checkpoint that was read from a file, with its weights."""
    task = build_from_recipe(checkpoint["recipe"])
    check_parameters(file, checkpoint, task)
    task.load_state_dict(checkpoint["state_dict"])
    return task


def build_from_recipe(recipe: dict[str, Any]) -> FusionTask:
    """Build the task of a recipe, with new weights."""
    target = instantiate(recipe["target"], _convert_="all")(recipe["description"])
    return make_task(recipe["model"], target, Recipe(**recipe))


def list_allowed_overlap(cfg: DictConfig) -> list[str]:
    """Kinds of overlap between training and test that the configuration allows."""
    kinds = ("subjects_seen_in_training", "recordings_seen_in_training")
    return [kind for kind in kinds if cfg.get(f"allow_{kind}")]


def check_same_features(
    file: Path,
    data: FaceAudioDataModule,
    description: dict[str, Any],
    streams: Sequence[str] | None = None,
) -> None:
    """Refuse data of other features than those that a checkpoint was trained on.

    ``streams`` are those that its network reads, by default all that the data has.
    """
    read = streams or data.streams
    ours, theirs = (_comparable_settings(each, read) for each in (data.description, description))
    if ours != theirs:
        raise ValueError(
            f"The store in {data.path} holds other features than {file} was trained on ({ours} "
            f"instead of {theirs}): prepare the corpus with those."
        )


def choose_splits(
    cfg: DictConfig, settings: dict[str, Any], recipe: dict[str, Any]
) -> dict[str, Any]:
    """Choose the given split plan or, in the store of the training, that of the training."""
    if cfg.get("input") is not None:
        return {}

    plan: dict[str, Any] = {}
    chosen = any(settings.get(key) is not None for key in ("splits", "protocol"))
    if _has_other_data(cfg) and not chosen:
        store = find_description(settings["store"], instantiate(settings.get("cache")))
        if store and store["checksums"] == recipe["description"].get("checksums"):
            plan = {key: value for key, value in recipe["data"].items() if key in SPLIT_ARGUMENTS}
            plan |= {} if settings.get("fold") is None else {"fold": settings["fold"]}

    if cfg.splits is not None:
        plan |= {
            "splits": to_plain(OmegaConf.create({"splits": cfg.splits}))["splits"],
            "fold": None,
        }
        given = {key for key in ("protocol", "validation") if plan.get(key) or settings.get(key)}
        plan |= dict.fromkeys(given)
    if cfg.fold is not None:
        plan["fold"] = cfg.fold
    return plan


def _has_other_data(cfg: DictConfig) -> bool:
    """Whether data were chosen; of those of the training, ``data`` allows leaks alone."""
    return "_target_" in cfg.get("data", {})


def _find_allowed_leaks(cfg: DictConfig) -> dict[str, bool]:
    """Find the leaks that are allowed, beside those that the training has allowed."""
    data = cfg.get("data", {})
    return {key: True for key in data if key.startswith("allow_") and data[key] is True}


def check_same_splits(file: Path, cfg: DictConfig, recipe: dict[str, Any], splits: Splits) -> None:
    """Refuse a table of folds that was changed since the training of a checkpoint."""
    unchanged = not _has_other_data(cfg) and cfg.splits is None and cfg.fold is None
    before = recipe["description"].get("splits", splits.record)
    if unchanged and splits.record != before:
        raise ValueError(
            f"{splits.spelled} is not what it was when {file} was trained: restore "
            "the table, or give the plan to test by (splits=..., fold=...)."
        )


def _comparable_settings(description: dict[str, Any], streams: Sequence[str]) -> dict[str, Any]:
    """Select the settings that streams depend on: not policies, not paths."""
    settings = {
        name: part
        for name, part in description["features"].items()
        if name not in ("policies", "face_maps")
    }
    settings["face"] = settings["face"] | {"model": None}
    read = {name: description["streams"][name] for name in streams}
    settings["streams"] = {
        name: {"shape": _fixed_axes(stream)} | {key: stream[key] for key in ("encoder", "sha256")}
        for name, stream in read.items()
    }
    return settings


def _fixed_axes(stream: dict[str, Any]) -> list[int]:
    """Shape of an item, without the steps of a sequence whose number the clips of a store set."""
    is_free = stream["kind"] == "sequence" and stream.get("lengths") is None
    return [*stream["shape"][:-2], stream["shape"][-1]] if is_free else list(stream["shape"])


def _configure_data(
    cfg: DictConfig,
    recipe: dict[str, Any],
    encoders: Mapping[str, RecordedEncoder],
    device: str,
    file: Path,
) -> dict[str, Any]:
    """Configure the data module: of recordings, of given data, or of the training.

    A checkpoint whose network reads computed face maps holds their encoder, and so stands for the
    run that it came from.
    """
    if cfg.get("input") is not None:
        return _prepare_recordings(cfg, recipe, encoders, device)
    maps = str(file) if any(encoder.modality == "face" for encoder in encoders.values()) else None
    return to_plain(cfg.data) if _has_other_data(cfg) else localize_paths(recipe["data"], maps)


def _prepare_recordings(
    cfg: DictConfig, recipe: dict[str, Any], encoders: Mapping[str, RecordedEncoder], device: str
) -> dict[str, Any]:
    """Prepare raw recordings as in training, in the folder of this run."""
    description, streams = recipe["description"], find_streams(recipe["model"])
    face = {"model": cfg.face_model} if cfg.face_model else {}
    features = build_recording_features(description, streams, encoders, face)

    windows = instantiate(cfg.windows)
    recordings = windows(find_recordings(str(cfg.input), output_folder()), features)
    corpus = UnlabeledRecordings(recordings, description["output_names"], description["labels"])

    folder = output_folder() / "store"
    try:
        store = prepare(corpus, features, folder, cfg.workers, device=device)
    except (ValueError, FileNotFoundError):
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return {
        "_target_": "avfusion.data.datamodule.FaceAudioDataModule",
        "store": str(store),
        "batch_size": recipe["data"]["batch_size"],
    }


def localize_paths(data: dict[str, Any], maps: str | None) -> dict[str, Any]:
    """Point data that is prepared on demand, and caches of stores, to the paths of this machine."""
    cache = data.get("cache")
    if cache and cache.get("folder") and not Path(cache["folder"]).is_dir():
        data = data | {"cache": cache | {"folder": None}}
    if "corpus" not in data:
        return data

    home = data_folder()
    if maps is not None and data["features"]["face_maps"].get("run") is not None:
        features = data["features"]
        data = data | {"features": features | {"face_maps": features["face_maps"] | {"run": maps}}}

    corpus = dict(data["corpus"])
    name = corpus["_target_"].rpartition(".")[2]
    rendered = name in ("CocktailParty", "CocktailArousal")  # anywhere, so on this machine, too
    local = f"{home}/cocktail_party" if rendered else f"{home}/{name.lower()}"

    given = data.get("root") or corpus.get("root")
    if rendered:
        corpus["root"] = local
    elif given and not Path(given).is_dir() and (data.get("root") or Path(local).is_dir()):
        if "root" in corpus:
            corpus["root"] = local
        data = data | {"root": data.get("root") and local}

    return data | {"corpus": corpus, "store": f"{home}/stores"}


@contextmanager
def discard_store(folder: Path) -> Iterator[None]:
    """Delete the store of raw recordings in the folder of a run at the end, whatever happens."""
    try:
        yield
    finally:
        shutil.rmtree(folder / "store", ignore_errors=True)
