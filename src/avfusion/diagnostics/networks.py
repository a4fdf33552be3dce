"""A tested network with its data, and its outputs for clips that are changed."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn
from torch.utils.data import Dataset

from avfusion.data.batch import Clips
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.data.dataset import SequentialClipSampler, SplitDataset, make_loader
from avfusion.diagnostics.encoder_passes import ENCODERS, encode_once, find_encoders
from avfusion.models.networks.scores import Scores
from avfusion.targets import Target
from avfusion.training.task import FusionTask

# Of a batch: 1,600 pairs took 1.1 s of a core in batches of 64, 1.5 of 36, 1.9 of 144, and 2.9
# without encoding clips once.
MAX_PAIRS = 64
MAX_PAIR_BYTES = 2**26  # of their inputs
Rows = Int64[np.ndarray, "clips"]
# Takes clips as they lie in the store, on the CPU and in its order, and the data that they are of,
# of which ``eval_split`` is read; clips keep their order.
Change = Callable[[Clips, FaceAudioDataModule], Clips]


class Computed(NamedTuple):
    """Outputs of a network for clips, by their rows in the index, with their encoded labels."""

    rows: Rows
    outputs: Float[np.ndarray, "clips outputs"]
    targets: Shaped[np.ndarray, "clips *outputs"]

    def labeled(self, target: Target) -> "Computed":
        """Select the clips whose label is known."""
        known = (target.indicators(torch.from_numpy(self.targets)) >= 0).any(dim=1).numpy()
        return Computed(*(part[known] for part in self))


class ChangedDataset(Dataset[Clips]):
    """The clips of a data set, changed as they are read."""

    def __init__(self, dataset: SplitDataset, data: FaceAudioDataModule, change: Change) -> None:
        self.dataset, self.data, self.change = dataset, data, change

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitems__(self, positions: list[int]) -> Clips:
        """Clips at some positions as a batch, in the order of the store."""
        return self.change(self.dataset.__getitems__(positions), self.data)


class PairDataset(Dataset[Clips]):
    """Pairs of the face of one clip and the voice of another; ``row`` counts the pairs."""

    def __init__(self, data: FaceAudioDataModule, faces: Rows, voices: Rows) -> None:
        self.data, self.faces, self.voices = data, faces, voices

    def __len__(self) -> int:
        return len(self.faces)

    def __getitems__(self, positions: list[int]) -> Clips:
        """Pairs at some positions as a batch; their labels are unknown."""
        faces = read_clips(self.data, self.faces[positions])
        pairs = exchange_modality(
            faces, read_clips(self.data, self.voices[positions]), "audio", self.data
        )
        return pairs._replace(row=torch.tensor(positions))


def read_clips(data: FaceAudioDataModule, rows: Rows) -> Clips:
    """Read clips in any order, and as often as they are named; their labels are unknown."""
    store = data.store
    own, inverse = np.unique(rows, return_inverse=True)
    sequences = [name for name in data.streams if store.streams[name].kind == "sequence"]
    clips = Clips(
        streams={name: store.read(name, own) for name in data.streams},
        lengths={name: torch.from_numpy(store.lengths(name).take(own)) for name in sequences},
        has_face=torch.from_numpy(store.has_face.take(own)),
        has_audio=torch.from_numpy(store.has_audio.take(own)),
        label=torch.from_numpy(data.target.encode_unlabeled(len(own))),
        box=torch.from_numpy(store.boxes.take(own, axis=0)),
        row=torch.from_numpy(own),
    )
    return clips.map(lambda part: part[torch.from_numpy(inverse)])


def exchange_modality(
    clips: Clips, others: Clips, modality: str, data: FaceAudioDataModule
) -> Clips:
    """Give clips the face or the voice of others, with its lengths and masks."""
    own = list_modality_streams(modality, data)
    streams = clips.streams | {name: others.streams[name] for name in own}
    lengths = clips.lengths | {n: others.lengths[n] for n in own if n in clips.lengths}
    changed = clips._replace(streams=streams, lengths=lengths)
    if modality == "face":
        changed = changed._replace(has_face=others.has_face, all_have_face=others.all_have_face)
        return changed._replace(box=others.box)
    return changed._replace(has_audio=others.has_audio)


def list_modality_streams(modality: str, data: FaceAudioDataModule) -> list[str]:
    """Name the streams of a modality that a network reads."""
    return [name for name in data.streams if data.store.streams[name].modality == modality]


class TestedNetwork:
    """A network with the data that it was tested on; Lightning's trainer runs it.

    Args:
        task: With the weights of its checkpoint.
        data: That reads the tested split.
        trainer: Of one process.
    """

    __test__ = False  # pytest takes it for a test otherwise

    def __init__(self, task: FusionTask, data: FaceAudioDataModule, trainer: L.Trainer) -> None:
        self.network: nn.Module = task.network
        self.data = data
        self.trainer = trainer

    @property
    def modalities(self) -> tuple[str, ...]:
        """The modalities that the network reads."""
        return self.data.modalities

    def compute(self, change: Change | None = None, split: str | None = None) -> Computed:
        """Compute the outputs for the clips of a split, the tested one by default."""
        data = self.data if split is None else self.data.reading(split)
        dataset: Dataset[Clips] = data.dataset(data.eval_split)
        if change is not None:
            dataset = ChangedDataset(dataset, data, change)  # type: ignore[arg-type]
        rows, outputs, targets = zip(*self.run(dataset, ForwardPass(self.network)), strict=True)
        return Computed(*(torch.cat(part).numpy() for part in (rows, outputs, targets)))

    def compute_pairs(self, faces: Rows, voices: Rows) -> Float[np.ndarray, "pairs outputs"]:
        """Compute the outputs for pairs of the face of one clip and the voice of another."""
        pairs = PairDataset(self.data, faces, voices)
        size = self.data.batch_size
        if len(find_encoders(self.network)) == len(ENCODERS):
            size = max(size, min(MAX_PAIRS, MAX_PAIR_BYTES // self._count_bytes()))
        passes = self.run(pairs, PairPass(self.network, faces, voices), size)
        return torch.cat([outputs for _, outputs, _ in passes]).numpy()

    def compute_every_pair(self, rows: Rows) -> Float[np.ndarray, "faces voices outputs"]:
        """Compute the outputs for all pairs of some clips' faces and voices.

        They go through the network in squares, whose few faces and voices are encoded once.
        """
        faces, voices = np.divmod(np.arange(len(rows) ** 2), len(rows))
        side = math.isqrt(MAX_PAIRS)
        order = np.lexsort((voices, faces, voices // side, faces // side))
        outputs = self.compute_pairs(rows[faces[order]], rows[voices[order]])
        found = np.empty_like(outputs)
        found[order] = outputs
        return found.reshape(len(rows), len(rows), -1)

    def _count_bytes(self) -> int:
        """Bytes of what the network reads of a clip, in single precision."""
        shapes = (self.data.store.streams[name].shape for name in self.data.streams)
        return 4 * sum(math.prod(shape) for shape in shapes)

    def run(
        self, dataset: Dataset[Clips], module: "ForwardPass", batch_size: int | None = None
    ) -> list[Any]:
        """Run a module over a data set; the result has what it gives for each batch."""
        order = SequentialClipSampler(len(dataset))  # type: ignore[arg-type]
        loader = make_loader(dataset, order, batch_size or self.data.batch_size, 0)
        return list(self.trainer.predict(module, dataloaders=loader) or [])


class ForwardPass(L.LightningModule):
    """Forward passes of a network: rows, outputs and labels of each batch, on the CPU."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def on_after_batch_transfer(self, batch: Clips, dataloader_idx: int) -> Clips:
        """Give the network floating-point numbers, as the data module does."""
        clips = batch.with_floats()
        return self.trainer.precision_plugin.convert_input(clips)._replace(label=clips.label)

    def predict_step(self, clips: Clips, batch_idx: int) -> Any:
        """Compute the outputs of a batch."""
        scores: Scores = self.network(clips)
        return clips.row.cpu(), to_cpu(scores.logits), clips.label.cpu()


class PairPass(ForwardPass):
    """Forward passes over a ``PairDataset``, in which each face and each voice is encoded once."""

    def __init__(self, network: nn.Module, faces: Rows, voices: Rows) -> None:
        super().__init__(network)
        self.faces, self.voices = faces, voices

    def predict_step(self, clips: Clips, batch_idx: int) -> Any:
        """Compute the outputs of a batch."""
        pairs = clips.row.cpu().numpy()
        same = {"face": self.faces[pairs], "audio": self.voices[pairs]}
        with encode_once(self.network, same):
            return super().predict_step(clips, batch_idx)


def to_cpu(values: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Move numbers to the CPU, those of half precision as single."""
    return (values if values.dtype == torch.float64 else values.float()).cpu()
