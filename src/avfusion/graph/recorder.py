"""Every call of torch that a network makes, and what goes from one to the next."""

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

RECURRENT = ("lstm", "gru", "rnn_tanh", "rnn_relu")


class Node(NamedTuple):
    """One operation: ``name`` is its path through the parts, ``shapes`` are those it returns.

    ``inputs`` are names, with ``:n`` for what else an operation returns; ``weights`` says which
    parameters and buffers it takes, and of which shapes.
    """

    name: str
    kind: str
    inputs: list[str]
    shapes: list[tuple[int, ...]]
    weights: str = ""


class Recorder(TorchFunctionMode):
    """Keep every call of torch, in which part it is made, and what goes in and comes out."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.nodes: list[Node] = []
        self.parts: list[str] = []  # those that are at work, each within the one before
        self.sources: dict[int, str] = {}  # of tensors, by identity
        self.held: list[Tensor] = []  # as an identity is given anew once its tensor is gone
        self.names: Counter[str] = Counter()
        self.weights = {
            id(weight): f"{path.rpartition('.')[2]} {list(weight.shape)}"
            for path, weight in [*network.named_parameters(), *network.named_buffers()]
        }
        for path, part in network.named_modules():
            if path:
                self.follow(path.rpartition(".")[2], part)

    def follow(self, name: str, part: nn.Module) -> None:
        """Know when a part is at work; those that are numbered are named by what they are."""
        own = f"{type(part).__name__}_{name}" if name.isdigit() else name

        def leave(*_: Any) -> None:
            self.parts.pop()

        part.register_forward_pre_hook(lambda *_: self.parts.append(own))
        part.register_forward_hook(leave)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call, and keep what is new."""
        kind = func.__name__.strip("_")
        call = unrolled if kind in RECURRENT else func
        returned = call(*args, **(kwargs or {}))
        given, made = list(tensors((args, kwargs))), list(tensors(returned))
        if kind == "get":  # an attribute, such as a tensor transposed: no operation of its own
            self.know(made, [self.sources.get(id(one), "") for one in given])
        elif any(all(one is not other for other in given) for one in made):
            self.add("/".join([*self.parts, kind]), kind, given, made)
        return returned

    def add(self, name: str, kind: str, given: list[Tensor], made: list[Tensor]) -> None:
        """Add an operation."""
        self.names[name] += 1
        if self.names[name] > 1:
            name = f"{name}_{self.names[name]}"
        inputs = [self.sources[id(one)] for one in given if self.sources.get(id(one))]
        weights = [self.weights[id(one)] for one in given if id(one) in self.weights]
        shapes = [tuple(one.shape) for one in made]
        self.nodes.append(Node(name, kind, inputs, shapes, ", ".join(weights)))
        self.know(made, [name, *(f"{name}:{port}" for port in range(1, len(made)))])

    def know(self, made: list[Tensor], names: list[str]) -> None:
        """Remember where tensors come from."""
        self.held += made
        self.sources |= {id(one): name for one, name in zip(made, names, strict=False)}


def tensors(values: Any) -> Iterator[Tensor]:
    """Yield the tensors among values, however deep they lie."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, dict):
        yield from tensors(list(values.values()))
    elif isinstance(values, tuple | list):
        for value in values:
            yield from tensors(value)


def unrolled(*given: Any) -> tuple[Tensor, ...]:
    """Return what a recurrent network would, but zeros: frame by frame it would take seconds."""
    place = next(n for n, value in enumerate(given) if isinstance(value, list))  # of its weights
    states, layers = list(tensors(given[place - 1])), given[place + 2]
    width = states[0].shape[-1] * (states[0].shape[0] // layers)
    return given[0].new_zeros(*given[0].shape[:-1], width), *states
