"""Configuration of a program, as Hydra composed it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from avfusion.evaluation.runs import flatten_config
from avfusion.run.errors import explain_missing_value
from avfusion.run.folder import choose_run_folder
from avfusion.run.help import format_help
from avfusion.run.suggestions import find_nearest_key, suggest_word
from avfusion.run.sweep_values import list_fitting_models, list_folds
from avfusion.run.values import check_values

OmegaConf.register_new_resolver("run_folder", choose_run_folder, replace=True)
OmegaConf.register_new_resolver("all_folds", list_folds, replace=True)
OmegaConf.register_new_resolver("fitting_models", list_fitting_models, replace=True)
OmegaConf.register_new_resolver("help_text", format_help, replace=True)


def to_plain(config: DictConfig) -> Any:
    """Convert a configuration to plain containers, every reference resolved."""
    return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)


def without_hydra(config: DictConfig) -> DictConfig:
    """Copy a composed configuration without Hydra's own node, as programs get it."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"])


def without_corpus(config: DictConfig) -> DictConfig:
    """Copy a configuration without its corpus, which a program may do without."""
    return OmegaConf.masked_copy(config, [str(key) for key in config if key != "corpus"])


def with_description(config: DictConfig, description: Mapping[str, Any]) -> DictConfig:
    """Copy a configuration with the description of its data, which a model takes its sizes from."""
    described = config.copy()
    described.description = dict(description)
    return described


def output_folder() -> Path:
    """Folder of this run."""
    return Path(HydraConfig.get().runtime.output_dir)


def check_complete(cfg: DictConfig, hydra: Any = None) -> None:
    """Refuse values that are missing and added keys that nothing reads; this needs no torch.

    ``hydra`` is Hydra's own node, where a program has not begun yet.
    """
    values: Any = OmegaConf.to_container(cfg, resolve=False)
    for key, value in flatten_config(values).items():
        # The data fills in the description, once it is read.
        if value == "???" and not key.startswith("description."):
            raise ValueError(explain_missing_value(key))

    hydra = hydra or HydraConfig.get()
    given: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)  # $ is for the job
    added = {override.lstrip("+").partition("=")[0] for override in given if override[0] == "+"}
    unread = {key for key in added & set(values) if f"${{{key}" not in repr(values)}
    if unread:
        composed = compose(hydra.job.config_name, [o for o in given if o[0] != "+"])
        known: Any = OmegaConf.to_container(composed, resolve=False)
        for key in sorted(unread - set(known)):
            hint = suggest_word(find_nearest_key(key, known), f"leave +{key} out.")
            raise ValueError(f"Nothing reads {key}: {hint}")


def check_config(cfg: DictConfig) -> None:
    """Refuse values of wrong types, and values of callbacks and loggers that are not chosen."""
    if HydraConfig.initialized() and HydraConfig.get().job.chdir:
        raise ValueError(
            "hydra.job.chdir=true would look for data and checkpoints in the folder of the run: "
            "leave it out; whatever a run writes is in that folder anyway."
        )

    check_values(OmegaConf.to_container(cfg, resolve=False))
    for group in ("callbacks", "logger", "diagnostics"):
        for name, part in (cfg.get(group) or {}).items():
            if part is not None and not isinstance(part, DictConfig):
                raise ValueError(
                    f"{group}.{name} must be a group of values, got {part}: write "
                    f"{group}.{name}=null to do without."
                )
            if part is not None and "_target_" not in part:
                raise ValueError(
                    f"{group}.{name} was given values, but the chosen {group} have no {name}: "
                    f"choose others ({group}=...), or leave {group}.{name} out."
                )


def collect_hyperparameters(cfg: DictConfig) -> dict[str, Any]:
    """Collect choices of groups, values of model, loss and optimizer, and all overrides.

    Values that come from the description of the data are left out.
    """
    choices, given = HydraConfig.get().runtime.choices, HydraConfig.get().overrides.task
    groups = ("model", "model/attention", "data", "loss", "optimizer", "scheduler", "trainer")
    model = to_plain(cfg.model) | {"loss": None, "optimizer": None, "scheduler": None}
    unresolved: Any = OmegaConf.to_container(cfg.model, resolve=False)
    described = {
        f"model.{k}" for k, value in flatten_config(unresolved).items() if "${desc" in str(value)
    }
    return {
        **{group: str(choices[group]) for group in groups if choices.get(group)},
        "seed": cfg.seed,
        "data.batch_size": cfg.data.batch_size,
        "trainer.max_epochs": cfg.trainer.max_epochs,
        **{k: v for k, v in flatten_scalars(model, "model.").items() if k not in described},
        **flatten_scalars(to_plain(cfg.loss), "loss."),
        **flatten_scalars(to_plain(cfg.optimizer), "optimizer."),
        **flatten_scalars(to_plain(cfg.scheduler), "scheduler."),
        **collect_overridden(to_plain(cfg), given),
    }


def flatten_scalars(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Flatten a configuration to its texts and numbers by dotted keys, without its targets."""
    return {
        f"{prefix}{key}": value
        for key, value in flatten_config(config).items()
        if isinstance(value, str | int | float) and not key.rpartition(".")[2].startswith("_")
    }


def collect_overridden(config: dict[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Collect the values that were given on the command line, where a sweep may vary anything."""
    values = flatten_scalars(config)
    pairs = [override.lstrip("+").partition("=") for override in overrides]
    return {
        key: values.get(key, text)
        for key, equal, text in pairs
        if equal and not key.startswith("callbacks.pruning.")  # identifies a trial, chooses nothing
    }
