"""Suggestions for mistyped words and keys."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher, get_close_matches
from typing import Any

MOVED_KEY_SIMILARITY = 0.75  # of keys that stand in different groups


def find_nearest(word: str, known: Iterable[str], similarity: float = 0.6) -> str | None:
    """Find the known word that is most like another one; None where none is similar enough.

    ``similarity`` is difflib's ratio, from 0 to 1.
    """
    by_case = {name.lower(): name for name in known}
    for name in by_case:
        if sorted(name) == sorted(word.lower()):  # transposed letters
            return by_case[name]

    found = get_close_matches(word.lower(), by_case, n=1, cutoff=similarity)
    return by_case[found[0]] if found else None


def find_nearest_key(key: str, config: Mapping[str, Any]) -> str | None:
    """Find the dotted key of a configuration that was probably meant by an unknown one.

    A part of it may be mistyped (``trainer.max_epoch``), or its beginning may be left out
    (``lr`` for ``optimizer.lr``) or be another (``trainer.batch_size`` for ``data.batch_size``).
    """
    repaired = _repair_key(key.split("."), config)
    last = key.rpartition(".")[2]
    elsewhere: dict[str, list[str]] = {}
    for path in iterate_keys(config):
        elsewhere.setdefault(path.rpartition(".")[2], []).append(path)

    if last in elsewhere and (repaired is None or repaired.rpartition(".")[2] != last):
        if repaired is None or "." not in key:
            return _choose_most_similar(key, elsewhere[last])
    if repaired is not None:
        return repaired
    similar = find_nearest(last, elsewhere, MOVED_KEY_SIMILARITY)
    return None if similar is None else _choose_most_similar(key, elsewhere[similar])


def iterate_keys(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield every key of nested mappings, at every depth, as ``a.b.c``."""
    for name, value in config.items():
        if not str(name).startswith("_"):
            yield f"{prefix}{name}"
            if isinstance(value, Mapping):
                yield from iterate_keys(value, f"{prefix}{name}.")


def suggest_word(nearest: str | None, otherwise: str = "") -> str:
    """Write the end of a sentence that refuses a word: the nearest one, or another hint."""
    return f"did you mean {nearest}?" if nearest else otherwise


def _repair_key(parts: list[str], config: Mapping[str, Any]) -> str | None:
    node: Any = config
    path = []
    for part in parts:
        if not isinstance(node, Mapping):
            return None
        names = [str(name) for name in node if not str(name).startswith("_")]
        name = part if part in node else find_nearest(part, names)
        if name is None:
            return None
        path.append(name)
        node = node[name]

    return ".".join(path)


def _choose_most_similar(key: str, paths: Iterable[str]) -> str:
    return max(paths, key=lambda path: (SequenceMatcher(None, key, path).ratio(), -len(path)))
