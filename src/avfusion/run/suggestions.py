"""The known word that a mistyped one is nearest to."""

from collections.abc import Iterable, Iterator, Mapping
from difflib import SequenceMatcher, get_close_matches
from typing import Any

SURE = 0.75  # as alike as words must be that stand in different places


def nearest(word: str, known: Iterable[str], alike: float = 0.6) -> str | None:
    """Return the known word that is most like another one; None where none is ``alike``."""
    by_case = {name.lower(): name for name in known}
    for name in by_case:
        if sorted(name) == sorted(word.lower()):  # letters that changed places
            return by_case[name]
    found = get_close_matches(word.lower(), by_case, n=1, cutoff=alike)
    return by_case[found[0]] if found else None


def nearest_key(key: str, config: Mapping[str, Any]) -> str | None:
    """Return the dotted key of a configuration that was probably meant by an unknown one.

    A part of it may be mistyped (``trainer.max_epoch``), or its beginning may be left out
    (``lr`` for ``optimizer.lr``) or be another (``trainer.batch_size`` for ``data.batch_size``).
    """
    repaired = _repaired(key.split("."), config)
    last = key.rpartition(".")[2]
    elsewhere: dict[str, list[str]] = {}
    for path in dotted(config):
        elsewhere.setdefault(path.rpartition(".")[2], []).append(path)
    if last in elsewhere and (repaired is None or repaired.rpartition(".")[2] != last):
        if repaired is None or "." not in key:
            return _most_like(key, elsewhere[last])
    if repaired is not None:
        return repaired
    like = nearest(last, elsewhere, SURE)
    return None if like is None else _most_like(key, elsewhere[like])


def dotted(config: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield every key of nested mappings, at every depth, as ``a.b.c``."""
    for name, value in config.items():
        if not str(name).startswith("_"):
            yield f"{prefix}{name}"
            if isinstance(value, Mapping):
                yield from dotted(value, f"{prefix}{name}.")


def did_you_mean(meant: str | None, otherwise: str = "") -> str:
    """Return the end of a sentence that refuses a word: the one that was probably meant."""
    return f"did you mean {meant}?" if meant else otherwise


def _repaired(parts: list[str], config: Mapping[str, Any]) -> str | None:
    node: Any = config
    path = []
    for part in parts:
        if not isinstance(node, Mapping):
            return None
        names = [str(name) for name in node if not str(name).startswith("_")]
        name = part if part in node else nearest(part, names)
        if name is None:
            return None
        path.append(name)
        node = node[name]
    return ".".join(path)


def _most_like(key: str, paths: Iterable[str]) -> str:
    return max(paths, key=lambda path: (SequenceMatcher(None, key, path).ratio(), -len(path)))
