"""Task and data of a checkpoint, from nothing but the checkpoint."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from avfusion.checkpoint import Recipe, check_fit, find_checkpoint, read_checkpoint
from avfusion.corpora.unlabeled import UnlabeledRecordings, find_recordings
from avfusion.data.checks import check_streams
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.splits import Splits
from avfusion.data.store import read_description
from avfusion.data.train_test_overlap import check_overlap
from avfusion.environment import data_folder
from avfusion.features import prediction_features
from avfusion.features.identity import check_classes
from avfusion.preparation.prepare import prepare
from avfusion.run.configuration import output_folder, plain
from avfusion.run.streams import make_data, streams_of
from avfusion.targets import Target
from avfusion.training.task import FusionTask

# The arguments of data that make its splits.
PLAN = {
    "splits",
    "fold",
    "split_seed",
    "allow_subject_overlap",
    "allow_same_sound_in_two_splits",
    "allow_same_picture_in_two_splits",
    "allow_untrained_classes",
}


class Rebuilt(NamedTuple):
    """The task of a checkpoint, data for it, and what of these it was trained on, by kind."""

    task: FusionTask
    data: FaceAudioDataModule
    seen: Mapping[str, list[str]]


def rebuild(cfg: DictConfig, trainer: L.Trainer) -> Rebuilt:
    """Return the task of a checkpoint, and its own data or other data for it."""
    if trainer.world_size > 1:
        raise ValueError(
            f"{trainer.world_size} processes would each see a part of it: set trainer.devices=1."
        )
    file = find_checkpoint(cfg.ckpt_path, "best")
    checkpoint = read_checkpoint(file)
    recipe = checkpoint["recipe"]
    if cfg.get("input") is not None:
        check_classes(recipe["description"]["features"])
    task = rebuild_task(recipe)
    check_fit(file, checkpoint, task)
    task.load_state_dict(checkpoint["state_dict"])
    streams = streams_of(recipe["model"])
    described = recipe["description"]["streams"]
    maps = str(file) if any(described[name]["encoder"] for name in streams) else None
    device = str(trainer.strategy.root_device)
    own = data_of(cfg, recipe, maps, device)
    own |= {"target": None, "eval_split": cfg.split}
    if cfg.batch_size is not None:
        own["batch_size"] = cfg.batch_size
    own |= plan_of(cfg, own, recipe)
    given = {"target": lambda description: task.target, "device": device}
    data = make_data(own, recipe["model"], **given)
    check_data(file, data, recipe["description"])
    if cfg.get("input") is not None:
        return Rebuilt(task, data, {})
    check_plan(file, cfg, recipe, data.splits)
    allowed = allowed_memory(cfg)
    seen = check_overlap(file, recipe, data.store, data.splits, [cfg.split], allowed)
    return Rebuilt(task, data, seen)


def rebuild_task(recipe: dict[str, Any]) -> FusionTask:
    """Return the task of a recipe, with first weights."""
    target = instantiate(recipe["target"], _convert_="all")(recipe["description"])
    return make_task(recipe["model"], target, Recipe(**recipe))


def make_task(model: Mapping[Any, Any], target: Target, recipe: Recipe | None = None) -> FusionTask:
    """Build the task of a configuration; Hydra would take a recipe for one, too."""
    return instantiate(model, _convert_="all", _partial_=True)(target=target, recipe=recipe)


def allowed_memory(cfg: DictConfig) -> list[str]:
    """Return what may be tested on though it was trained on."""
    kinds = ("subjects_seen_in_training", "recordings_seen_in_training")
    return [kind for kind in kinds if cfg.get(f"allow_{kind}")]


def stored(store: Path) -> dict[str, Any]:
    """Return the recipe of a store's data."""
    return {"_target_": "avfusion.data.datamodule.FaceAudioDataModule", "store": str(store)}


def check_data(file: Path, data: FaceAudioDataModule, description: dict[str, Any]) -> None:
    """Refuse data of other features than those that a checkpoint was trained on."""
    ours, theirs = (comparable(each, data.streams) for each in (data.description, description))
    if ours != theirs:
        raise ValueError(
            f"The store in {data.path} holds other features than {file} was trained on ({ours} "
            f"instead of {theirs}): prepare the corpus with those."
        )


