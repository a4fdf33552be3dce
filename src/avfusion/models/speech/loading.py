"""Architectures and weights of speech networks, from a hub id or a folder."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from avfusion.messages import join_items
from avfusion.models.speech import ctranslate2

log = logging.getLogger(__name__)
SAMPLE_RATE = 16_000


class Family(NamedTuple):
    """Networks that one class runs: classes of transformers, and what of their settings counts."""

    module: str  # of this package
    network: str
    model: str
    extractor: str
    blocks: str = "num_hidden_layers"  # the setting that says how many there are
    prefix: str = ""  # of the encoder's weights in a larger network


FAMILIES = {
    "wav2vec2": Family("wav2vec2", "Wav2Vec2", "Wav2Vec2Model", "Wav2Vec2FeatureExtractor"),
    "hubert": Family("wav2vec2", "Wav2Vec2", "HubertModel", "Wav2Vec2FeatureExtractor"),
    "wavlm": Family("wav2vec2", "Wav2Vec2", "WavLMModel", "Wav2Vec2FeatureExtractor"),
    "data2vec-audio": Family(
        "wav2vec2", "Wav2Vec2", "Data2VecAudioModel", "Wav2Vec2FeatureExtractor"
    ),
    "whisper": Family(
        "whisper",
        "Whisper",
        "models.whisper.modeling_whisper.WhisperEncoder",
        "WhisperFeatureExtractor",
        "encoder_layers",
        r"^(model\.)?encoder\.",
    ),
    "audio-spectrogram-transformer": Family(
        "spectrogram_transformer", "SpectrogramTransformer", "ASTModel", "ASTFeatureExtractor"
    ),
    "clap_audio_model": Family("clap", "Clap", "ClapAudioModel", "ClapFeatureExtractor"),
}


def read_architecture(name: str, revision: str | None = None) -> dict[str, Any]:
    """Read what a speech network is built of, in plain containers; its weights are not read.

    ``name`` is a folder, or an id of the Hugging Face hub, of which ``revision`` is a branch, tag
    or commit. Of its settings only those are kept that the encoder needs, so that the architecture
    does not change with the version of transformers.

    Raises:
        FileNotFoundError: There is nothing, or the hub cannot be reached.
        ValueError: It is of a kind that is not supported.
    """
    transformers = import_transformers(name)
    if is_ctranslate2(name):
        arrays = ctranslate2.read_encoder(Path(name))
        return {
            "model_type": "whisper",
            "config": ctranslate2.describe_encoder(arrays),
            "extractor": {},
        }

    with explain_missing(name, revision):
        config = transformers.AutoConfig.from_pretrained(name, revision=revision)
    config = config.audio_config if config.model_type == "clap" else config
    family = find_family(name, config.model_type)
    module = import_module(f"avfusion.models.speech.{family.module}")
    settings = read_extractor(name, revision, family)
    if settings.get("sampling_rate") != SAMPLE_RATE and family.module != "clap":
        raise ValueError(
            f"{name} hears sounds of {settings.get('sampling_rate')} Hz, and those of a store have "
            f"{SAMPLE_RATE}: choose a network of that rate."
        )

    kept = {key: getattr(config, key) for key in module.CONFIG if hasattr(config, key)}
    return {
        "model_type": config.model_type,
        "config": json.loads(json.dumps(kept)),
        "extractor": {key: settings[key] for key in module.EXTRACTOR},
    }


def read_extractor(name: str, revision: str | None, family: Family) -> dict[str, Any]:
    """Settings of a feature extractor; those of its class where a folder has none."""
    kind = getattr(import_transformers(name), family.extractor)
    try:
        extractor = kind.from_pretrained(name, revision=revision)
    except OSError:
        log.warning(
            "%s has no preprocessor_config.json: sounds are prepared as %s does by default.",
            name,
            family.extractor,
        )
        extractor = kind()
    return {**vars(extractor)}


def read_revision(name: str, revision: str | None = None) -> str | None:
    """Commit of the hub that weights are of; None for a folder."""
    if Path(name).is_dir():
        return None
    with explain_missing(name, revision):
        config = import_transformers(name).AutoConfig.from_pretrained(name, revision=revision)
    return getattr(config, "_commit_hash", None) or revision


def count_blocks(architecture: Mapping[str, Any]) -> int:
    """Count the transformer blocks of an architecture."""
    return architecture["config"][FAMILIES[architecture["model_type"]].blocks]


def limit_blocks(architecture: Mapping[str, Any], blocks: int) -> dict[str, Any]:
    """Architecture without the blocks behind the first ones, of which one is the least."""
    key = FAMILIES[architecture["model_type"]].blocks
    kept = min(max(blocks, 1), architecture["config"][key])
    return {**architecture, "config": {**architecture["config"], key: kept}}


def build_network(architecture: Mapping[str, Any]) -> nn.Module:
    """Build a speech network; its weights are those that a state will be loaded into."""
    family = find_family("This architecture", architecture["model_type"])
    with torch.random.fork_rng(devices=[]):
        model = _get_class(family.model)(_make_config(architecture))
    return _wrap(family, model, architecture)


def load_network(name: str, revision: str | None, architecture: Mapping[str, Any]) -> nn.Module:
    """Build a speech network with the weights of a hub id or a folder, in eval mode.

    ``architecture`` is the one that was read there, or has fewer blocks.

    Raises:
        FileNotFoundError: There is nothing, or the hub cannot be reached.
        ValueError: Weights are missing, or of another shape.
    """
    if is_ctranslate2(name):
        network = build_network(architecture)
        arrays = ctranslate2.read_encoder(Path(name))
        state = ctranslate2.convert_encoder(arrays, count_blocks(architecture))
        network.model.load_state_dict(state)  # type: ignore[union-attr]
        return network.eval()

    family = find_family(name, architecture["model_type"])
    with explain_missing(name, revision), _silence():
        model, report = _get_class(family.model).from_pretrained(
            name,
            revision=revision,
            config=_make_config(architecture),
            key_mapping={family.prefix: ""} if family.prefix else None,
            dtype=torch.float32,
            output_loading_info=True,
        )
    if report["missing_keys"]:
        raise ValueError(
            f"The weights of {name} lack {join_items(sorted(report['missing_keys']), 3)}: they are "
            f"no {family.model}, or not all of it."
        )
    return _wrap(family, model, architecture).eval()


def is_ctranslate2(name: str) -> bool:
    """Whether a folder holds a model of CTranslate2."""
    return (Path(name) / ctranslate2.MODEL_FILE).is_file()


def find_family(name: str, model_type: str) -> Family:
    """Find what runs networks of a type."""
    if model_type not in FAMILIES:
        raise ValueError(
            f"{name} is a network of the type {model_type}, which is not supported: choose one of "
            f"{', '.join(FAMILIES)}."
        )
    return FAMILIES[model_type]


def import_transformers(name: str) -> Any:
    """Import transformers, which takes seconds, and is not needed otherwise."""
    try:
        import transformers
    except ImportError as error:
        raise ValueError(f"{name} needs transformers: pip install -e '.[speech]'") from error
    return transformers


@contextmanager
def explain_missing(name: str, revision: str | None) -> Iterator[None]:
    """Say in one sentence that a folder or a hub id gives nothing."""
    path = Path(name)
    if name.startswith((".", "/", "~")) and not path.is_dir():
        raise FileNotFoundError(
            f"No network at {name}: give the folder of one, or the id of one on the hub, such as "
            "microsoft/wavlm-base."
        )
    try:
        yield
    except (OSError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        if path.is_dir():
            raise ValueError(f"{name} is no folder of a speech network ({reason}).") from error
        which = name if revision is None else f"{name} in revision {revision}"
        raise FileNotFoundError(
            f"{which} is neither in the cache of the hub nor can it be fetched ({reason}): copy "
            "its folder here, and give its path instead."
        ) from error


def _make_config(architecture: Mapping[str, Any]) -> Any:
    """Configuration of transformers, in which nothing is left out at random."""
    transformers = import_transformers("A speech network")
    off = {"layerdrop": 0.0, "encoder_layerdrop": 0.0, "apply_spec_augment": False}
    off |= {"mask_time_prob": 0.0, "mask_feature_prob": 0.0}
    kind = transformers.CONFIG_MAPPING[architecture["model_type"]]
    known = vars(kind())
    settings = {key: value for key, value in off.items() if key in known}
    return kind(**settings, **architecture["config"])


def _wrap(family: Family, model: nn.Module, architecture: Mapping[str, Any]) -> nn.Module:
    network = getattr(import_module(f"avfusion.models.speech.{family.module}"), family.network)
    return network(model, architecture["extractor"])


def _get_class(name: str) -> Any:
    transformers = import_transformers("A speech network")
    module, _, kind = name.rpartition(".")
    return getattr(import_module(f"transformers.{module}") if module else transformers, kind)


@contextmanager
def _silence() -> Iterator[None]:
    """Keep transformers from listing the weights of other parts, and from drawing a bar."""
    from transformers.utils import logging as messages

    level, bar = messages.get_verbosity(), messages.is_progress_bar_enabled()
    messages.set_verbosity_error()
    messages.disable_progress_bar()
    try:
        yield
    finally:
        messages.set_verbosity(level)
        if bar:
            messages.enable_progress_bar()
