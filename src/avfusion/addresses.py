"""Addresses of stores in object storage, such as ``s3://bucket/stores/ravdess-1a2b3c4d``.

Credentials are no part of one: configurations, logs and results would keep them. fsspec takes them
from where its back ends always do: environment, profiles, login commands.

Imports nothing heavy: the command line is checked before anything is written.
"""

import re
from collections.abc import Sequence
from pathlib import Path

# Behind ://, a colon that begins no port and is not of [::1], and an @ somewhere after it, as
# passwords hold slashes, too; but git and GitHub write path:branch@ and organization:repository@.
PASSWORD = re.compile(
    r"(?<!github)(?<!\bgit)://[^@\s:/\[]*:(?!\d+(?:/|$))[^\s'\"]*@", re.IGNORECASE
)
WEB_LOGIN = re.compile(r"(?<=http)(s?)://[^/@\s]+@", re.IGNORECASE)  # elsewhere it is a user's name
QUERY = re.compile(r"(://[^\s?'\"]*)\?[^\s'\"]+")
# Keys whose addresses are of services, which have their own ways: databases, trackers.
OTHER_KEYS = ("hydra.", "logger.")


def is_address(location: object) -> bool:
    """Say whether a location is an address rather than the path of a folder."""
    return isinstance(location, str) and "://" in location


def redact(text: str) -> str:
    """Hide user names with passwords, and queries, in all addresses of a text."""
    text = PASSWORD.sub("://***@", text)
    text = WEB_LOGIN.sub(r"\1://***@", text)
    return QUERY.sub(r"\1?***", text)


def check_address(address: str, key: str = "data.store") -> str:
    """Refuse credentials in an address; return it without slashes at its end.

    Raises:
        ValueError: It holds a password or a query.
    """
    if redact(address) != address:
        raise ValueError(
            f"{key}={redact(address)} holds credentials or a query, which logs and results would "
            "keep: leave them out, and let the environment have them, such as AWS_PROFILE, or "
            "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        )
    return address.rstrip("/")


def check_arguments(arguments: Sequence[str]) -> None:
    """Refuse credentials in the addresses of a command line, before Hydra writes it down."""
    for argument in arguments:
        key, given, value = argument.lstrip("+").partition("=")
        if given and not key.startswith(OTHER_KEYS):
            check_address(value, key)


def check_folder(location: str | Path, key: str = "data.store") -> Path:
    """Path of a folder in which stores are made; an address is refused."""
    if is_address(location):
        raise ValueError(
            f"{key}={location} is no folder to make stores in: prepare.upload=<address> writes a "
            "store there once it is made, and data=store data.store=<address of the store> "
            "reads it."
        )
    return Path(location)
