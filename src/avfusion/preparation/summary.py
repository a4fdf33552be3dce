"""Summary of a store, or of one that would be made, as text."""

import json
import math
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from avfusion.corpora import SPLITS, Contents, Corpus
from avfusion.corpora.labels import ClassesOf
from avfusion.corpora.spelling import normalize_name
from avfusion.data.index import Codes, to_numpy
from avfusion.data.protocols import SplitProtocol
from avfusion.data.splits import (
    Plan,
    Splits,
    format_values,
    make_plan,
    number_splits,
    split_clips,
)
from avfusion.data.store import Store
from avfusion.features import AudioFeatures, Features, Stream
from avfusion.features.identity import CLASS, get_name
from avfusion.features.mfcc import SAMPLE_RATE
from avfusion.messages import format_duration, join_items, pluralize, quote_override
from avfusion.preparation.description import (
    count_classes,
    count_kinds,
    count_left_out,
    list_skipped_reasons,
)
from avfusion.preparation.leakage import (
    describe_leaks,
    describe_subject_overlap,
    find_shared_subjects,
    find_split_leaks,
    refuse_splits,
)
from avfusion.preparation.near_duplicates import describe_near_duplicates
from avfusion.preparation.prepare import (
    Preparation,
    find_split_faults,
    get_throughput_path,
    tabulate_recordings,
)
from avfusion.preparation.workers import Throughput
from avfusion.targets import Target, choose_target

MAX_CLASSES = 40  # rows of the table
PREVIEW_BYTES = 2**28  # of files that a preview reads
MIN_CUT_SECONDS = 0.02  # seconds; less is rounding and what encoders add
BATCH_SIZE = 32  # clips, of conf/data/store.yaml
LOSS, MONITOR = "cross_entropy", "accuracy"  # of conf/train.yaml
NO_FACE = "no face found"
# Of the clips that are kept: their sounds as recorded, and what the settings keep of them.
HOUR_COLUMNS = (("hours of sound", "seconds", 1), ("hours kept", "samples", SAMPLE_RATE))
EXAMPLE_FRACTIONS = {"train": 0.7, "val": 0.1, "test": 0.2}
SUMMARY_COLUMNS = ("split", "label", "subject", "note", "seconds", "samples")


def summarize_store(
    path: Path, already_there: bool = False, protocol: SplitProtocol | None = None
) -> str:
    """Summarize what a store holds, what was left out, and how to train on it.

    Of one that was ``already_there`` no throughput is reported: nothing was decoded this time.
    ``protocol`` is that of its corpus.
    """
    store = Store(path)
    description, skipped = store.description, store.description["skipped"]
    state = " is already there" if already_there else ""
    lines = [f"{path}{state}: {len(store)} clips of {description['corpus']}"]
    clips, target = store.columns(*SUMMARY_COLUMNS), choose_target(description)
    lines += tabulate_classes(clips, target)
    if not already_there:
        lines += describe_throughput(path, len(store) + sum(skipped.values()))
    lines += [
        *describe_truncation(store),
        *describe_unused_frames(store),
        *describe_missing_faces(store),
    ]

    if skipped:
        counts = ", ".join(f"{reason} ({count})" for reason, count in skipped.items())
        lines.append(
            f"Skipped {sum(skipped.values())}: {counts}. Each is listed in {path}/report.csv."
        )

    if left_out := description.get("left_out"):
        lines.append(
            f"Left out {pluralize(sum(left_out.values()), 'clip')} of the corpus: "
            f"{list_skipped_reasons(left_out)}. Each is listed in {path}/report.csv."
        )

    if not any(Codes.of(clips["subject"]).names):
        lines.append("Nothing says who is in which clip: that splits share nobody is unknown.")
    assigned = tabulate_clips(store)
    own_splits = Splits(number_splits(Codes.of(store.columns("split")["split"])), "", {}, path)
    leaks = find_split_leaks(store, own_splits, target.classes_of)
    allowed = {*description["allowed_leaks"]}
    recorded = {name: found for name, found in leaks.items() if name in allowed}
    for name, found in (recorded | description["leaks"]).items():
        if found:
            lines.append(f"{name} ({len(found)}), which every result records: {join_items(found)}")

    lines += describe_near_duplicates(store)
    shared = find_shared_subjects(assigned)
    faults = describe_leaks(leaks, allowed)
    if shared and "subject_overlap" in allowed:
        lines.append(
            f"The splits of the corpus share {pluralize(len(shared), 'subject')} by design, which "
            f"every result records: {join_items(shared)}"
        )
    elif shared:
        faults.insert(0, describe_subject_overlap(assigned))

    if list_computed(store):
        lines += tabulate_streams(store)

    if faults:
        lines += ["Training by the splits of the corpus is refused:", *faults]

    return "\n".join([*lines, *describe_next_command(store, protocol)])


