"""Computed streams of a store: what frozen encoders make of the streams that it has.

A store is not decoded again and none of its other files changes. The clips are shared out to parts
in the order of the index; a part reads the store, writes a file of values and a journal, each whole
or not at all, and knows of no other part. So whatever ends the work, the parts that are written
stay, and the rest may be computed in any order, by anybody.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from jaxtyping import Float16, Int64
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from torch import nn

from avfusion.console import is_interactive
from avfusion.data.batch import to_float
from avfusion.data.computed import COMPUTED_FORMAT, LENGTHS, MOMENTS_FILE, STREAM_FILE
from avfusion.data.store import WEIGHTS, Store
from avfusion.features.clip import WAVEFORM, Stream
from avfusion.features.mfcc import SAMPLE_RATE
from avfusion.features.streams import (
    ENCODED_KINDS,
    Encoded,
    StreamEncoder,
    check_encoder,
    digest_weights,
)
from avfusion.files import atomic_write, hash_file
from avfusion.messages import format_duration, pluralize
from avfusion.preparation.statistics import Moments
from avfusion.preparation.workers import acquire_lock, check_room

log = logging.getLogger(__name__)
PRECISIONS = ("32", "bf16")
PART_CLIPS = 256  # at most; a part is what a kill loses
PART_SECONDS = 300.0  # of sound, at most
PART_PICTURES = 1024  # at most
BATCH_SECONDS = 120.0  # of sound, on a GPU
BATCH_CLIPS = 32  # at most
BATCH_PICTURES = 32  # that an encoder sees at a time
MAX_PADDING = 0.1  # of the steps of a batch
MAX_CARRIED_BYTES = 100e6  # of weights that travel with the store and with checkpoints
MIN_CUT_SECONDS = 0.02  # of a sound; less is rounding and what codecs add
LOG_SECONDS = 60.0  # between lines about progress, where there is no bar


class Task(NamedTuple):
    """A stream that is to be computed: where, by what, and how.

    ``shape`` is that of an item on disk: of one step of a sequence whose clips differ in length
    (``is_ragged``), of a clip otherwise.
    """

    store: Store
    encoder: StreamEncoder
    module: nn.Module
    device: torch.device
    precision: str
    values: Path  # folder of the files that become the stream
    journals: Path  # folder of what is known of the parts that are written
    shape: tuple[int, ...] = ()
    is_ragged: bool = False

    @property
    def name(self) -> str:
        """Name of the stream."""
        return self.encoder.stream

    @property
    def lengths(self) -> Int64[np.ndarray, "clips"]:
        """Steps that the encoder reads of each clip."""
        if self.store.streams[self.encoder.reads].kind == "sequence":
            return self.store.lengths(self.encoder.reads)
        return np.ones(len(self.store), np.int64)


class StreamPart(NamedTuple):
    """Clips from row ``first`` of the index to before ``last``, computed on their own."""

    number: int
    first: int
    last: int

    @property
    def name(self) -> str:
        """Name of its files."""
        return f"{self.number:05d}"


def add_stream(
    root: Path,
    encoder: StreamEncoder,
    device: torch.device,
    precision: str = "32",
    verify: bool = True,
) -> None:
    """Compute a stream of a store, unless it has it, or go on with what is begun.

    ``verify`` compares the weights with those of a stream that is there; without it, words that say
    where they come from must do.

    Raises:
        ValueError: the store lacks what the encoder reads, has another stream of that name, or the
            encoder does not give what it promises.
    """
    check_encoder(encoder, f"the encoder of the stream {getattr(encoder, 'stream', None)}")
    if precision not in PRECISIONS:
        raise ValueError(f"prepare.precision must be one of {PRECISIONS}, got {precision}.")
    if is_there(root, encoder, verify):
        return

    with acquire_lock(root.parent, Path(f"{root}.{encoder.stream}")):
        if not is_there(root, encoder, verify):  # another process may have made it meanwhile
            _compute_stream(root, encoder, device, precision)


def is_there(root: Path, encoder: StreamEncoder, verify: bool = False) -> bool:
    """Whether a store has the stream that an encoder computes.

    Raises:
        ValueError: it has another one of that name.
    """
    found = Store(root).streams.get(encoder.stream)
    if found is None:
        return False

    place = f"{root / encoder.stream}"
    other = (
        f"give the new one another name (its key stream, as in features.audio_stream.stream="
        f"{encoder.stream}_2), or delete {place}."
    )
    if found.encoder != encoder.recipe():
        raise ValueError(
            f"The stream in {place} was computed by {found.encoder}, not by {encoder.recipe()}: "
            f"{other}"
        )
    if verify or found.weights != encoder.weights:
        digest = digest_module(encoder, encoder.build())
        if digest != found.sha256:
            raise ValueError(
                f"The stream in {place} was computed with the weights of {found.weights} (sha256 "
                f"{found.sha256}), not with those of {encoder.weights} (sha256 {digest}): {other}"
            )
    return True


def digest_module(encoder: StreamEncoder, module: nn.Module) -> str | None:
    """SHA-256 of the weights of an encoder: of its tensors or, without any, of their file."""
    weights = module.state_dict()
    return digest_weights(weights) if weights else encoder.sha256


def choose_device(name: str) -> torch.device:
    """Device of this name; ``auto`` is a GPU where there is one.

    Raises:
        ValueError: where there is no such device.
    """
    if name == "auto":
        kinds = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        name = next((kind for kind, available in kinds.items() if available), "cpu")

    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0]
        raise ValueError(
            f"prepare.device={name} cannot compute streams ({reason}): use auto, cpu, or a GPU "
            "that torch sees, such as cuda:0."
        ) from error

    return device


def _compute_stream(
    root: Path, encoder: StreamEncoder, device: torch.device, precision: str
) -> None:
    store, name = Store(root), encoder.stream
    check_input(store, encoder)
    module = encoder.build()
    has_tensors = any(True for _ in (*module.parameters(), *module.buffers()))
    device = device if has_tensors else torch.device("cpu")
    folders = Path(f"{root}.{name}.partial"), Path(f"{root}.{name}.parts")
    task = Task(store, encoder, module.to(device), device, precision, *folders)
    digest = digest_module(encoder, module)
    begin_folders(task, {"encoder": encoder.recipe(), "sha256": digest, "precision": precision})

    parts = share_out(task)
    task = measure_items(task)
    started, clips = perf_counter(), 0
    for part in show_progress(name, [part for part in parts if not is_written(task, part)]):
        write_part(task, part)
        clips += part.last - part.first

    seconds = perf_counter() - started
    log.info("%s: %s in %s", name, pluralize(clips, "clip"), format_duration(seconds))
    finish_stream(task, parts, digest)


def check_input(store: Store, encoder: StreamEncoder) -> None:
    """Refuse to compute a stream of what a store does not have; warn of sounds that are cut."""
    reads, there = encoder.reads, store.streams
    if reads not in there or not (store.root / reads).is_dir():
        raise ValueError(
            f"The stream {encoder.stream} is computed from {reads}, which the store in "
            f"{store.root} does not have, only {', '.join(there)}: prepare the corpus again, with "
            "features that give it."
        )
    if there[reads].encoder is not None:
        raise ValueError(
            f"The stream {encoder.stream} would be computed from {reads}, which an encoder has "
            "computed itself: let it read what was decoded, such as waveform or frames."
        )
    if not store.has_modality(reads).any():
        raise ValueError(
            f"No clip of the store in {store.root} has {there[reads].modality}, which the stream "
            f"{encoder.stream} is computed from."
        )

    if reads == WAVEFORM:
        clips = store.columns("seconds", "samples", "start", "has_audio").to_pydict()
        whole = sum(clips["seconds"])
        cut = sum(
            max(0.0, seconds - samples / SAMPLE_RATE)
            for seconds, samples, start, heard in zip(*clips.values(), strict=True)
            if heard and start is None
        )
        if cut > MIN_CUT_SECONDS * len(store):
            log.warning(
                "%.0f %% of the sound was cut off when %s was prepared, and the stream %s does not "
                "hear it: features.audio.crop=whole keeps sounds whole, up to "
                "features.audio.max_duration.",
                100 * cut / whole,
                store.root,
                encoder.stream,
            )


def begin_folders(task: Task, identity: dict[str, Any]) -> None:
    """Go on with the files of the same encoder, or delete those of another one, and begin."""
    told = task.journals / "encoder.json"
    text = json.dumps(identity)
    if told.exists() and told.read_text(encoding="utf-8") != text:
        log.warning("%s was begun with another encoder: it is begun again.", task.values)
        shutil.rmtree(task.journals)
        shutil.rmtree(task.values, ignore_errors=True)
    for folder in (task.values, task.journals):
        folder.mkdir(exist_ok=True)
    with atomic_write(told) as partial:
        partial.write_text(text, encoding="utf-8")


def share_out(task: Task) -> list[StreamPart]:
    """Share the clips out to parts, the same ones whenever and wherever they are computed."""
    store, reads = task.store, task.store.streams[task.encoder.reads]
    is_sound = reads.modality == "audio"
    seconds = store.column("samples") / SAMPLE_RATE if is_sound else np.zeros(len(store))
    pictures = 1 if is_sound else reads.shape[0]
    most = max(1, min(PART_CLIPS, PART_PICTURES // pictures))

    firsts, held = [0], 0.0
    for row, length in enumerate(seconds.tolist()):
        if row > firsts[-1] and (row - firsts[-1] >= most or held + length > PART_SECONDS):
            firsts.append(row)
            held = 0.0
        held += length
    ends = [*firsts[1:], len(store)]
    return [StreamPart(number, *rows) for number, rows in enumerate(zip(firsts, ends, strict=True))]


def is_written(task: Task, part: StreamPart) -> bool:
    """Whether values and journal of a part are there."""
    return (task.journals / f"{part.name}.npz").exists()


def measure_items(task: Task) -> Task:
    """Encode the first clip, check what comes of it, and refuse what the disk cannot hold."""
    rows = np.flatnonzero(task.store.has_modality(task.encoder.reads))
    row = rows[:1]
    encoded = encode(task, row)
    check_encoded(task, encoded)
    values = arrange(task, encoded, row)[0]
    is_ragged = encoded.lengths is not None
    task = task._replace(shape=values.shape[is_ragged:], is_ragged=is_ragged)

    clips: float = len(task.store)
    if is_ragged:  # as many steps as there are in the first clip for its length
        clips = task.lengths[rows].sum() / task.lengths[row].sum()
    needed = round(values.nbytes * clips)
    log.info("%s: %s, %.3f GB", task.name, pluralize(len(rows), "clip"), needed / 1e9)
    check_room(task.values, needed)
    return task


def check_encoded(task: Task, encoded: Encoded) -> None:
    """Refuse an encoder that does not give what its module says."""
    module: Any = task.module
    axes = {"vector": 1, "sequence": 2, "maps": 4}
    said = {name: getattr(module, name, None) for name in ("kind", "layers", "offset")}
    good = said["kind"] in ENCODED_KINDS and None not in said.values() and hasattr(module, "rate")
    good = good and (encoded.lengths is None or module.kind == "sequence")
    if not good or encoded.values.ndim != 1 + axes[module.kind] + bool(module.layers):
        lengths = "no lengths" if encoded.lengths is None else "lengths"
        raise ValueError(
            f"The encoder of {task.name} ({type(module).__name__}) gives values of shape "
            f"{tuple(encoded.values.shape)} with {lengths} and says of them {said}: make them "
            "agree, as avfusion/features/streams.py says."
        )


def show_progress(title: str, parts: list[StreamPart]) -> Iterator[StreamPart]:
    """Yield parts one after the other, and tell people how many clips are left, and how long."""
    total, done = sum(part.last - part.first for part in parts), 0
    started = told = perf_counter()
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, disable=not is_interactive(), transient=True) as progress:
        bar = progress.add_task(title, total=total)
        for part in parts:
            yield part
            done += part.last - part.first
            progress.advance(bar, part.last - part.first)
            now = perf_counter()
            if progress.disable and now - told > LOG_SECONDS and done < total:
                told, left = now, (now - started) * (total - done) / done
                log.info("%s: %d of %d clips, %s left", title, done, total, format_duration(left))


def write_part(task: Task, part: StreamPart) -> None:
    """Compute the values of a part; write them, and then its journal."""
    rows = np.arange(part.first, part.last)
    rows = rows[task.store.has_modality(task.encoder.reads)[rows]]
    found: dict[int, np.ndarray] = {}
    for batch in group_rows(task, rows):
        values = arrange(task, encode(task, batch), batch)
        found |= zip(batch.tolist(), values, strict=True)

    nothing = np.zeros((0, *task.shape) if task.is_ragged else task.shape, np.float16)
    clips = [found.get(row, nothing) for row in range(part.first, part.last)]
    with atomic_write(task.values / f"{part.name}.npy") as partial, partial.open("wb") as file:
        np.save(file, np.concatenate(clips) if task.is_ragged else np.stack(clips))

    known: dict[str, Any] = {"lengths": np.array([len(values) for values in clips])}
    if task.module.kind != "vector":
        empty = tabulate(task, nothing)[:0]
        tables = [tabulate(task, found[row]) if row in found else empty for row in range(*part[1:])]
        known["moments"] = np.stack([Moments.of(table).pack() for table in tables])
    with atomic_write(task.journals / f"{part.name}.npz") as partial, partial.open("wb") as file:
        np.savez(file, **known)


def group_rows(task: Task, rows: Int64[np.ndarray, "rows"]) -> Iterator[Int64[np.ndarray, "batch"]]:
    """Share some clips out to batches of like lengths, each in the order of the store."""
    reads = task.store.streams[task.encoder.reads]
    if reads.kind != "sequence":
        most = BATCH_CLIPS if reads.modality == "audio" else BATCH_PICTURES // reads.shape[0]
        yield from np.split(rows, np.arange(0, len(rows), max(1, most))[1:])
        return

    lengths = task.lengths
    budget = BATCH_SECONDS * (reads.rate or SAMPLE_RATE)
    if task.device.type == "cpu":  # a clip then has the same bytes wherever it is computed
        budget = 0
    batch: list[int] = []
    for row in rows[np.argsort(-lengths[rows], kind="stable")].tolist():  # the longest first
        longest = lengths[batch[0]] if batch else 0
        is_full = (len(batch) + 1) * longest > budget or len(batch) == BATCH_CLIPS
        if batch and (is_full or lengths[row] < (1 - MAX_PADDING) * longest):
            yield np.sort(batch)
            batch = []
        batch.append(row)
    if batch:
        yield np.sort(batch)


@torch.inference_mode()
def encode(task: Task, rows: Int64[np.ndarray, "batch"]) -> Encoded:
    """Encode a batch; convolutions on a GPU get no fewer digits than on a CPU."""
    store, name, device = task.store, task.encoder.reads, task.device
    values = to_float(store.read(name, rows).to(device))
    lengths = None
    if store.streams[name].kind == "sequence":
        lengths = torch.from_numpy(store.lengths(name).take(rows)).to(device)

    with ExitStack() as stack:
        stack.enter_context(torch.backends.cudnn.flags(enabled=True, allow_tf32=False))
        if task.precision == "bf16":
            stack.enter_context(torch.autocast(device.type, torch.bfloat16))
        encoded: Encoded = task.module(values, lengths)
    return encoded


def arrange(
    task: Task, encoded: Encoded, rows: Int64[np.ndarray, "batch"]
) -> list[Float16[np.ndarray, "*item"]]:
    """Arrange values as they lie on disk, those of each clip on their own: steps come first."""
    values = encoded.values.half().cpu().numpy()
    if task.module.kind == "sequence" and task.module.layers:
        values = values.swapaxes(1, 2)
    clips = list(values)
    if encoded.lengths is not None:
        clips = [clip[:steps] for clip, steps in zip(clips, encoded.lengths.tolist(), strict=True)]

    for row, clip in zip(rows.tolist(), clips, strict=True):
        if not np.isfinite(clip).all():
            raise ValueError(
                f"The values of the stream {task.name} exceed what 16 bits hold (65504), or are "
                f"not numbers, in clip {task.store.record(row).clip_id}: choose another encoder or "
                "layer, such as one that normalizes what it gives."
            )
        if task.shape and clip.shape[task.is_ragged :] != task.shape:
            raise ValueError(
                f"The encoder of {task.name} gives clip {task.store.record(row).clip_id} values of "
                f"shape {clip.shape}, and others of {task.shape}: only the number of steps may "
                "differ, and only where it gives lengths."
            )
    return clips


def tabulate(
    task: Task, values: Float16[np.ndarray, "*item"]
) -> Float16[np.ndarray, "rows columns"]:
    """Arrange the values of a clip as a table with a column for each feature, or channel."""
    if task.module.kind == "maps":
        return values.transpose(0, 2, 3, 1).reshape(-1, values.shape[1])
    return values.reshape(len(values), int(np.prod(values.shape[1:])))


def finish_stream(task: Task, parts: list[StreamPart], digest: str | None) -> None:
    """Write what is known of all clips, and move the stream into its place."""
    folder, module = task.values, cast(Any, task.module)
    journals = (np.load(task.journals / f"{part.name}.npz") for part in parts)
    lengths = np.zeros(len(task.store), np.int64)
    moments: np.memmap[Any, Any] | None = None
    for part, journal in zip(parts, journals, strict=True):
        lengths[part.first : part.last] = journal["lengths"]
        if "moments" in journal:
            if moments is None:
                shape = (len(task.store), journal["moments"].shape[1])
                moments = np.lib.format.open_memmap(folder / MOMENTS_FILE, "w+", np.float64, shape)
            moments[part.first : part.last] = journal["moments"]
    if moments is not None:
        moments.flush()

    axes: list[int] = list(task.shape)
    if task.is_ragged:
        np.save(folder / LENGTHS, lengths)
        axes.insert(0, int(lengths.max()))
    if module.kind == "sequence" and module.layers:
        axes[:2] = axes[1::-1]
    weights = {name: value.cpu() for name, value in module.state_dict().items()}
    if weights and sum(value.nbytes for value in weights.values()) <= MAX_CARRIED_BYTES:
        torch.save(weights, folder / WEIGHTS)

    encoder = task.encoder
    stream = Stream(
        encoder.modality,
        module.kind,
        tuple(axes),
        "float16",
        rate=module.rate,
        offset=module.offset,
        layers=module.layers,
        encoder=encoder.recipe(),
        reads=encoder.reads,
        source=encoder.source(),
        weights=encoder.weights,
        sha256=digest,
    )
    files = sorted(file.name for file in folder.iterdir() if file.name != STREAM_FILE)
    described = {
        "format": COMPUTED_FORMAT,
        "stream": stream.plain(),
        "precision": task.precision,
        "clips": len(task.store),
        "firsts": [part.first for part in parts],
        "ragged": task.is_ragged,
        "checksums": {name: hash_file(folder / name) for name in files},
    }
    (folder / STREAM_FILE).write_text(json.dumps(described, indent=1), encoding="utf-8")
    os.replace(folder, task.store.root / task.name)
    shutil.rmtree(task.journals)
