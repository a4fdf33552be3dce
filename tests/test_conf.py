import ast
import inspect
import re
import shlex
from copy import deepcopy
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

import pytest
import torch
from conftest import (
    CONF,
    MODELS,
    QUICK_MODELS,
    ROOT,
    build,
    encoded_labels,
    load,
    save_run,
    toy_clips,
    toy_description,
    toy_stream,
)
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hydra.utils import get_object, instantiate
from omegaconf import DictConfig, OmegaConf
from speech_checkpoints import draw_sounds, write_checkpoint

from avfusion.checkpoint import check_targets
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.models import (
    attention,
    audio_encoders,
    face_encoders,
    fusion,
    networks,
    token_fusion,
)
from avfusion.run.configuration import to_plain
from avfusion.run.loggers import build_loggers
from avfusion.run.values import check_values
from avfusion.targets import TARGETS, Target

TOPS = sorted(path.stem for path in CONF.glob("*.yaml"))
OPTIONS = sorted(
    (path.parent.relative_to(CONF).as_posix(), path.stem)
    for path in CONF.rglob("*.yaml")
    if path.parent != CONF and path.stem != "base"  # defaults of others
)
QUICK = {(group, next(o for g, o in OPTIONS if g == group)) for group, _ in OPTIONS}
QUICK |= {("model", model) for model in QUICK_MODELS}
SPEECH = ("hubert", "wav2vec2", "wavlm", "whisper")  # audio encoders with weights of transformers
PACKAGES = ("timm", "torchvision", *SPEECH)  # choices that need what --group encoder-tests brings
GIVEN = {"prepare": {"corpus": "manifest"}}  # what a top config cannot do without


def groups(top: str) -> list[str]:
    text = (CONF / f"{top}.yaml").read_text()
    return re.findall(r"^  - (?:optional )?(\w+)[\w/]*:", text, re.MULTILINE)


