"""Computed streams of a store: outputs of frozen encoders for the streams that it has.

A store is not decoded again and none of its other files changes. The clips are split into
chunks in the order of the index; the job of a chunk reads the store, writes a file of values and a
journal, each whole or not at all, and depends on no other chunk. So whatever ends the work, the
chunks that are written stay, and the rest may be computed in any order, by any executor.
"""

import json
import logging
import os
import pickle
import secrets
import shutil
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from time import perf_counter
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Int64, Shaped
from torch import Tensor, nn

from avfusion.data.batch import to_float
from avfusion.data.checks import check_recorded
from avfusion.data.computed import COMPUTED_FORMAT, LENGTHS_FILE, MOMENTS_FILE, STREAM_FILE
from avfusion.data.store import WEIGHTS_FILE, Store
from avfusion.features.clip import WAVEFORM, Stream
from avfusion.features.face import FRAMES
from avfusion.features.mfcc import SAMPLE_RATE
from avfusion.features.recorded import RecordedEncoder
from avfusion.features.streams import (
    ENCODED_KINDS,
    Encoded,
    StreamEncoder,
    check_encoder,
    digest_weights,
)
from avfusion.files import atomic_write, hash_file
from avfusion.messages import format_duration, pluralize
from avfusion.preparation.attempts import run_workload
from avfusion.preparation.executors import Executor, Workload
from avfusion.preparation.executors.local import InProcess
from avfusion.preparation.statistics import Moments
from avfusion.preparation.workers import STREAM_CHUNK_CLIPS, acquire_lock, check_disk_space

log = logging.getLogger(__name__)
PRECISIONS = ("32", "bf16")
CHUNK_FORMAT = 2  # those that were begun otherwise are begun again
CHUNK_SECONDS = 300.0  # of sound, at most
CHUNK_PICTURES = 1024  # at most
BATCH_SECONDS = 120.0  # of sound, on a GPU
BATCH_CLIPS = 32  # at most
BATCH_PICTURES = 32  # that an encoder sees at a time
MAX_PADDING = 0.1  # of the steps of a batch
MAX_CARRIED_BYTES = 100e6  # of weights that travel with the store and with checkpoints
MIN_CUT_SECONDS = 0.02  # of a sound; less is rounding and what codecs add


Rows = Int64[np.ndarray, "_"]  # of the index


class StreamPlan(NamedTuple):
    """A stream that is to be written: its encoder, its clips, and its files.

    ``encoder`` has kind, layers, rate and offset of the output of ``compute`` for a batch of clips;
    ``group`` splits clips into batches. ``has_values`` marks the clips that have values,
    ``lengths`` are those of the input. ``shape`` is that of an item on disk: of one step of a
    sequence whose clips differ in length (``is_ragged``), of a clip otherwise.
    """

    store: Store
    name: str
    modality: str
    encoder: Any
    compute: Callable[[Rows], Encoded]
    group: Callable[[Rows], Iterable[Rows]]
    has_values: Bool[np.ndarray, "clips"]
    lengths: Int64[np.ndarray, "clips"]
    shape: tuple[int, ...] = ()
    is_ragged: bool = False

    @property
    def dtype(self) -> str:
        """Type of the numbers: of 16 bits, where nothing else is said."""
        return str(getattr(self.encoder, "stored_dtype", "float16"))

    @property
    def values(self) -> Path:
        """Folder of the files that become the stream."""
        return Path(f"{self.store.root}.{self.name}.partial")

    @property
    def journals(self) -> Path:
        """Folder of the journals of the chunks that are written."""
        return Path(f"{self.store.root}.{self.name}.parts")


class StreamChunk(NamedTuple):
    """Clips from row ``first`` of the index to before ``last``, computed on their own."""

    number: int
    first: int
    last: int

    @property
    def name(self) -> str:
        """Name of its files."""
        return f"{self.number:05d}"


class EncodingJob(NamedTuple):
    """A chunk of a stream, for a worker that has nothing but the store and the encoder's recipe.

    ``device`` is a name as ``choose_device`` takes it, ``sha256`` that of the weights; shapes are
    those of ``StreamPlan``.
    """

    root: Path
    encoder: StreamEncoder
    device: str
    precision: str
    sha256: str | None = None
    shape: tuple[int, ...] = ()
    is_ragged: bool = False
    chunk: StreamChunk = StreamChunk(0, 0, 0)

    @property
    def name(self) -> str:
        """Name of its files."""
        return self.chunk.name


