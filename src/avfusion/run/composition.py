"""Errors of the command line and of Hydra's composition, as one sentence each."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from avfusion.run.renamed import CHOICES, new_key
from avfusion.run.suggestions import did_you_mean, dotted, nearest, nearest_key

CONF = Path(__file__).parents[3] / "conf"
HELP = "--help lists groups and values, --cfg job every key."
UNKNOWN = re.compile(r"Could not (?:override|delete(?: from config\.)?) '([^'=]+)")
THERE_ALREADY = re.compile(r"An item is already at '([^']+)'|Could not append '([^'=]+)")
NO_GROUP = re.compile(r"config group '([^']+)' does not exist")
SEVERAL = re.compile(r"Ambiguous value for argument '(.+)'|Sweep parameters '(.+)' requires")
TWICE = re.compile(r"(\S+) appears more than once in the final defaults list")
INNER = re.compile(r"Key '([^']+)'")
NOT_CHOSEN = re.compile(r"You must specify '([^']+)'")


def explain(error: HydraException, program: str) -> str:
    """Return what is wrong with the overrides of a program, and what was probably meant."""
    text = str(error)
    if isinstance(error, OverrideParseException):
        return _unreadable(error.override)
    if isinstance(error, MissingConfigException):
        return _unknown_choice(error)
    if found := UNKNOWN.search(text) or NO_GROUP.search(text):
        return _unknown_key(found[1], error, program)
    if found := THERE_ALREADY.search(text):
        key = found[1] or found[2]
        return f"{key} is there already: leave out the + before it."
    if found := TWICE.search(text):
        return f"{found[1]} is chosen twice: leave out the + before what is chosen already."
    if found := SEVERAL.search(text):
        override = found[1] or found[2]
        key, _, values = override.partition("=")
        return (
            f"{override} gives several values: add -m to run once for each, or write "
            f"'{key}=[{values}]' for a list."
        )
    if found := NOT_CHOSEN.search(text):
        choices = ", ".join(line.strip() for line in text.splitlines()[2:])
        return f"{found[1]} has no value: give one of {choices}, as in {found[1]}=..."
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException):  # its first line says what, the others where
        text = f"{text}: {str(cause).splitlines()[0]}".removeprefix(": ")
    return text.partition("\nConfig search path:")[0]


def check_choices(overrides: Sequence[str]) -> None:
    """Refuse a number or null as the choice of a group, where Hydra does not say of which."""
    for override in overrides:
        group, _, choice = override.lstrip("+").partition("=")
        if group == "logger" and choice == "null":
            raise ValueError("logger=null chooses none: write ~logger to log nothing.")
        if (choice.isdigit() or choice == "null") and (CONF / group).is_dir():
            raise ValueError(_no_choice(group, choice, _choices(group)))


def _unreadable(override: str) -> str:
    key, equal, value = override.partition("=")
    if not equal:
        return f"{override} is no key=value: write an equals sign, without blanks around it."
    quoted = value.strip("\"'").replace('"', '\\"')
    return (
        f"The value of {key} cannot be read: {value}. Quote it where it holds blanks, brackets or "
        f"signs of its own, for the shell and for Hydra: '{key}=\"{quoted}\"'."
    )


def _unknown_choice(error: MissingConfigException) -> str:
    group, _, choice = str(error.missing_cfg_file).rpartition("/")
    if not group:
        tops = sorted(path.stem for path in CONF.glob("*.yaml"))
        meant = did_you_mean(nearest(choice, tops), f"give one of {', '.join(tops)}.")
        return f"There is no configuration {choice}: {meant}"
    return _no_choice(group, choice, error.options or _choices(group))


def _no_choice(group: str, choice: str, options: Sequence[str]) -> str:
    if new := CHOICES.get(f"{group}={choice}"):
        return f"There is no {group}={choice} any more: write {new}."
    known = [option for option in options if option != "base"]  # what others are made of
    meant = nearest(choice, known)
    hint = f"did you mean {meant}? Choices:" if meant else "choose one of"
    return f"There is no {group}={choice}: {hint} {', '.join(known) or 'none'}."


def _choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def _unknown_key(key: str, error: HydraException, program: str) -> str:
    config = _around(error) or _composed(program)
    groups = _groups(config)
    if key.startswith("hydra"):
        known = {"hydra": config.get("hydra", {})}
    else:
        known = dict.fromkeys(groups) | config
        known = {name: known[name] for name in known if name not in ("hydra", "description")}
    if key in dotted(config) and (inner := INNER.search(str(error.__cause__))):
        return f"{key} has no {inner[1]}: add it with +{key}.{inner[1]}=..."
    if new := new_key(key):
        return f"There is no {key} any more: write {new}."
    first = key.partition("/")[0] if "/" in key else key
    if (meant := _group_meant(key, groups)) is None and "/" not in key:
        meant = nearest_key(first, known)
    if "." not in key and "/" not in key and key in _all_groups():
        chosen = sorted({group.partition("/")[0] for group in groups})
        return f"{program} has no choice of {key}: its groups are {', '.join(chosen)}."
    return f"There is no {key}: {did_you_mean(meant, f'{program} has nothing like it. {HELP}')}"


def _group_meant(key: str, groups: list[str]) -> str | None:
    """Return the group for a key: mistyped, or without what it is within (attention)."""
    if "." in key:
        return None
    within = [group for group in groups if group.rpartition("/")[2] == key]
    if within:
        return within[0]
    return nearest(key, groups) if "/" in key else None


def _around(error: BaseException) -> dict[str, Any]:
    """Return the whole configuration in which a key was not found, where that is known."""
    cause = error.__cause__
    node = getattr(cause, "parent_node", None)
    if node is None:
        return {}
    root = node._get_root()  # private, and the only way from a part to its whole
    return dict(OmegaConf.to_container(root, resolve=False))  # type: ignore[arg-type]


def _composed(program: str) -> dict[str, Any]:
    """Return what a program is configured with where nothing is given."""
    if GlobalHydra.instance().is_initialized():
        cfg = compose(program, return_hydra_config=True)
    else:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose(program, return_hydra_config=True)
    return dict(OmegaConf.to_container(cfg, resolve=False))  # type: ignore[arg-type]


def _groups(config: dict[str, Any]) -> list[str]:
    """Return the groups that a program with a configuration chooses from."""
    tops = {*config} - {"hydra"}
    if "optimizer" in tops:  # of a training, and no key of its own
        tops |= {"experiment", "sweep"}
    return [group for group in _all_groups() if group.partition("/")[0] in tops]


def _all_groups() -> Iterator[str]:
    for path in sorted(CONF.rglob("*")):
        if path.is_dir():
            yield path.relative_to(CONF).as_posix()