def list_computed(store: Store) -> dict[str, Stream]:
    """List the streams that decoding does not give: computed by encoders, or precomputed."""
    streams = store.streams.items()
    return {k: one for k, one in streams if one.encoder is not None or k in store.computed}


def tabulate_streams(store: Store) -> list[str]:
    """Lines of a table of the streams of a store: what they hold, their size, and who made them."""
    rows = [("stream", "modality", "kind", "item", "steps/s", "MB", "made by")]
    for name, stream in store.streams.items():
        shape = [str(number) for number in stream.shape]
        if stream.kind == "sequence":
            shape[bool(stream.layers)] = f"<={shape[bool(stream.layers)]}"
        files = (path for path in (store.root / name).rglob("*") if path.is_file())
        size = sum(path.stat().st_size for path in files) / 1e6
        maker = stream.weights or "decoding"
        if stream.encoder is not None:
            kind = str(stream.encoder.get("_target_", "")).rpartition(".")[2]
            digest = f", sha256 {stream.sha256[:12]}" if stream.sha256 else ""
            maker = f"{kind} on {stream.reads}, weights: {stream.weights}{digest}"
            if name in store.computed and (bits := store.computed[name].precision) != "32":
                maker += f", {bits}"
        rate = f"{stream.rate:g}" if stream.rate else ""
        item = f"{' x '.join(shape)} {stream.dtype}"
        rows.append((name, stream.modality, stream.kind, item, rate, f"{size:.1f}", maker))

    widths = [max(len(row[column]) for row in rows) + 2 for column in range(6)]
    return [
        "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)) + row[-1]
        for row in rows
    ]


def list_streams(plan: Preparation) -> str:
    """Say which streams the store of a corpus has under some settings."""
    if not plan.root.exists():
        return f"{plan.root} is not there: prepare the corpus without prepare.streams=false."
    store = Store(plan.root)
    return "\n".join([f"{plan.root}: {len(store)} clips", *tabulate_streams(store)])


def tabulate_clips(store: Store) -> pa.Table:
    """Split and subject of the clips that the corpus itself assigns to a split."""
    clips = store.columns("split", "subject")
    return clips.filter(pc.is_in(clips["split"], pa.array(SPLITS)))


def describe_truncation(store: Store) -> list[str]:
    """Line about the sound that the settings leave out, and the keys that keep it."""
    clips = store.columns("has_audio", "start", "seconds", "samples")
    heard = clips.filter(pc.and_(clips["has_audio"], pc.is_null(clips["start"])))
    lengths = to_numpy(heard["seconds"])
    left = lengths - to_numpy(heard["samples"]) / SAMPLE_RATE
    shorter = left[left > MIN_CUT_SECONDS]
    if not len(shorter):
        return []
    settings, longest = store.description["features"]["audio"], lengths.max()
    keys = [] if settings.get("crop") == "whole" else ["features.audio.crop=whole"]
    if longest > settings.get("max_duration", longest):
        keys.append(f"features.audio.max_duration={math.ceil(longest)}")
    verb = "keeps" if len(keys) == 1 else "keep"
    cure = f"{' '.join(keys)} {verb} it" if "crop" in settings else "see the settings of its class"

    return [
        f"{format_share(shorter.sum(), lengths.sum())} of the sound is cut off "
        f"({format_duration(shorter.sum())} of {format_duration(lengths.sum())}, in "
        f"{len(shorter)} of {pluralize(len(heard), 'clip')}): {cure}."
    ]


def describe_unused_frames(store: Store) -> list[str]:
    """Line about the pictures that the settings leave out, and the key that keeps them."""
    kept = store.description["features"]["face"].get("num_frames", math.inf)
    clips = store.columns("has_face", "pictures")
    counts = to_numpy(clips.filter(clips["has_face"])["pictures"])
    if not len(counts) or counts.max() <= kept:
        return []
    more = counts[counts > kept]
    left, total = int(more.sum()) - len(more) * kept, int(counts.sum())

    return [
        f"{format_share(left, total)} of the pictures are left out ({left} of {total}, in "
        f"{len(more)} of {pluralize(len(counts), 'clip')}): a clip keeps "
        f"features.face.num_frames={kept}, and has up to {counts.max()}."
    ]


