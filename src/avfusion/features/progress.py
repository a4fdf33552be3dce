"""Progress of decoding, told to whoever waits for it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

_listeners: list[Callable[[], None]] = []


@contextmanager
def listening(listener: Callable[[], None]) -> Iterator[None]:
    """Call ``listener`` whenever decoding in this process has come a packet further."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def advance() -> None:
    """Tell that decoding has come a packet further."""
    for listener in _listeners:
        listener()
