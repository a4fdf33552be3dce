"""What a store holds beside its arrays, written once they are."""

import csv
import hashlib
import json
from pathlib import Path
from typing import Any

from avfusion.corpora import Contents, Corpus
from avfusion.corpora.recording import listed
from avfusion.data.description import describe, skipped_reasons
from avfusion.data.leaks import find_leaks
from avfusion.data.part import Written
from avfusion.data.statistics import Moments
from avfusion.data.store import read_description
from avfusion.features import Features
from avfusion.targets import choose_target


def finish(
    root: Path,
    corpus: Corpus,
    contents: Contents,
    features: Features,
    written: list[Written],
    face_map: dict[str, Any] | None = None,
) -> None:
    """Write everything that a store holds beside its shards; ``face_map`` tells of its maps."""
    outcomes = [outcome for part in written for outcome in part.outcomes]
    index = [outcome.index for outcome in outcomes if outcome.index]
    if not index:
        details = listed([outcome.detail for outcome in outcomes])
        raise ValueError(
            f"None of the {len(outcomes)} clips of {corpus.name} can be used: "
            f"{skipped_reasons(outcomes)}. {details}"
        )
    pairs = zip(outcomes, contents.recordings, strict=True)
    write_csv(root / "report.csv", [outcome.report(recording) for outcome, recording in pairs])
    write_csv(root / "index.csv", index)
    moments = {
        name: Moments.sum(part.moments[name] for part in written) for name in ("face", "audio")
    }
    description = describe(corpus.name, contents, features, outcomes) | {
        "face": {"channels": 3, **moments["face"].mean_and_deviation(scale=1 / 255)},
        "audio": {"features": features.audio.features, **moments["audio"].mean_and_deviation()},
        **({} if face_map is None else {"face_map": face_map}),
        "leaks": find_leaks(index, choose_target(contents._asdict()).classes_of),
        "checksums": checksums(root),
    }
    (root / "description.json").write_text(json.dumps(description, indent=1), encoding="utf-8")


def verify(store: Path) -> None:
    """Refuse a store whose files are not those that were written."""
    promised, found = read_description(store)["checksums"], checksums(store)
    other = sorted(name for name in promised | found if promised.get(name) != found.get(name))
    if other:
        raise ValueError(
            f"{len(other)} files of {store} are not as they were written ({listed(other)}): delete "
            "the folder and prepare the corpus again."
        )


def checksums(root: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of the store."""
    sums = {}
    files = (path for path in root.rglob("*") if path.is_file())
    for path in sorted(file for file in files if file.name != "description.json"):
        with path.open("rb") as file:
            sums[path.relative_to(root).as_posix()] = hashlib.file_digest(
                file, "sha256"
            ).hexdigest()
    return sums


def write_csv(path: Path, rows: list[dict[str, Any]]) -> None:
    """Write rows under a header of their keys."""
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
