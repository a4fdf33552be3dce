"""What programs read off the configuration that Hydra composes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from avfusion.evaluation.runs import flat
from avfusion.run.errors import no_value
from avfusion.run.folder import run_folder
from avfusion.run.help import usage
from avfusion.run.suggestions import did_you_mean, nearest_key
from avfusion.run.values import check_values

OmegaConf.register_new_resolver("run_folder", run_folder, replace=True)
OmegaConf.register_new_resolver("usage", usage, replace=True)


def plain(config: DictConfig) -> Any:
    """Return a configuration as plain containers, every reference resolved."""
    return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)


def without_hydra(config: DictConfig) -> DictConfig:
    """Return what a program gets of what Hydra composed."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def with_description(config: DictConfig, description: Mapping[str, Any]) -> DictConfig:
    """Return a configuration that knows its data, which a model takes its sizes from."""
    known = config.copy()
    known.description = dict(description)
    return known


def output_folder() -> Path:
    """Return the folder of this run."""
    return Path(HydraConfig.get().runtime.output_dir)


def check_complete(cfg: DictConfig, hydra: Any = None) -> None:
    """Refuse values that are missing and added keys that nothing reads: known without torch.

    ``hydra`` says what was given, where a program has not begun yet.
    """
    values: Any = OmegaConf.to_container(cfg, resolve=False)
    for key, value in flat(values).items():
        # The data fills in the description, once it is read.
        if value == "???" and not key.startswith("description."):
            raise ValueError(no_value(key))
    hydra = hydra or HydraConfig.get()
    given: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)  # $ is for the job
    added = {override.lstrip("+").partition("=")[0] for override in given if override[0] == "+"}
    unread = {key for key in added & set(values) if f"${{{key}" not in repr(values)}
    if unread:
        composed = compose(hydra.job.config_name, [o for o in given if o[0] != "+"])
        known: Any = OmegaConf.to_container(composed, resolve=False)
        for key in sorted(unread - set(known)):
            meant = nearest_key(key, known)
            raise ValueError(f"Nothing reads {key}: {did_you_mean(meant, f'leave +{key} out.')}")


def check_config(cfg: DictConfig) -> None:
    """Refuse values of wrong types, and values of parts that are not there, in every program."""
    if HydraConfig.initialized() and HydraConfig.get().job.chdir:
        raise ValueError(
            "hydra.job.chdir=true would look for data and checkpoints in the folder of the run: "
            "leave it out; whatever a run writes is in that folder anyway."
        )
    check_values(OmegaConf.to_container(cfg, resolve=False))
    for group in ("callbacks", "logger"):
        for name, part in (cfg.get(group) or {}).items():
            if part is not None and "_target_" not in part:
                raise ValueError(
                    f"{group}.{name} was given values, but the chosen {group} have no {name}: "
                    f"choose others ({group}=...), or leave {group}.{name} out."
                )


def hyperparameters(cfg: DictConfig) -> dict[str, Any]:
    """Return what was chosen: options, single values of what is learned, and what was given."""
    choices, given = HydraConfig.get().runtime.choices, HydraConfig.get().overrides.task
    groups = ("model", "model/attention", "data", "loss", "optimizer", "scheduler", "trainer")
    learned = plain(cfg.model) | {"loss": None, "optimizer": None, "scheduler": None}
    written: Any = OmegaConf.to_container(cfg.model, resolve=False)
    found = {f"model.{key}" for key, value in flat(written).items() if "${desc" in str(value)}
    return {
        **{group: str(choices[group]) for group in groups if choices.get(group)},
        "seed": cfg.seed,
        "data.batch_size": cfg.data.batch_size,
        "trainer.max_epochs": cfg.trainer.max_epochs,
        **{k: v for k, v in single_values(learned, "model.").items() if k not in found},
        **single_values(plain(cfg.loss), "loss."),
        **single_values(plain(cfg.optimizer), "optimizer."),
        **single_values(plain(cfg.scheduler), "scheduler."),
        **overridden(plain(cfg), given),
    }


def single_values(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return the texts and numbers of a configuration under dotted names, but for its targets."""
    return {
        f"{prefix}{key}": value
        for key, value in flat(config).items()
        if isinstance(value, str | int | float) and not key.rpartition(".")[2].startswith("_")
    }


def overridden(config: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return what was given on the command line, with which a sweep may vary anything."""
    values = single_values(config)
    pairs = [override.lstrip("+").partition("=") for override in overrides]
    return {
        key: values.get(key, text)
        for key, equal, text in pairs
        if equal and not key.startswith("callbacks.pruning.")  # which says who a trial is
    }
