"""Errors of overrides and of Hydra's composition, explained in one sentence each."""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from avfusion.run.renamed import RENAMED_CHOICES, find_new_key
from avfusion.run.suggestions import find_nearest, find_nearest_key, iterate_keys, suggest_word

CONF = Path(__file__).parents[3] / "conf"
HELP_HINT = "--help lists groups and values, --cfg job every key."
# Texts of Hydra's errors, which have no other form that a program could read.
UNKNOWN_KEY = re.compile(r"Could not (?:override|delete(?: from config\.)?) '([^'=]+)")
EXISTING_KEY = re.compile(r"An item is already at '([^']+)'|Could not append '([^'=]+)")
UNKNOWN_GROUP = re.compile(r"config group '([^']+)' does not exist")
SEVERAL_VALUES = re.compile(r"Ambiguous value for argument '(.+)'|Sweep parameters '(.+)' requires")
GROUP_CHOSEN_TWICE = re.compile(r"(\S+) appears more than once in the final defaults list")
INNER_KEY = re.compile(r"Key '([^']+)'")
GROUP_WITHOUT_CHOICE = re.compile(r"You must specify '([^']+)'")
WORDS = re.compile(r"[A-Za-z]\w*(?:,[A-Za-z]\w*)*")
NO_CHOICES = ("null", "true", "false")
# What is chosen with another group: a fusion with its model, a corpus with the data of a training.
OTHER_GROUPS = {
    "model": re.compile(r"(model[./])?(network[./])?fusion"),
    "data": re.compile(r"(data[./])?corpus"),
}
PACKAGE = re.compile(r"# @package (\S+)")


def explain_error(error: HydraException, program: str) -> str:
    """Explain what is wrong with the overrides of a program, and what was probably meant."""
    text = str(error)
    if isinstance(error, OverrideParseException):
        return _explain_syntax(error.override)
    if isinstance(error, MissingConfigException):
        return _explain_missing_config(error)

    if found := UNKNOWN_KEY.search(text) or UNKNOWN_GROUP.search(text):
        return _explain_unknown_key(found[1], error, program)
    if found := EXISTING_KEY.search(text):
        key = found[1] or found[2]
        return f"{key} is there already: leave out the + before it."
    if found := GROUP_CHOSEN_TWICE.search(text):
        return f"{found[1]} is chosen twice: leave out the + before what is chosen already."
    if found := SEVERAL_VALUES.search(text):
        override = found[1] or found[2]
        key, _, values = override.partition("=")
        return (
            f"{override} gives several values: add -m to run once for each, or write "
            f"'{key}=[{values}]' for a list."
        )
    if found := GROUP_WITHOUT_CHOICE.search(text):
        choices = ", ".join(line.strip() for line in text.splitlines()[2:])
        return f"{found[1]} has no value: give one of {choices}, as in {found[1]}=..."

    cause = error.__cause__
    if isinstance(
        cause, OmegaConfBaseException
    ):  # its first line has the message, the others the position
        text = f"{text}: {str(cause).splitlines()[0]}".removeprefix(": ")
    return text.partition("\nConfig search path:")[0]


def check_choices(overrides: Sequence[str], program: str = "train") -> None:
    """Refuse as the choice of a group what Hydra would not name: a number, null, true or false.

    A choice that is written as a value, with dots, is answered by the group.
    """
    for override in overrides:
        group, _, choice = override.lstrip("+").partition("=")
        if group == "logger" and choice in NO_CHOICES:
            raise ValueError(f"logger={choice} chooses none: write ~logger to log nothing.")
        is_none = choice.isdigit() or choice.lower() in NO_CHOICES
        if is_none and (CONF / group).is_dir():
            raise ValueError(_explain_unknown_choice(group, choice, _list_choices(group)))
        if WORDS.fullmatch(choice) and not is_none:
            _check_dotted_choice(group, choice, program, overrides)


def _check_dotted_choice(key: str, choice: str, program: str, overrides: Sequence[str]) -> None:
    """Refuse the choice of a group that is written as a value, ``prepare.executor=slurm``."""
    for other, pattern in OTHER_GROUPS.items():
        has_own = f"\n  - {key}: " in (CONF / f"{program}.yaml").read_text(encoding="utf-8")
        if pattern.fullmatch(key) and not has_own and choice in _list_choices(other):
            raise ValueError(f"There is no {key}={choice}: write {other}={choice}.")

    group = _find_dotted_group(key, program)
    if group is None or any(one.lstrip("+").startswith(f"{group}=") for one in overrides):
        return

    folder = group.partition("@")[0]
    known = _list_choices(folder)
    unknown = [name for name in choice.split(",") if name not in known]
    if unknown and not folder.startswith("hydra/"):  # which has choices of its own
        raise ValueError(_explain_unknown_choice(group, unknown[0], known))
    raise ValueError(f"{key}={choice} is a choice, not a value: write {group}={choice}.")


def _find_dotted_group(key: str, program: str) -> str | None:
    """Find the group of a program whose values have this key, or that is spelled so with dots."""
    outer, _, last = key.rpartition(".")
    if not outer or last not in {group.rpartition("/")[2] for group in _all_groups()}:
        return None

    for group in _list_chosen(_compose(program)):
        folder, _, package = group.partition("@")
        headers = (
            PACKAGE.match(path.read_text(encoding="utf-8"))
            for path in (CONF / folder).glob("*.yaml")
        )
        packages = {package or folder.replace("/", "."), folder.replace("/", ".")}
        if key in packages | {header[1] for header in headers if header}:
            return str(group)
    return None