def describe_missing_faces(store: Store) -> list[str]:
    """Line about the clips in which the detector has found no face."""
    detector = store.description["features"]["face"].get("detector", "none")
    if detector == "none":
        return []
    columns = store.columns("has_face", "note")
    looked = to_numpy(columns["has_face"])
    notes = Codes.of(columns["note"]).counts(looked)
    whole = sum(count for note, count in notes.items() if NO_FACE in note)
    skipped = store.description["skipped"].get(NO_FACE, 0)
    missed, clips = whole + skipped, notes.total() + skipped
    if not missed:
        return [f"A face was found in each of {pluralize(clips, 'clip')}."] if clips else []
    line = (
        f"No face was found in {missed} of {pluralize(clips, 'clip')} "
        f"({format_share(missed, clips)}) by features.face.detector={detector}"
    )
    if not whole:
        return [f"{line}: features.policies.no_face=whole keeps them, with the picture whole."]

    return [
        f"{line}, whose pictures are used whole: features.policies.no_face=skip leaves them out."
    ]


def format_share(part: float, whole: float) -> str:
    """Part in percent; what is neither nothing nor all is never rounded to it."""
    percent = 100 * part / whole
    if percent < 1:
        return "less than 1 %"
    return f"{min(percent, 99) if part < whole else 100:.0f} %"


def describe_next_command(store: Store, protocol: SplitProtocol | None = None) -> list[str]:
    """Describe what a store can be used for, with the command, which runs as it is printed."""
    overrides = f"data=store {quote_override('data.store', store.root)}"
    assigned = tabulate_clips(store)
    own, drawn = (count_usable(store, make_plan(plan)) for plan in (None, EXAMPLE_FRACTIONS))
    train, test = (
        f"  python src/train.py {overrides}",
        f"  python src/eval.py ckpt_path=<run> {overrides}",
    )
    if own["train"] and own["val"]:
        shared = ["data.allow_subject_overlap=true"] * bool(find_shared_subjects(assigned))
        return ["Train on it with:", " ".join([train, *shared, *suggest_overrides(store, own)])]
    if own["test"] and not own["train"]:
        return ["Test on it with:", test]

    folds = count_usable(store, protocol.make_plan(0, 0)) if protocol is not None else own
    if protocol is not None and folds["train"] and folds["val"]:
        shares = {"subject_overlap"} & {*store.description["allowed_leaks"]}
        options = ["data.allow_subject_overlap=true"] * bool(shares)
        options += [f"data.protocol={protocol.name}", "data.fold=0"]
        return [
            "Train on it by the protocol of its corpus (all folds: -m sweep=folds), one fold with:",
            " ".join([train, *options, *suggest_overrides(store, folds)]),
        ]

    if drawn["train"]:
        options = [
            f"'data.splits={format_values(EXAMPLE_FRACTIONS)}'",
            *suggest_overrides(store, drawn),
        ]
        return [
            "Train on it by fractions, or by other data.splits, with:",
            " ".join([train, *options]),
        ]

    return ["Test on it with:", f"{test} 'data.splits={{test: 1}}'"]


def count_usable(store: Store, plan: Plan) -> dict[str, int]:
    """Count the clips of each split by a plan, none where it is refused."""
    try:
        splits = split_clips(plan, store)
        leaks = find_split_leaks(store, splits, get_class_parser(store))
        refuse_splits(store, splits, leaks, store.description["allowed_leaks"])
    except ValueError:
        return dict.fromkeys(SPLITS, 0)

    return splits.counts()


def get_class_parser(store: Store) -> ClassesOf:
    """Find the function that lists the classes of a label of a store."""
    return choose_target(store.description).classes_of


def suggest_overrides(store: Store, clips: Mapping[str, int]) -> list[str]:
    """Suggest overrides for training on a store, with so many clips in each split."""
    description, options = store.description, []
    if clips["train"] < BATCH_SIZE:  # a few steps in each epoch
        options.append(f"data.batch_size={1 << max(1, clips['train'] // 4).bit_length() - 1}")
    if not clips["test"]:
        options.append("data.eval_split=val")
    target = choose_target(description)
    if target.losses[0] != LOSS:
        options.append(f"loss={target.losses[0]}")
    if MONITOR not in target.scores:
        options.append(f"monitor=val/{target.scores[0]}")
    computed = list_computed(store)
    for modality in ("face", "audio"):
        names = [name for name, one in computed.items() if one.modality == modality]
        if names:
            newest = max(names, key=lambda name: _find_date(store.root / name))
            options.append(f"{modality}={newest}")

    if any(one.modality == "audio" for one in computed.values()):
        return options
    heard = store.shown("audio")
    if heard != AudioFeatures.stream:
        options.append(f"model.network.audio_encoder.stream={heard}")
        options.append(f"data.augmentation.audio.stream={heard}")

    if description["features"]["audio"][CLASS] != get_name(AudioFeatures):
        options.append("data.augmentation.audio.band=0")

    return options


def _find_date(folder: Path) -> float:
    return folder.stat().st_mtime if folder.exists() else 0.0