def add_stream(
    root: Path,
    encoder: StreamEncoder,
    device: torch.device | str,
    precision: str | None = None,
    verify: bool = True,
    executor: Executor | None = None,
) -> None:
    """Compute a stream of a store, unless it has it, or go on with what is begun.

    ``device`` is the one of this machine or, for an ``executor`` of other machines, a name that is
    looked up there; without an executor, this process computes. ``verify`` compares the weights
    with those of a stream that is there; without it, words that say where they come from must do.
    Without a ``precision``, a stream of any is right, and a new one is computed in 32 bits.

    Raises:
        ValueError: the store lacks what the encoder reads, has another stream of that name, or the
            encoder does not give what it promises.
    """
    check_encoder(encoder, f"the encoder of the stream {getattr(encoder, 'stream', None)}")
    if precision not in (*PRECISIONS, None):
        raise ValueError(f"prepare.precision must be one of {PRECISIONS}, got {precision}.")
    if has_stream(root, encoder, verify, precision):
        return

    name = encoder.stream
    with acquire_lock(root.parent, Path(f"{root}.{name}"), f"stream {name} of {root.name}"):
        # Another process may have made it meanwhile.
        if not has_stream(root, encoder, verify, precision):
            _compute_stream(root, encoder, device, precision or "32", executor or InProcess())


def has_stream(
    root: Path, encoder: StreamEncoder, verify: bool = False, precision: str | None = None
) -> bool:
    """Whether a store has the stream that an encoder computes.

    Raises:
        ValueError: it has another one of that name.
    """
    store = Store(root)
    found = store.streams.get(encoder.stream)
    if found is None:
        return False

    location = f"{root / encoder.stream}"
    other = (
        f"give the new one another name (its key stream, as in features.audio_stream.stream="
        f"{encoder.stream}_2), or delete {location}."
    )
    if found.encoder != (recipe := to_json(encoder.recipe())):
        raise ValueError(
            f"The stream in {location} was computed by {found.encoder}, not by {recipe}: {other}"
        )
    if encoder.stream in store.computed and precision is not None:
        known = store.computed[encoder.stream].precision
        if known != precision:
            raise ValueError(
                f"The stream in {location} was computed with prepare.precision={known}, not "
                f"{precision}: {other}"
            )
    if verify or found.weights != encoder.weights:
        digest = digest_module(encoder, encoder.build())
        if digest != found.sha256:
            raise ValueError(
                f"The stream in {location} was computed with the weights of {found.weights} "
                f"(sha256 {found.sha256}), not with those of {encoder.weights} (sha256 {digest}): "
                f"{other}"
            )
    return True


