"""Protocol of the fork server: what its owner and the server send each other over a socket."""

import pickle
import socket
import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

HEADER = struct.Struct("q")  # the length of a message, or the process id that answers it


class Program(NamedTuple):
    """A command of Python.

    Attributes:
        arguments: Path of a script, or ``-m`` and the name of a module, and its arguments.
        environment: All variables.
        folder: Working directory.
        new_session: Whether it leads a session of its own.
        needs_server: Whether it gets a server of its own, for its ranks.
        descriptors: Those that the files sent with it shall have.
    """

    arguments: list[str]
    environment: dict[str, str]
    folder: str
    new_session: bool
    needs_server: bool
    descriptors: list[int]


class ForkServerError(RuntimeError):
    """The server has ended, or could not fork."""


def send(connection: socket.socket, message: Any, files: Sequence[int] = ()) -> None:
    """Send a message that can be pickled, and open files."""
    content = pickle.dumps(message)
    socket.send_fds(connection, [HEADER.pack(len(content))], files)
    connection.sendall(content)


def receive(connection: socket.socket) -> tuple[Any, list[int]]:
    """Receive a message and open files, or raise an EOFError."""
    header, files, *_ = socket.recv_fds(connection, HEADER.size, 64)
    header += receive_bytes(connection, HEADER.size - len(header))
    return pickle.loads(receive_bytes(connection, HEADER.unpack(header)[0])), list(files)


def receive_bytes(connection: socket.socket, size: int) -> bytes:
    """Receive so many bytes, or raise an EOFError."""
    parts = b""
    while len(parts) < size:
        part = connection.recv(size - len(parts))
        if not part:
            raise EOFError("the other process has ended")
        parts += part
    return parts
