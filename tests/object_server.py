"""An S3 server on loopback: moto's, whose requests are recorded, and whose answers can break."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest

BUCKET = "corpora"
SECRET = "s3cret/of+somebody"


class Request(NamedTuple):
    """A request; ``first`` is the first byte of the object that it asks for, None for all."""

    method: str
    key: str
    first: int | None


class ObjectServer:
    """The server, and the environment in which clients find it.

    Answers to requests for a part of an object are changed by the functions in ``faults``, one
    after the other; requests for keys with the end ``refused`` are refused, while it is not empty.
    """

    def __init__(self) -> None:
        # Seconds to import: for the tests that need them alone.
        from moto.moto_server.werkzeug_app import (
            DomainDispatcherApplication,
            MotoRequestHandler,
            create_backend_app,
        )
        from werkzeug.serving import make_server

        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # which logs each request
        self.app = DomainDispatcherApplication(create_backend_app)
        self.requests: list[Request] = []
        self.faults: list[Any] = []
        self.refused = ""
        handler = MotoRequestHandler
        self.server = make_server("127.0.0.1", 0, self.answer, True, request_handler=handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.environment = {
            "AWS_ENDPOINT_URL_S3": f"http://127.0.0.1:{self.server.server_port}",
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
            "NO_PROXY": "127.0.0.1",
        }

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()

    def answer(self, environ: dict[str, Any], start: Any) -> Any:
        """Let moto answer a request, and spoil the answer where that is asked for."""
        key = environ["PATH_INFO"].lstrip("/")
        first = environ.get("HTTP_RANGE", "").removeprefix("bytes=").partition("-")[0]
        self.requests.append(Request(environ["REQUEST_METHOD"], key, int(first) if first else None))
        if self.refused and key.endswith(self.refused):
            environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
            told = b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"
            start("403 Forbidden", [("Content-Length", str(len(told)))])
            return [told] if environ["REQUEST_METHOD"] != "HEAD" else []
        body = b"".join(self.app(environ, start))
        return self.faults.pop(0)(body) if first and self.faults else [body]

    def fetched(self, end: str) -> list[int | None]:
        """First bytes of the requests for the objects whose keys have this end."""
        return [one.first for one in self.requests if one.method == "GET" and one.key.endswith(end)]


def break_off(body: bytes) -> Iterator[bytes]:
    """Send half of an answer, and close the connection."""
    yield body[: len(body) // 2]
    raise ConnectionError("broken off, as was asked for")


def damage(body: bytes) -> list[bytes]:
    """Change the last byte of an answer."""
    return [body[:-1] + bytes([body[-1] ^ 1])]


@contextmanager
def serve_objects() -> Iterator[ObjectServer]:
    """Serve objects to clients of this process, from a bucket that is there."""
    server = ObjectServer()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        import s3fs

        patch.setattr(s3fs.S3FileSystem, "retries", 1)  # each takes longer than the one before
        server.fs = s3fs.S3FileSystem()
        server.fs.mkdir(BUCKET)
        try:
            yield server
        finally:
            server.close()