@cache
def compose_with_hydra(top: str, *overrides: str) -> DictConfig:
    """Compose once for all tests of a choice, each of which takes a copy."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(top, list(overrides), return_hydra_config=True)


def compose_in_a_run(top: str, *overrides: str, missing: str = "given") -> DictConfig:
    """Compose with what only a run knows, and with something for every value that is missing."""
    cfg = deepcopy(compose_with_hydra(top, "hydra.runtime.output_dir=a/run", *overrides))
    HydraConfig.instance().set_config(cfg)
    del cfg.hydra
    if "description" in cfg:
        description = toy_description()
        features = OmegaConf.select(cfg, "data.features") or {}
        for key, modality, kind in (
            ("audio_stream", "audio", "sequence"),
            ("face_stream", "face", "maps"),
        ):
            if features.get(key):  # which precomputed encoders read
                stream = toy_stream(modality, kind, (1, 3, 1, 1), 3)
                description["streams"][features[key].stream] = stream
        cfg.description = description
    for key in OmegaConf.missing_keys(cfg):
        OmegaConf.update(cfg, key, missing)
    return cfg


def choose(group: str, option: str, *overrides: str, missing: str = "given") -> DictConfig:
    """Compose a top config that has the group (training, where it has) with this option."""
    having = [top for top in TOPS if group.partition("/")[0] in groups(top)]
    top = "train" if "train" in having else having[0]
    choices = GIVEN.get(top, {}) | {group: option}
    values = [f"{key}={value}" for key, value in choices.items()]
    return compose_in_a_run(top, *values, *overrides, missing=missing)


def options(*names: str):
    """Parametrize over every option of these groups and of those within (``a/``: only within)."""
    starts = tuple(f"{name.rstrip('/')}/" for name in names)
    some = [
        pytest.param(group, option, marks=quick_or_slow(group, option) + needs_packages(option))
        for group, option in OPTIONS
        if group in names or group.startswith(starts)
    ]
    assert some
    return pytest.mark.parametrize(("group", "option"), some)


def quick_or_slow(group: str, option: str) -> list[pytest.MarkDecorator]:
    """The quick part has one choice of each group."""
    return [] if (group, option) in QUICK else [pytest.mark.slow]


def needs_packages(option: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.encoders] if option in PACKAGES else []


WITHOUT_FOLDS = ("fixed", "official", "leaky_ogm_ge", "leaky_emobox")


@pytest.fixture(autouse=True)
def no_run():
    yield
    HydraConfig.instance().cfg = None


@pytest.mark.parametrize(
    ("group", "option"), [pytest.param(*choice, marks=quick_or_slow(*choice)) for choice in OPTIONS]
)
def test_every_option_of_every_group_resolves_to_values_of_the_right_types(group, option):
    cfg = choose(group, option)
    assert OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
    check_values(OmegaConf.to_container(cfg))


@options("callbacks")
def test_every_choice_of_callbacks_can_be_built(group, option):
    built = instantiate(choose(group, option)[group])
    assert all(type(part).__module__ != "omegaconf.dictconfig" for part in built.values())


@options("logger")
def test_every_choice_of_loggers_can_be_built(group, option):
    chosen = choose(group, option)[group]
    for package in {"wandb", "mlflow"} & set(chosen):
        pytest.importorskip(package)
    assert len(build_loggers(chosen)) == len(chosen)


@options("trainer")
def test_every_trainer_can_be_built(group, option):
    trainer = instantiate(choose(group, option).trainer, accelerator="cpu", devices=1, logger=False)
    assert trainer.default_root_dir.endswith("a/run")


@options("corpus")
def test_every_corpus_can_be_built(group, option, recordings):
    assert instantiate(choose(group, option, missing=str(recordings)).corpus, _convert_="all").name


@options("features")
def test_every_choice_of_features_can_be_computed(group, option, tmp_path):
    if option == "run":
        save_run(tmp_path / "given", "lowrank")
    cfg = choose(group, option, missing=str(tmp_path / "given"))
    features = instantiate(cfg.features, _convert_="all")
    assert set(features.arrays(1)) == {"frames", "mfcc", "waveform"}


@options("data")
def test_every_choice_of_data_can_be_built(group, option, tmp_path):
    for name in ("train.csv", "test.csv", *(f"cremad_{n}_fold_1.jsonl" for n in ("train", "test"))):
        (tmp_path / name).touch()  # published lists, which a protocol reads
    chosen = choose(group, option, missing=str(tmp_path)).data
    if chosen.protocol is not None and chosen.protocol.name not in WITHOUT_FOLDS:
        chosen.fold = 0
    data = instantiate(chosen, _convert_="all")
    assert isinstance(data, FaceAudioDataModule)
    clips = toy_clips(2)
    for augment in data.augmentation:
        assert augment(clips).streams["frames"].shape == clips.streams["frames"].shape


@pytest.mark.parametrize("model", MODELS)
def test_every_model_scores_a_batch(model):
    assert build(model)(toy_clips(2)).logits.shape == (2, 3)


@options("model/")
def test_every_part_of_a_model_scores_a_batch(group, option, tmp_path):
    clips, weights = toy_clips(2), ()
    if group == "model/audio_encoder" and option in SPEECH:
        folder = write_checkpoint(tmp_path / option, option)
        weights = (f"model.network.audio_encoder.name={folder}",)
        sound, length = draw_sounds(3_000, 2_000)
        streams = clips.streams | {"waveform": sound}
        clips = clips._replace(streams=streams, lengths=clips.lengths | {"waveform": length})
    assert build("lowrank", f"{group}={option}", *weights)(clips).logits.isfinite().all()


@options("loss", "optimizer", "scheduler")
def test_every_loss_optimizer_and_schedule_takes_a_step(group, option):
    labels = [kind for kind, target in TARGETS.items() if option in target.losses]
    task = build("audio_only", f"{group}={option}", labels=(labels or list(TARGETS))[0])
    clips = toy_clips(4)
    before = [parameter.clone() for parameter in task.parameters()]
    optimizer, schedule = task.build_optimizer(10)
    label = encoded_labels(task.target, clips.label.tolist())
    task.loss(task(clips).logits, label).backward()
    optimizer.step()
    schedule.step()
    assert any(
        not torch.equal(old, new) for old, new in zip(before, task.parameters(), strict=True)
    )


@options("target")
def test_every_target_can_be_made_of_a_description(group, option):
    chosen = choose(group, option).target
    if option == "auto":
        assert chosen is None
    else:
        target = instantiate(chosen, _convert_="all")(toy_description())
        assert isinstance(target, Target) and target.outputs == 3
        assert TARGETS[option] is type(target)


def test_every_shipped_target_can_be_chosen():
    assert {option for group, option in OPTIONS if group == "target"} == {"auto", *TARGETS}


@options("model", "data", "loss", "optimizer", "scheduler", "experiment", "target")
def test_every_choice_can_be_rebuilt_from_a_checkpoint(group, option):
    cfg = choose(group, option)
    for part in ("model", "data"):
        recipe = to_plain(cfg[part])
        check_targets(ROOT, {key: recipe[key] for key in recipe if key not in LEARNING})


LEARNING = ("optimizer", "scheduler")  # rebuilding needs neither


def offered(package) -> set[type]:
    """The modules that a package exports or, where it exports nothing, that its files define."""
    files = [
        import_module(f"{package.__name__}.{file.name}") for file in iter_modules(package.__path__)
    ]
    places = [package] if hasattr(package, "__all__") else files
    classes = {kind for place in places for _, kind in inspect.getmembers(place, inspect.isclass)}
    return {
        kind
        for kind in classes
        if issubclass(kind, torch.nn.Module) and kind.__module__.startswith(package.__name__)
    }


@pytest.mark.parametrize(
    "package",
    [attention, audio_encoders, face_encoders, fusion, networks, token_fusion],
    ids=lambda p: p.__name__,
)
def test_whatever_the_package_offers_can_be_chosen(package):
    texts = "\n".join(path.read_text() for path in (CONF / "model").rglob("*.yaml"))
    targets = {get_object(name) for name in re.findall(r"_target_: (\S+)", texts)}
    assert offered(package)
    assert offered(package) - targets == set()


@pytest.mark.parametrize("top", TOPS)
def test_a_top_config_opens_with_what_it_is_for_and_the_command_of_its_program(top):
    first, second = (CONF / f"{top}.yaml").read_text().splitlines()[:2]
    assert first.startswith("# ") and first.endswith(".")
    command = second.removeprefix("# ")
    assert command.startswith(f"python src/{top}.py")
    program = ast.parse((ROOT / "src" / f"{top}.py").read_text())
    assert command in ast.get_docstring(program)
    words = shlex.split(re.sub(r"<[^>]*>", "given", command))
    assert load(top, *words[2:]) is not None


def test_every_program_has_a_top_config():
    programs = (ROOT / "src").glob("*.py")
    composed = {path.stem for path in programs if "@hydra.main" in path.read_text()}
    assert composed == set(TOPS)


def folder_of(*overrides: str) -> str:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", list(overrides), return_hydra_config=True)
    HydraConfig.instance().set_config(cfg)
    return cfg.hydra.run.dir


def test_a_new_run_gets_a_folder_of_its_own_under_its_model():
    folders = {folder_of("model=concat") for _ in range(3)}
    assert len(folders) == 3
    assert all(folder.startswith("logs/concat/") for folder in folders)


def test_a_continued_run_stays_in_its_folder(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.ckpt").touch()
    for path in (tmp_path, tmp_path / "checkpoints" / "last.ckpt"):
        assert folder_of(f"ckpt_path={path}") == str(tmp_path)


def test_every_config_opens_with_a_comment_that_says_what_it_is():
    opened = {}
    for path in CONF.rglob("*.yaml"):
        first, second, *_ = path.read_text().splitlines()
        opened[path] = second if first.startswith("# @package") else first
    wrong = [path for path, line in opened.items() if not re.match("# [^@]", line)]
    assert opened and wrong == []


def parts(tree: object) -> list[dict]:
    """Every group of values that has a target."""
    children = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else []
    own = [tree] if isinstance(tree, dict) and "_target_" in tree else []
    return own + [part for child in children for part in parts(child)]


@pytest.mark.parametrize("model", MODELS)
def test_what_a_part_is_stands_above_its_values(model):
    found = parts(OmegaConf.to_container(load("train", f"model={model}")))
    assert len(found) > 10
    assert {next(iter(part)) for part in found} == {"_target_"}