def _explain_syntax(override: str) -> str:
    key, equal, value = override.partition("=")
    if not equal and (choice := _find_choice(override)):
        return f"{override} is no key=value: did you mean {choice}?"
    if not equal:
        return f"{override} is no key=value: write an equals sign, without blanks around it."
    quoted = value.strip("\"'").replace('"', '\\"')
    return (
        f"The value of {key} cannot be read: {value}. Quote it where it holds blanks, brackets or "
        f"signs of its own, for the shell and for Hydra: '{key}=\"{quoted}\"'."
    )


def _explain_missing_config(error: MissingConfigException) -> str:
    group, _, choice = str(error.missing_cfg_file).rpartition("/")
    if not group:
        tops = sorted(path.stem for path in CONF.glob("*.yaml"))
        hint = suggest_word(find_nearest(choice, tops), f"give one of {', '.join(tops)}.")
        return f"There is no configuration {choice}: {hint}"

    return _explain_unknown_choice(group, choice, error.options or _list_choices(group))


def _explain_unknown_choice(group: str, choice: str, options: Sequence[str]) -> str:
    if new := RENAMED_CHOICES.get(f"{group}={choice}"):
        return f"There is no {group}={choice} any more: write {new}."

    known = [option for option in options if option != "base"]  # defaults of others
    nearest = find_nearest(choice, known)
    hint = f"did you mean {nearest}? Choices:" if nearest else "choose one of"
    return f"There is no {group}={choice}: {hint} {', '.join(known) or 'none'}."


def _find_choice(key: str) -> str | None:
    """Find the choice of a group that a dotted key spells, ``trainer.gpu``."""
    path = key.replace(".", "/")
    group, _, choice = path.rpartition("/")
    return f"{group}={choice}" if choice in _list_choices(group) and group else None


def _list_choices(group: str) -> list[str]:
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def _explain_unknown_key(key: str, error: HydraException, program: str) -> str:
    config = _find_root(error) or _compose(program)
    groups = _list_groups(config)
    if key.startswith("hydra"):
        known = {"hydra": config.get("hydra", {})}
    else:
        known = dict.fromkeys(groups) | config
        known = {name: known[name] for name in known if name not in ("hydra", "description")}

    if key in iterate_keys(config) and (inner := INNER_KEY.search(str(error.__cause__))):
        return f"{key} has no {inner[1]}: add it with +{key}.{inner[1]}=..."
    if new := find_new_key(key):
        return f"There is no {key} any more: write {new}."

    first = key.partition("/")[0] if "/" in key else key
    nearest = _find_nearest_group(key, groups) or _find_inner_group(key, config)
    if nearest is None and (choice := _find_choice(key)) and choice.partition("=")[0] in groups:
        nearest = choice
    if nearest is None and "/" not in key:
        nearest = find_nearest_key(first, known)
    if nearest is None and "." not in key and "/" not in key and key in _all_groups():
        chosen = sorted({group.partition("/")[0] for group in groups})
        return f"{program} has no choice of {key}: its groups are {', '.join(chosen)}."
    otherwise = f"{program} has no similar key. {HELP_HINT}"
    if target := _find_target(key, config):
        otherwise = f"an argument of {target} that is not listed is added as +{key}=..."
    return f"There is no {key}: {suggest_word(nearest, otherwise)}"


def _find_target(key: str, config: Mapping[str, Any]) -> str | None:
    """Find the class or function that takes an unknown key as an argument."""
    node: Any = config if "." in key else None
    for part in key.split(".")[:-1]:
        node = node.get(part) if isinstance(node, Mapping) else None
    return node.get("_target_") if isinstance(node, Mapping) else None


def _find_nearest_group(key: str, groups: list[str]) -> str | None:
    """Find the group of a key that is mistyped, or lacks the outer group (attention)."""
    if "." in key:
        return None

    within = [group for group in groups if group.rpartition("/")[2] == key]
    if within:
        return within[0]
    return find_nearest(key, groups) if "/" in key else None


def _find_inner_group(key: str, config: dict[str, Any]) -> str | None:
    """Find a group that is chosen within another one, ``features@data.features``."""
    return next((group for group in _list_chosen(config) if group.startswith(f"{key}@")), None)


def _list_chosen(config: dict[str, Any]) -> list[str]:
    """List the groups that were chosen from, also within others."""
    return [*config.get("hydra", {}).get("runtime", {}).get("choices", {})]


def _find_root(error: BaseException) -> dict[str, Any]:
    """Find the whole configuration in which a key was not found, where that is known."""
    cause = error.__cause__
    node = getattr(cause, "parent_node", None)
    if node is None:
        return {}
    root = node._get_root()  # private, and the only way from a part to its whole
    return dict(OmegaConf.to_container(root, resolve=False))  # type: ignore[arg-type]


def _compose(program: str) -> dict[str, Any]:
    """Compose the configuration of a program without overrides."""
    if GlobalHydra.instance().is_initialized():
        cfg = compose(program, return_hydra_config=True)
    else:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose(program, return_hydra_config=True)
    return dict(OmegaConf.to_container(cfg, resolve=False))  # type: ignore[arg-type]


def _list_groups(config: dict[str, Any]) -> list[str]:
    """List the groups that a program with this configuration chooses from."""
    tops = {*config} - {"hydra"}
    if "optimizer" in tops:  # of a training, and no key of its own
        tops |= {"experiment", "remedy", "sweep"}
    return [group for group in _all_groups() if group.partition("/")[0] in tops]


def _all_groups() -> Iterator[str]:
    for path in sorted(CONF.rglob("*")):
        if path.is_dir():
            yield path.relative_to(CONF).as_posix()