def plan_of(cfg: DictConfig, own: dict[str, Any], recipe: dict[str, Any]) -> dict[str, Any]:
    """Return the split plan to read data by: the given one, or in a store of training its own."""
    if cfg.get("input") is not None:
        return {}
    plan: dict[str, Any] = {}
    path = Path(str(own["store"])) / "description.json"
    if "data" in cfg and own.get("splits") is None and path.is_file():
        if read_description(path.parent)["checksums"] == recipe["description"].get("checksums"):
            plan = {key: value for key, value in recipe["data"].items() if key in PLAN}
            plan |= {} if own.get("fold") is None else {"fold": own["fold"]}
    if cfg.splits is not None:
        plan |= {"splits": plain(OmegaConf.create({"splits": cfg.splits}))["splits"], "fold": None}
    if cfg.fold is not None:
        plan["fold"] = cfg.fold
    return plan


def check_plan(file: Path, cfg: DictConfig, recipe: dict[str, Any], splits: Splits) -> None:
    """Refuse a table of folds that was changed since the training of a checkpoint."""
    own = "data" not in cfg and cfg.splits is None and cfg.fold is None
    before = recipe["description"].get("splits", splits.record)
    if own and splits.record != before:
        raise ValueError(
            f"data.splits={splits.plan} is not what it was when {file} was trained: restore "
            "the table, or give the plan to test by (splits=..., fold=...)."
        )


def comparable(description: dict[str, Any], streams: Sequence[str]) -> dict[str, Any]:
    """Return the settings that streams depend on, whatever clips are kept and where files are."""
    settings = {
        name: part
        for name, part in description["features"].items()
        if name not in ("policies", "face_maps")
    }
    settings["face"] = settings["face"] | {"model": None}
    read = {name: description["streams"][name] for name in streams}
    settings["streams"] = {
        name: {key: stream[key] for key in ("shape", "encoder", "sha256")}
        for name, stream in read.items()
    }
    return settings


def data_of(
    cfg: DictConfig, recipe: dict[str, Any], maps: str | None, device: str = "auto"
) -> dict[str, Any]:
    """Return the data to answer for.

    ``maps`` is the checkpoint itself where its network reads computed face maps: it holds their
    encoder, and so stands for the run that it came from.
    """
    if cfg.get("input") is not None:
        return recordings_of(cfg, recipe, maps, device)
    return plain(cfg.data) if "data" in cfg else here(recipe["data"], maps)


def recordings_of(
    cfg: DictConfig, recipe: dict[str, Any], maps: str | None, device: str
) -> dict[str, Any]:
    """Return the data of raw recordings: prepared as in training, in the folder of this run."""
    settings = recipe["description"]["features"]
    face = {"model": cfg.face_model} if cfg.face_model else {}
    features = prediction_features(settings, face, maps)
    check_streams(streams_of(recipe["model"]), features.names, "What recordings become")
    windows = instantiate(cfg.windows)
    recordings = windows(find_recordings(str(cfg.input), output_folder()), features)
    description = recipe["description"]
    corpus = UnlabeledRecordings(recordings, description["output_names"], description["labels"])
    folder = output_folder() / "store"
    try:
        store = prepare(corpus, features, folder, cfg.workers, device=device)
    except ValueError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return stored(store) | {"batch_size": recipe["data"]["batch_size"]}


def here(data: dict[str, Any], maps: str | None) -> dict[str, Any]:
    """Return the data of a recipe with the paths of this machine, where it is made by itself."""
    if "corpus" not in data:
        return data
    home = data_folder()
    if maps is not None and data["features"]["face_maps"].get("run") is not None:
        features = data["features"]
        data = data | {"features": features | {"face_maps": features["face_maps"] | {"run": maps}}}
    corpus = dict(data["corpus"])
    name = corpus["_target_"].rpartition(".")[2]
    rendered = name in ("CocktailParty", "CocktailArousal")  # anywhere, so on this machine, too
    own = f"{home}/cocktail_party" if rendered else f"{home}/{name.lower()}"
    given = data.get("root") or corpus.get("root")
    if rendered:
        corpus["root"] = own
    elif given and not Path(given).is_dir() and (data.get("root") or Path(own).is_dir()):
        if "root" in corpus:
            corpus["root"] = own
        data = data | {"root": data.get("root") and own}
    return data | {"corpus": corpus, "store": f"{home}/stores"}


@contextmanager
def discard(folder: Path) -> Iterator[None]:
    """Delete what was prepared of raw recordings in the folder of a run, whatever happens."""
    try:
        yield
    finally:
        shutil.rmtree(folder / "store", ignore_errors=True)