def to_json(recipe: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a recipe to values that JSON keeps: tuples become lists."""
    converted: dict[str, Any] = json.loads(json.dumps(recipe))
    return converted


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
    root: Path,
    encoder: StreamEncoder,
    device: torch.device | str,
    precision: str,
    executor: Executor,
) -> None:
    store, reads = Store(root), encoder.reads
    if isinstance(encoder, RecordedEncoder) and not store.has_modality(reads).any():
        _write_empty_stream(store, encoder, precision)
        return

    check_input(store, encoder)
    # An executor of other machines looks for the device there; here the first clip is computed.
    own = torch.device("cpu") if executor.is_remote else torch.device(device)
    plan = plan_stream(store, encoder, own, precision)
    sha256 = digest_module(encoder, plan.encoder)
    weights = {name: value.cpu() for name, value in plan.encoder.state_dict().items()}
    if sum(value.nbytes for value in weights.values()) > MAX_CARRIED_BYTES:
        weights = {}
    job = EncodingJob(root, encoder, str(device), precision, sha256)
    origin = _describe_origin(encoder) | {"sha256": sha256}
    # One process has a GPU of this machine to itself.
    in_process = not executor.is_remote and own.type != "cpu"
    write_stream(plan, origin, precision, weights, InProcess() if in_process else executor, job)


def plan_stream(
    store: Store, encoder: StreamEncoder, device: torch.device, precision: str
) -> StreamPlan:
    """Build an encoder on a device, and plan the stream that it computes of a store."""
    reads = encoder.reads
    module = encoder.build()
    has_tensors = any(True for _ in (*module.parameters(), *module.buffers()))
    device = device if has_tensors else torch.device("cpu")
    read = store.streams[reads]
    is_sequence = read.kind == "sequence"
    lengths = store.lengths(reads) if is_sequence else np.ones(len(store), np.int64)
    return StreamPlan(
        store,
        encoder.stream,
        encoder.modality,
        encoder=module,
        compute=partial(encode_clips, store, reads, module.to(device), device, precision),
        group=partial(group_rows, read, lengths, device),
        has_values=store.has_modality(reads),
        lengths=lengths,
    )


def compute_job(job: EncodingJob) -> None:
    """Compute and write a chunk of a stream, in a process that may know nothing of it yet."""
    encoder = pickle.dumps(job.encoder)
    plan = _open_cached(job.root, encoder, job.device, job.precision, job.sha256)
    compute_chunk(plan._replace(shape=job.shape, is_ragged=job.is_ragged), job.chunk)


@lru_cache(maxsize=1)
def _open_cached(
    root: Path, encoder: bytes, device: str, precision: str, sha256: str | None
) -> StreamPlan:
    """Build an encoder once for all chunks that a process computes, of the same weights."""
    recipe = pickle.loads(encoder)
    plan = plan_stream(Store(root), recipe, choose_device(device), precision)
    found = digest_module(recipe, plan.encoder)
    if found != sha256:
        raise ValueError(
            f"The weights of the stream {recipe.stream} ({recipe.weights}) have the sha256 {found} "
            f"on {socket.gethostname()}, and {sha256} where the preparation was begun: give all "
            "machines the same."
        )
    return plan


def _write_empty_stream(store: Store, encoder: RecordedEncoder, precision: str) -> None:
    """Write a recorded stream of clips that all lack its modality: that needs no weights."""
    described = encoder.described
    is_sequence, shape = described.kind == "sequence", list(described.shape)
    if is_sequence:  # an item is a step, and no clip has any
        shape.pop(bool(described.layers))
    declared = {key: getattr(described, key) for key in ("kind", "layers", "rate", "offset")}
    plan = StreamPlan(
        store,
        encoder.stream,
        encoder.modality,
        encoder=SimpleNamespace(**declared, stored_dtype=described.dtype),
        compute=lambda rows: Encoded(torch.zeros(len(rows), *described.shape)),  # is never asked
        group=lambda rows: (),
        has_values=store.has_modality(encoder.reads),
        lengths=np.zeros(len(store), np.int64),
        shape=tuple(shape),
        is_ragged=is_sequence,
    )
    write_stream(plan, _describe_origin(encoder) | {"sha256": encoder.sha256}, precision)


def _describe_origin(encoder: StreamEncoder) -> dict[str, Any]:
    return {
        "encoder": to_json(encoder.recipe()),
        "reads": encoder.reads,
        "source": to_json(encoder.source()),
        "weights": encoder.weights,
    }


def write_stream(
    plan: StreamPlan,
    origin: dict[str, Any],
    precision: str,
    weights: dict[str, Tensor] | None = None,
    executor: Executor | None = None,
    job: EncodingJob | None = None,
) -> None:
    """Write the chunks of a stream that are not written yet, and move it into place.

    ``origin`` is what its description says of its encoder; a stream that another one had begun is
    begun again. Without an ``executor``, and the ``job`` that its workers are given for each chunk,
    this process writes all of them.
    """
    made = {key: origin[key] for key in ("encoder", "sha256")}
    prepare_folders(plan, made | {"in": precision, "parts": CHUNK_FORMAT})
    chunks = split_into_chunks(plan.store, plan.modality)
    plan = measure_items(plan)
    started = perf_counter()
    pending = [chunk for chunk in chunks if not is_written(plan, chunk)]
    sizes = [chunk.last - chunk.first for chunk in pending]
    if executor is None or job is None or (len(pending) < 2 and not executor.is_remote):
        workload = Workload(
            plan.name, plan.journals, lambda chunk: compute_chunk(plan, chunk), pending, sizes
        )
        executor = InProcess()
    else:
        job = job._replace(shape=plan.shape, is_ragged=plan.is_ragged)
        jobs = [job._replace(chunk=chunk) for chunk in pending]
        workload = Workload(plan.name, plan.journals, compute_job, jobs, sizes)

    def list_clips(job: EncodingJob | StreamChunk) -> list[str]:
        chunk = job if isinstance(job, StreamChunk) else job.chunk
        return [record.clip_id for record in plan.store.records(range(chunk.first, chunk.last))]

    run_workload(
        executor, workload, lambda number: collect_chunk(plan, pending[number]), list_clips
    )
    seconds = perf_counter() - started
    log.info("%s: %s in %s", plan.name, pluralize(sum(sizes), "clip"), format_duration(seconds))
    finish_stream(plan, chunks, origin, precision, weights or {})


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
    check_recorded([reads], store)
    if not store.has_modality(reads).any():
        raise ValueError(
            f"No clip of the store in {store.root} has {there[reads].modality}, which the stream "
            f"{encoder.stream} is computed from."
        )

    if reads == WAVEFORM and not isinstance(encoder, RecordedEncoder):  # as in the training
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


def prepare_folders(plan: StreamPlan, identity: dict[str, Any]) -> None:
    """Go on with the files of the same encoder, or delete those of another one, and begin."""
    identity_file = plan.journals / "encoder.json"
    text = json.dumps(identity)
    if identity_file.exists() and identity_file.read_text(encoding="utf-8") != text:
        log.warning("%s was begun with another encoder: it is begun again.", plan.values)
        identity_file.unlink()
    # Without it, deleting the files of another encoder was interrupted.
    if not identity_file.exists():
        for folder in (plan.values, plan.journals):
            shutil.rmtree(folder, ignore_errors=True)
    for folder in (plan.values, plan.journals):
        folder.mkdir(exist_ok=True)
    with atomic_write(identity_file) as partial:
        partial.write_text(text, encoding="utf-8")


def split_into_chunks(store: Store, modality: str) -> list[StreamChunk]:
    """Split the clips into chunks, the same ones whenever and wherever they are computed.

    A chunk begins every ``STREAM_CHUNK_CLIPS`` recordings, kept or not: so chunks of a share of a
    corpus are chunks of all of it.
    """
    is_sound = modality == "audio"
    seconds = store.column("samples") / SAMPLE_RATE if is_sound else np.zeros(len(store))
    pictures = store.streams[FRAMES].shape[0] if FRAMES in store.streams and not is_sound else 1
    most = max(1, min(STREAM_CHUNK_CLIPS, CHUNK_PICTURES // pictures))
    blocks = zip(store.shard.tolist(), (store.place // STREAM_CHUNK_CLIPS).tolist(), strict=True)

    firsts, held, before = [0], 0.0, None
    for row, (length, block) in enumerate(zip(seconds.tolist(), blocks, strict=True)):
        is_full = row - firsts[-1] >= most or held + length > CHUNK_SECONDS
        if row > firsts[-1] and (is_full or block != before):
            firsts.append(row)
            held = 0.0
        held += length
        before = block
    ends = [*firsts[1:], len(store)]
    return [
        StreamChunk(number, *rows) for number, rows in enumerate(zip(firsts, ends, strict=True))
    ]


def is_written(plan: StreamPlan, chunk: StreamChunk) -> bool:
    """Whether values and journal of a chunk are there."""
    files = (plan.values / f"{chunk.name}.npy", plan.journals / f"{chunk.name}.npz")
    return all(file.exists() for file in files)


def measure_items(plan: StreamPlan) -> StreamPlan:
    """Encode the first clip, check what comes of it, and refuse what the disk cannot hold.

    Where no clip has the modality, the plan knows the shape already.
    """
    rows = np.flatnonzero(plan.has_values)
    if not len(rows):
        return plan
    row = rows[:1]
    encoded = plan.compute(row)
    check_encoded(plan, encoded)
    values = arrange_values(plan, encoded, row)[0]
    is_ragged = encoded.lengths is not None
    plan = plan._replace(shape=values.shape[is_ragged:], is_ragged=is_ragged)

    clips: float = len(plan.store)
    if is_ragged:  # as many steps as there are in the first clip for its length
        clips = plan.lengths[rows].sum() / plan.lengths[row].sum()
    needed = round(values.nbytes * clips)
    log.info("%s: %s, %.4g MB", plan.name, pluralize(len(rows), "clip"), needed / 1e6)
    check_disk_space(plan.values, needed)
    return plan


def check_encoded(plan: StreamPlan, encoded: Encoded) -> None:
    """Refuse an encoder that does not give what its module says."""
    module = plan.encoder
    axes = {"vector": 1, "sequence": 2, "maps": 4}
    declared = {name: getattr(module, name, None) for name in ("kind", "layers", "offset")}
    good = (
        declared["kind"] in ENCODED_KINDS
        and None not in declared.values()
        and hasattr(module, "rate")
    )
    good = good and (encoded.lengths is None or module.kind == "sequence")
    if not good or encoded.values.ndim != 1 + axes[module.kind] + bool(module.layers):
        lengths = "no lengths" if encoded.lengths is None else "lengths"
        raise ValueError(
            f"The encoder of {plan.name} ({type(module).__name__}) gives values of shape "
            f"{tuple(encoded.values.shape)} with {lengths} and declares {declared}: make them "
            "agree, as avfusion/features/streams.py says."
        )


def compute_chunk(plan: StreamPlan, chunk: StreamChunk) -> None:
    """Compute the values of a chunk; write them, and then its journal, which names their file."""
    rows = np.arange(chunk.first, chunk.last)
    rows = rows[plan.has_values[rows]]
    found: dict[int, np.ndarray] = {}
    with compute_in_one_thread():
        for batch in plan.group(rows):
            found |= zip(
                batch.tolist(), arrange_values(plan, plan.compute(batch), batch), strict=True
            )

    nothing = np.zeros((0, *plan.shape) if plan.is_ragged else plan.shape, plan.dtype)
    clips = [found.get(row, nothing) for row in range(chunk.first, chunk.last)]
    # A file of each attempt: another one may be at the same chunk, on a worker taken for lost.
    file = plan.journals / f"{chunk.name}.{secrets.token_hex(8)}.npy"
    with atomic_write(file) as partial, partial.open("wb") as opened:
        np.save(opened, np.concatenate(clips) if plan.is_ragged else np.stack(clips))

    known: dict[str, Any] = {"lengths": np.array([len(values) for values in clips])}
    if plan.encoder.kind != "vector":
        empty = tabulate_values(plan, nothing)[:0]
        tables = [
            tabulate_values(plan, found[row]) if row in found else empty
            for row in range(*chunk[1:])
        ]
        known["moments"] = np.stack([Moments.of(table).pack() for table in tables])
    journal = plan.journals / f"{chunk.name}.npz"
    with atomic_write(journal, concurrent=True) as partial, partial.open("wb") as opened:
        np.savez(opened, **known, values=np.array(file.name))


def collect_chunk(plan: StreamPlan, chunk: StreamChunk) -> None:
    """Move the values of a chunk among those of the stream."""
    with np.load(plan.journals / f"{chunk.name}.npz") as journal:
        os.replace(plan.journals / str(journal["values"]), plan.values / f"{chunk.name}.npy")


@contextmanager
def compute_in_one_thread() -> Iterator[None]:
    """Compute with one thread, by which the bits are the same in every process."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def group_rows(
    reads: Stream, lengths: Int64[np.ndarray, "clips"], device: torch.device, rows: Rows
) -> Iterator[Rows]:
    """Split some clips into batches of similar lengths, each in the order of the store."""
    if device.type == "cpu":  # a clip then has the same bytes wherever it is computed
        yield from rows[:, None]
        return

    if reads.kind != "sequence":
        most = BATCH_CLIPS if reads.kind == "vector" else max(1, BATCH_PICTURES // reads.shape[0])
        yield from np.split(rows, np.arange(most, len(rows), most)) if len(rows) else ()
        return

    budget = BATCH_SECONDS * (reads.rate or SAMPLE_RATE)
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


def encode_clips(
    store: Store,
    reads: str,
    module: nn.Module,
    device: torch.device,
    precision: str,
    rows: Rows,
) -> Encoded:
    """Encode some clips of a store as a batch."""
    lengths = None
    if store.streams[reads].kind == "sequence":
        lengths = torch.from_numpy(store.lengths(reads).take(rows))
    return run_encoder(module, store.read(reads, rows), lengths, device, precision)


@torch.inference_mode()
def run_encoder(
    module: nn.Module,
    values: Shaped[Tensor, "batch *item"],
    lengths: Int[Tensor, "batch"] | None,
    device: torch.device,
    precision: str,
) -> Encoded:
    """Encode values of a store; convolutions on a GPU get no fewer digits than on a CPU."""
    values = to_float(values.to(device))
    lengths = None if lengths is None else lengths.to(device)
    with ExitStack() as stack:
        if device.type == "cuda":
            stack.enter_context(torch.backends.cudnn.flags(enabled=True, allow_tf32=False))
        if precision == "bf16":
            stack.enter_context(torch.autocast(device.type, torch.bfloat16))
        encoded: Encoded = module(values, lengths)
    return encoded


def arrange_values(
    plan: StreamPlan, encoded: Encoded, rows: Int64[np.ndarray, "batch"]
) -> list[Float[np.ndarray, "*item"]]:
    """Arrange values as they lie on disk, those of each clip on their own: steps come first."""
    values = encoded.values.to(getattr(torch, plan.dtype)).cpu().numpy()
    if plan.encoder.kind == "sequence" and plan.encoder.layers:
        values = values.swapaxes(1, 2)
    clips = list(values)
    if encoded.lengths is not None:
        clips = [clip[:steps] for clip, steps in zip(clips, encoded.lengths.tolist(), strict=True)]

    for row, clip in zip(rows.tolist(), clips, strict=True):
        if not np.isfinite(clip).all():
            raise ValueError(
                f"The values of the stream {plan.name} exceed what 16 bits hold (65504), or are "
                f"not numbers, in clip {plan.store.record(row).clip_id}: choose another encoder or "
                "layer, such as one that normalizes what it gives."
            )
        if plan.shape and clip.shape[plan.is_ragged :] != plan.shape:
            raise ValueError(
                f"The encoder of {plan.name} gives clip {plan.store.record(row).clip_id} values of "
                f"shape {clip.shape}, and others of {plan.shape}: only the number of steps may "
                "differ, and only where it gives lengths."
            )
    return clips


def tabulate_values(
    plan: StreamPlan, values: Float[np.ndarray, "*item"]
) -> Float[np.ndarray, "rows columns"]:
    """Arrange the values of a clip as a table with a column for each feature, or channel."""
    if plan.encoder.kind == "maps":
        return values.transpose(0, 2, 3, 1).reshape(-1, values.shape[1])
    return values.reshape(len(values), int(np.prod(values.shape[1:])))


def finish_stream(
    plan: StreamPlan,
    chunks: list[StreamChunk],
    origin: dict[str, Any],
    precision: str,
    weights: dict[str, Tensor],
) -> None:
    """Write lengths, moments and description of a stream, and move it into place."""
    folder, encoder = plan.values, plan.encoder
    lengths = np.zeros(len(plan.store), np.int64)
    moments: np.memmap[Any, Any] | None = None
    for chunk in chunks:
        with np.load(plan.journals / f"{chunk.name}.npz") as journal:
            lengths[chunk.first : chunk.last] = journal["lengths"]
            found = journal.get("moments")
        if found is not None:
            if moments is None:
                shape = (len(plan.store), found.shape[1])
                moments = np.lib.format.open_memmap(folder / MOMENTS_FILE, "w+", np.float64, shape)
            moments[chunk.first : chunk.last] = found
    if moments is not None:
        moments.flush()

    axes: list[int] = list(plan.shape)
    if plan.is_ragged:
        np.save(folder / LENGTHS_FILE, lengths)
        axes.insert(0, int(lengths.max()))
    if encoder.kind == "sequence" and encoder.layers:
        axes[:2] = axes[1::-1]
    if weights:
        torch.save(weights, folder / WEIGHTS_FILE)

    stream = Stream(
        plan.modality,
        encoder.kind,
        tuple(axes),
        plan.dtype,
        rate=encoder.rate,
        offset=encoder.offset,
        layers=encoder.layers,
        **origin,
    )
    files = sorted(file.name for file in folder.iterdir() if file.name != STREAM_FILE)
    described = {
        "format": COMPUTED_FORMAT,
        "stream": stream.plain(),
        "precision": precision,
        "clips": len(plan.store),
        "firsts": [chunk.first for chunk in chunks],
        "ragged": plan.is_ragged,
        "checksums": {name: hash_file(folder / name) for name in files},
    }
    (folder / STREAM_FILE).write_text(json.dumps(described, indent=1), encoding="utf-8")
    os.replace(folder, plan.store.root / plan.name)
    shutil.rmtree(plan.journals, ignore_errors=True)  # one may be in use, on NFS
