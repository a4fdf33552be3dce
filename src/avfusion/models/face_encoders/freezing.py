"""Parts of a pretrained network that stay as they are."""

from collections.abc import Iterable, Sequence

from torch import nn


def hold(network: nn.Module, stages: Sequence[str], freeze: str | int) -> list[nn.Module]:
    """Exclude parts of a network from learning, and return the modules to be kept in eval mode.

    ``freeze`` is all, none or how many of the stages, which are named by the module each ends with.
    Modules count as coming in the order in which they are defined.
    """
    if freeze == "none":
        return []
    if freeze == "all":
        network.requires_grad_(False)
        return rest(network.modules())
    if not isinstance(freeze, int) or not 0 <= freeze <= len(stages):
        raise ValueError(
            f"freeze must be all, none or a number of stages up to {len(stages)} "
            f"({', '.join(stages)}), got {freeze!r}."
        )
    return hold_until(network, stages[freeze - 1]) if freeze else []


def hold_until(network: nn.Module, stage: str) -> list[nn.Module]:
    """Hold everything up to the end of a stage."""
    named = list(network.named_modules())
    within = [place for place, (name, _) in enumerate(named) if belongs(name, stage)]
    if not within:
        raise ValueError(f"{stage} is no module of its own to freeze up to: use all or none.")
    before, after = named[: within[-1] + 1], named[within[-1] + 1 :]
    for _, module in before:
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad_(False)
    free = {id(module) for _, module in after}
    return rest(m for _, m in before if not any(id(part) in free for part in m.modules()))


def rest(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """Put modules into eval mode, none of those within them, and return them."""
    modules = list(modules)
    for module in modules:
        module.training = False
    return modules


def belongs(name: str, stage: str) -> bool:
    """Say whether a module lies in a stage; timm's feature networks may rename a.b to a_b."""
    plain = name.replace(".", "_").removeprefix("model_").removeprefix("body_")
    ending = stage.replace(".", "_")
    return plain == ending or plain.startswith(f"{ending}_")
