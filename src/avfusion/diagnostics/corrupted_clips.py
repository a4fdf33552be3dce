"""Clips of a store as a network reads them when sounds or pictures are corrupted.

A store keeps waveforms and frames. Whatever else a network reads is computed of the corrupted ones
again, as preparation computed it: audio frames such as MFCC by the features of the store, other
streams by the encoder that is recorded with them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from avfusion.data.batch import Clips
from avfusion.data.checks import check_recorded
from avfusion.data.store import Store
from avfusion.diagnostics.corruptions import TALKERS, Corruption, derive_generator
from avfusion.features import build_prediction_features
from avfusion.features.clip import WAVEFORM, Stream
from avfusion.features.face import FRAMES
from avfusion.features.recorded import RecordedEncoder
from avfusion.preparation.streams import BATCH_CLIPS, run_encoder

SOURCE_STREAMS = {"face": FRAMES, "audio": WAVEFORM}  # what is corrupted of a modality
# Relative to a stored number, and to their deviation: what another device, or more threads, round.
TOLERANCE = 0.02

Rows = Int64[np.ndarray, "_"]  # of the index
Item = np.ndarray  # a stream of one clip, of its true length
Locations = Mapping[str, Mapping[str, Any]]


class Computation(NamedTuple):
    """Computation of a stream from the one that it ``reads``, for some clips at once."""

    reads: str
    compute: Callable[[list[Item]], list[Item]]


class CorruptedClips:
    """Corrupt batches of a store's clips, for a network that reads some streams of it.

    Args:
        store: The store, of which nothing is changed.
        streams: Names of the streams that the network reads.
        rows: The clips of the split, in the order of the store: what babbles are others of these.
        seed: Of all corruptions.
        device: Where encoders compute.
        locations: Where the weights of encoders lie, by stream, if no longer where they were.

    Attributes:
        reasons: Why a modality cannot be corrupted, by modality; it has no entry where it can.
        computed: Names of the streams that an encoder computes again, by modality.
    """

    def __init__(
        self,
        store: Store,
        streams: Sequence[str],
        rows: Rows,
        seed: int = 0,
        device: torch.device | None = None,
        locations: Locations | None = None,
    ) -> None:
        self.store = store
        self.streams = streams
        self.seed = seed
        self.device = device or torch.device("cpu")
        self.locations = locations or {}
        self.clip_ids = store.texts("clip_id")
        self.voices = rows[store.has_audio[rows]]
        self.computations: dict[str, dict[str, Computation]] = {}
        self.reasons: dict[str, str] = {}

        for modality in SOURCE_STREAMS:
            try:
                self.computations[modality] = self._plan(modality, rows)
            except (ValueError, OSError, ImportError) as error:
                self.reasons[modality] = str(error)

        self.computed = {
            modality: [name for name in plan if store.streams[name].encoder is not None]
            for modality, plan in self.computations.items()
        }

    def find_reason(self, corruption: Corruption) -> str:
        """Find why a corruption cannot be measured; empty where it can."""
        reason = self.reasons.get(corruption.modality, "")
        if not reason and corruption.mixes and len(self.voices) < 2:
            return "the split has no other clip with sound"
        return reason

    def corrupt(self, clips: Clips, corruption: Corruption, level: int) -> Clips:
        """Corrupt a batch as the store gives it; clips without the modality stay as they are."""
        modality = corruption.modality
        has_modality = clips.has_face if modality == "face" else clips.has_audio
        positions = np.flatnonzero(has_modality.numpy())
        rows = clips.row.numpy()[positions]
        if not len(rows):
            return clips

        corrupted = [
            self._corrupt_one(corruption, level, int(row), item)
            for row, item in zip(
                rows, read_items(self.store, SOURCE_STREAMS[modality], rows), strict=True
            )
        ]
        made = self._compute(self.computations[modality], modality, corrupted)
        for name in self.streams:
            if name in made:
                values = torch.zeros_like(clips.streams[name])
                for position, item in zip(positions.tolist(), made[name], strict=True):
                    _fill(values[position], item, self.store.streams[name])
                clips = clips.with_stream(name, values)
        return clips

    def _corrupt_one(self, corruption: Corruption, level: int, row: int, item: Item) -> Item:
        generator = derive_generator(self.seed, corruption.name, level, str(self.clip_ids[row]))
        if corruption.modality == "face":
            return corruption.corrupt_pictures(item, level, generator)
        others = self._draw_voices(row, generator) if corruption.mixes and level else []
        return corruption.corrupt_sound(item, level, generator, others)

    def _draw_voices(self, row: int, generator: np.random.Generator) -> list[Item]:
        """Draw the sounds of other clips of the split."""
        count = len(self.voices) - 1  # without the clip itself, which is one of them
        drawn = generator.choice(count, min(TALKERS, count), replace=False)
        own = int(np.searchsorted(self.voices, row))
        others = self.voices[drawn + (drawn >= own)].tolist()
        return [self.store.clip(WAVEFORM, other).numpy() for other in others]

    def _compute(
        self, plan: Mapping[str, Computation], modality: str, items: list[Item]
    ) -> dict[str, list[Item]]:
        """Compute streams of their source, by a plan whose order respects what reads what."""
        made = {SOURCE_STREAMS[modality]: items}
        for name, computation in plan.items():
            made[name] = computation.compute(made[computation.reads])
        return made

    def _plan(self, modality: str, rows: Rows) -> dict[str, Computation]:
        """Plan how the streams of a modality are computed, and try it on one clean clip."""
        store, source = self.store, SOURCE_STREAMS[modality]
        wanted = [name for name in self.streams if store.streams[name].modality == modality]
        if not wanted:
            raise ValueError(f"the network does not read the {modality}")
        if source not in store.streams or not store.has_files(source):
            raise ValueError(f"the store has no {source} to corrupt")
        check_recorded([source], store)
        some = rows[store.has_modality(source)[rows]][:1]
        if not len(some):
            raise ValueError(f"no clip has the {modality}")

        plan: dict[str, Computation] = {}
        for name in wanted:
            self._add(plan, name, source)

        made = self._compute(plan, modality, read_items(store, source, some))
        for name in wanted:
            for ours, theirs in zip(made[name], read_items(store, name, some), strict=True):
                if not _is_close(ours, theirs):
                    raise ValueError(
                        f"{name}, computed of the clean {source} again, is not what the store "
                        "holds: it was computed of other recordings, or otherwise"
                    )
        return plan

    def _add(self, plan: dict[str, Computation], name: str, source: str) -> None:
        """Add a stream to a plan, after those that it is computed of."""
        if name == source or name in plan:
            return
        if name not in self.store.streams:
            raise ValueError(f"the store has no {name}, which the network's streams are made of")

        stream = self.store.streams[name]
        if stream.encoder is not None:
            computation = self._encode_by(name, stream)
        elif source == WAVEFORM:
            computation = self._compute_frames(name)
        else:
            raise ValueError(f"{name} holds precomputed features, which cannot be computed here")
        self._add(plan, computation.reads, source)
        plan[name] = computation

    def _compute_frames(self, name: str) -> Computation:
        audio = build_prediction_features(self.store.description["features"]).audio
        if name != audio.stream:
            raise ValueError(f"{name} holds precomputed features, which cannot be computed here")
        return Computation(
            WAVEFORM, lambda sounds: [audio(torch.from_numpy(one)).numpy() for one in sounds]
        )

    def _encode_by(self, name: str, stream: Stream) -> Computation:
        """Compute a stream by its encoder: alone on a CPU, as preparation does it to the bit."""
        store, location = self.store, self.locations.get(name)
        weights = store.encoder(name) if store.has_weights(name) else None
        encoder = RecordedEncoder(name, stream, weights, location)
        module = encoder.build()
        has_tensors = any(True for _ in (*module.parameters(), *module.buffers()))
        device = self.device if has_tensors else torch.device("cpu")
        module.to(device)
        precision = store.computed[name].precision if name in store.computed else "32"
        size = 1 if device.type == "cpu" else BATCH_CLIPS

        def encode(items: list[Item]) -> list[Item]:
            made: list[Item] = []
            for first in range(0, len(items), size):
                batch = items[first : first + size]
                values, lengths = _join(batch, stream.modality)
                encoded = run_encoder(module, values, lengths, device, precision)
                stored = encoded.values.to(getattr(torch, stream.dtype)).cpu().numpy()
                ends = [None] * len(batch) if encoded.lengths is None else encoded.lengths.tolist()
                made += [_cut(one, end, stream) for one, end in zip(stored, ends, strict=True)]
            return made

        return Computation(encoder.reads, encode)


def read_items(store: Store, name: str, rows: Rows) -> list[Item]:
    """Read a stream of some clips, each of its true length, pictures with their channels last."""
    stream, values = store.streams[name], store.read(name, rows).numpy()
    if stream.kind == "pictures":
        return list(values.transpose(0, 1, 3, 4, 2))
    if stream.kind != "sequence":
        return list(values)
    ends = store.lengths(name).take(rows).tolist()
    return [_cut(one, end, stream) for one, end in zip(values, ends, strict=True)]


def _join(items: list[Item], modality: str) -> tuple[Tensor, Tensor | None]:
    """Join items as a store reads them: pictures, or sequences with their lengths."""
    tensors = [torch.from_numpy(item) for item in items]
    if modality == "face":
        return torch.stack(tensors).permute(0, 1, 4, 2, 3), None
    lengths = torch.tensor([len(item) for item in items])
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True), lengths


def _cut(item: Item, end: int | None, stream: Stream) -> Item:
    """Cut off padding, along the axis of time, which comes after that of layers."""
    return item[:, :end] if stream.layers else item[:end]


def _fill(target: Tensor, item: Item, stream: Stream) -> None:
    """Fill the part of a clip in a batch, whose padding is zero."""
    values = torch.from_numpy(item)
    if stream.kind == "pictures":
        target.copy_(values.permute(0, 3, 1, 2))
    elif stream.kind == "sequence" and stream.layers:
        target[:, : values.shape[1]] = values
    elif stream.kind == "sequence":
        target[: len(values)] = values
    else:
        target.copy_(values)


def _is_close(ours: Item, theirs: Item) -> bool:
    if ours.shape != theirs.shape:
        return False
    slack = TOLERANCE * float(theirs.std(dtype=np.float64))
    return bool(np.allclose(ours, theirs, rtol=TOLERANCE, atol=slack))