def describe_throughput(path: Path, clips: int) -> list[str]:
    """Line about the time that the preparation took, where it was made here."""
    if not get_throughput_path(path).exists():
        return []
    throughput = Throughput(*json.loads(get_throughput_path(path).read_text(encoding="utf-8")))
    rate = f"{throughput.clips / throughput.seconds:.1f} clips/s"
    part = "" if throughput.clips == clips else f" (of {clips}: the others before an interruption)"
    return [f"{rate}: {throughput.clips} clips{part} in {throughput.seconds:.1f} s."]


def preview_store(
    corpus: Corpus,
    features: Features,
    stores: str | Path,
    limit: int | None,
    share: str | None = None,
) -> str:
    """Summarize what a preparation would do; nothing is decoded or written."""
    plan = Preparation(corpus, features, stores, limit, share)
    contents = plan.contents
    clip_bytes = sum(stream.clip_bytes for stream in features.streams.values())
    size = len(contents.recordings) * clip_bytes / 1e9
    computed = [encoder.stream for encoder in features.encoders]
    more = f" and what is computed of them: {', '.join(computed)}" if computed else ""
    lines = [
        f"{describe_state(plan)}: {len(contents.recordings)} clips of {corpus.name}, "
        f"{size:.2f} GB{more}"
    ]
    lines += tabulate_classes(tabulate_recordings(contents), choose_target(contents._asdict()))
    lines += describe_left_out(plan.whole)
    lines += plan.whole.faults
    faults = find_split_faults(plan.whole, corpus.allowed_leaks)
    if faults:
        lines += ["Training by the splits of the corpus will be refused:", *faults]

    return "\n".join(lines)


def describe_state(plan: Preparation) -> str:
    """Describe whether a store is there or begun, if that takes no long reading of files."""
    unread = plan.count_unread_bytes()
    if unread > PREVIEW_BYTES:
        return (
            f"A store in {plan.stores}, whose name needs all files read ({unread / 1e9:.1f} GB), "
            "would be written if it is not there"
        )
    root = plan.root
    if plan.is_done:
        return f"{root} is already there"
    if Path(f"{root}.parts").exists():
        return f"{root} is begun, {count_written(root)} clips at least; it would be gone on with"
    return f"{root} would be written"


def describe_left_out(contents: Contents) -> list[str]:
    """Lines about the clips that a corpus has and does not offer, by reason, some by name."""
    lines = []
    for reason, count in count_left_out(contents).most_common():
        clips = [clip for clip in contents.left_out if clip.reason == reason]
        named = [
            f"{clip.clip_id} ({clip.detail})" if clip.detail else clip.clip_id for clip in clips
        ]
        lines.append(f"{pluralize(count, 'clip')} left out, {reason}: {join_items(named, 5)}")

    return lines


def count_written(root: Path) -> int:
    """Count the clips that an interrupted preparation has written."""
    journals = Path(f"{root}.parts").glob("*_*.json")
    return sum(journal.read_text(encoding="utf-8").count('"reason"') for journal in journals)


def tabulate_classes(clips: pa.Table, target: Target) -> list[str]:
    """Lines of a table of clips, hours, subjects and classes by the corpus' own split.

    ``clips`` are ``SUMMARY_COLUMNS`` of an index, or those of them that are known before it is
    prepared.
    """
    splits = Codes.of(clips["split"])
    names = list(SPLITS) if splits.where(*SPLITS).any() else ["all"]
    by_split = [splits.where(name) | (name == "all") for name in names]
    lines = [("", *names), ("clips", *(str(int(some.sum())) for some in by_split))]
    for name, column, rate in HOUR_COLUMNS:
        if column in clips.column_names:
            units = to_numpy(clips[column])
            hours = (units[some].sum() / rate / 3600 for some in by_split)
            lines.append((name, *(f"{number:.2f}" for number in hours)))

    subjects = Codes.of(clips["subject"])
    people = [{normalize_name(name) for name in subjects.counts(some)} - {""} for some in by_split]
    lines.append(("subjects", *(str(len(names)) for names in people)))
    label_codes = Codes.of(clips["label"])
    labels = [count_classes(label_codes.counts(some), target.classes_of) for some in by_split]
    for name in target.output_names[:MAX_CLASSES]:
        lines.append((f"  {name}", *(str(count[name]) for count in labels)))
    more = len(target.output_names) - MAX_CLASSES
    if more > 0:
        lines.append((f"  and {more} more classes", *[""] * len(names)))

    if "note" in clips.column_names:
        note_codes = Codes.of(clips["note"])
        notes = [count_kinds(note_codes.counts(some)) for some in by_split]
        for kind in sorted({kind for counts in notes for kind in counts}):
            lines.append((kind, *(str(count[kind]) for count in notes)))

    width = max(len(line[0]) for line in lines) + 2
    rows = (line[0].ljust(width) + "".join(cell.rjust(8) for cell in line[1:]) for line in lines)

    return [row.rstrip() for row in rows]
