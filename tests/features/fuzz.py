"""Decode damaged variants of files in a process of its own: fuzz.py <variants> <file>..."""

import faulthandler
import random
import sys
from collections import Counter
from pathlib import Path

from avfusion.corpora.unlabeled import find_recordings
from avfusion.features import AudioFeatures, FaceFeatures, Features, Policies, Unreadable

HANG = 20.0  # seconds


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Cut a file, flip some of its bits, or both."""
    changed = bytearray(content)
    if chance.random() < 0.5:
        del changed[chance.randrange(1, len(changed)) :]
    if chance.random() < 0.8:
        for _ in range(chance.choice((1, 10, 100))):
            changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def main(source: Path, variants: int) -> None:
    """Print how many variants of a file could be read, and the memory of this process in MiB."""
    features = Features(FaceFeatures(size=32), AudioFeatures(), Policies.for_prediction())
    chance, outcomes = random.Random(0), Counter()
    content, variant = source.read_bytes(), source.with_stem("variant")
    for _ in range(variants):
        variant.write_bytes(damaged(content, chance))
        faulthandler.dump_traceback_later(HANG, exit=True)
        try:
            features(find_recordings(str(variant))[0])
            outcomes["read"] += 1
        except Unreadable as problem:
            assert variant.name in str(problem), problem
            outcomes["refused"] += 1
        faulthandler.cancel_dump_traceback_later()
    print(source.suffix, outcomes["read"], outcomes["refused"], most_memory(), flush=True)


def most_memory() -> int:
    """The most MiB that this process held of its own; resource also counts what its parent held.

    Pages of libraries are shared, and how many of them are resident (torch: 200 to 500 MiB) is the
    kernel's business.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    highest, files = (int(status.partition(name)[2].split()[0]) for name in ("VmHWM:", "RssFile:"))
    return (highest - files) // 1024


if __name__ == "__main__":
    for name in sys.argv[2:]:
        main(Path(name), int(sys.argv[1]))
