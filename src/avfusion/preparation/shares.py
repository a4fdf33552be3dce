"""Shares of a corpus, each prepared on a machine of its own, without a shared file system.

A share is some clips of a corpus, one after the other in its order, and the store of them in a
folder. Beside what any store has, there are

  share.json         ``SharePlan``: which share it is, and what all shares must agree on
  recordings.jsonl   of each recording, how a store is named by it, the result of decoding it, and
                     its row of the report

so that ``merge`` needs neither the corpus nor its settings.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from avfusion.preparation.shards import DecodingResult
from avfusion.preparation.workers import STREAM_CHUNK_CLIPS

PLAN_FILE = "share.json"
RECORDINGS_FILE = "recordings.jsonl"
# Units of a share on average, from which its edges are set to those of units: shares then differ
# by an eighth at most, and whole files become those of the merged store.
MIN_UNITS = 8


class Share(NamedTuple):
    """Share ``number``, from 1 on, of so many."""

    number: int
    total: int

    @classmethod
    def parse(cls, text: str) -> "Share":
        """Read a share as the command line gives it, such as ``3/64``."""
        match = re.fullmatch(r"(\d+)/(\d+)", str(text))
        share = cls(*map(int, match.groups())) if match else cls(0, 0)
        if not 1 <= share.number <= share.total:
            raise ValueError(
                f"prepare.shard must be one of so many shares, from 1/64 to 64/64, got {text}."
            )
        return share

    def find_bounds(self, clips: int, shard_clips: int) -> tuple[int, int]:
        """Find the first clip, and the one after the last, of so many in a corpus.

        All shares have nearly the same number of clips. Edges are those of shards, or of parts of
        streams, where a share has several of them.
        """
        if self.total > clips:
            raise ValueError(
                f"prepare.shard={self.number}/{self.total} shares out {clips} clips: use at most "
                f"{clips} shares."
            )
        units = (shard_clips, STREAM_CHUNK_CLIPS)
        unit = next((one for one in units if clips >= MIN_UNITS * self.total * one), 1)
        edges = (
            round(n * clips / self.total / unit) * unit for n in (self.number - 1, self.number)
        )
        first, last = edges
        return first, clips if self.number == self.total else last


class SharePlan(NamedTuple):
    """A share, and what all shares of a preparation agree on, in plain containers.

    Attributes:
        number: of the share, from 1 on.
        total: how many shares there are.
        first: recording of the share, in the order of the corpus.
        last: the one after its last.
        clips: of all shares.
        shard_clips: clips of a shard of the merged store.
        name: of the merged store.
        recordings: SHA-256 of the corpus' descriptions of all recordings.
        settings: what a store is named by beside its recordings.
        allowed_leaks: kinds of leakage that the corpus allows.
        facts: ``StoreFacts`` of the merged store.
        environment: versions of what has decoded it.
    """

    number: int
    total: int
    first: int
    last: int
    clips: int
    shard_clips: int
    name: str
    recordings: str
    settings: list[Any]
    allowed_leaks: list[str]
    facts: dict[str, Any]
    environment: dict[str, str]


class ShareRow(NamedTuple):
    """A recording of a share: how a store is named by it, its result and its report."""

    content: str
    outcome: dict[str, Any]
    report: dict[str, str]


def digest_store(settings: list[Any], recordings: Iterable[str]) -> str:
    """Compute the eight digits by which a store of recordings under some settings is named."""
    state = hashlib.sha256(json.dumps(settings).encode())
    for content in recordings:
        state.update(content.encode())
    return state.hexdigest()[:8]


def write_share(
    root: Path,
    plan: SharePlan,
    results: Iterable[tuple[DecodingResult, dict[str, str]]],
    contents: Iterable[str],
) -> None:
    """Write what makes a share of a store, before its description, which has the checksums."""
    (root / PLAN_FILE).write_text(json.dumps(plan._asdict(), indent=1), encoding="utf-8")
    with (root / RECORDINGS_FILE).open("w", encoding="utf-8") as file:
        for (result, report), content in zip(results, contents, strict=True):
            file.write(json.dumps(ShareRow(content, result.to_dict(), report)) + "\n")


def read_plan(root: Path) -> SharePlan:
    """Read the plan of a share.

    Raises:
        FileNotFoundError: there is none.
    """
    file = root / PLAN_FILE
    if not file.is_file():
        raise FileNotFoundError(
            f"{root} is no share of a store: give the folders that prepare.shard=... has printed."
        )
    return SharePlan(**json.loads(file.read_text(encoding="utf-8")))


def read_rows(root: Path) -> Iterator[ShareRow]:
    """Yield the recordings of a share, in the order of the corpus."""
    with (root / RECORDINGS_FILE).open(encoding="utf-8") as file:
        for line in file:
            yield ShareRow(*json.loads(line))


def summarize_share(root: Path, kept: int) -> str:
    """Say which share a folder holds, of whose clips so many are kept, and what to do with it."""
    plan = read_plan(root)
    lines = (
        f"{root}: share {plan.number} of {plan.total} of {plan.facts['corpus']}, {kept} of "
        f"{plan.last - plan.first} clips kept.",
        "Where all shares are, make one store of them with:",
        "  python src/prepare.py 'prepare.merge=[<folder of each share, or a pattern>]'",
    )
    return "\n".join(lines)
