"""Freezing of pretrained networks, stage by stage."""

from collections.abc import Iterable, Sequence

from torch import nn


def freeze_stages(network: nn.Module, stages: Sequence[str], freeze: str | int) -> list[nn.Module]:
    """Exclude parts of a network from learning, and return the modules to be kept in eval mode.

    ``freeze`` is all, none or how many of the stages, which are named by the module each ends with.
    Modules count as coming in the order in which they are defined.
    """
    if freeze == "none":
        return []

    if freeze == "all":
        network.requires_grad_(False)
        return set_eval_mode(network.modules())

    if not isinstance(freeze, int) or not 0 <= freeze <= len(stages):
        raise ValueError(
            f"freeze must be all, none or a number of stages up to {len(stages)} "
            f"({', '.join(stages)}), got {freeze!r}."
        )
    return _freeze_until(network, stages[freeze - 1]) if freeze else []


def set_eval_mode(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """Put modules into eval mode, but none of those within them, and return them."""
    modules = list(modules)
    for module in modules:
        module.training = False
    return modules


def _freeze_until(network: nn.Module, stage: str) -> list[nn.Module]:
    named = list(network.named_modules())
    within = [index for index, (name, _) in enumerate(named) if _lies_in_stage(name, stage)]
    if not within:
        raise ValueError(f"{stage} is no module of its own to freeze up to: use all or none.")

    frozen, after = named[: within[-1] + 1], named[within[-1] + 1 :]
    for _, module in frozen:
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)

    learning = {id(module) for _, module in after}
    return set_eval_mode(
        module for _, module in frozen if not any(id(part) in learning for part in module.modules())
    )


def _lies_in_stage(name: str, stage: str) -> bool:
    # timm's feature networks may rename a.b to a_b
    plain = name.replace(".", "_").removeprefix("model_").removeprefix("body_")
    ending = stage.replace(".", "_")
    return plain == ending or plain.startswith(f"{ending}_")
