"""Stand-ins for a modality that is taken away from clips."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from torch import Tensor

from avfusion.data.batch import UNITS, Clips
from avfusion.data.datamodule import FaceAudioDataModule
from avfusion.diagnostics.networks import exchange_modality, list_modality_streams, read_clips
from avfusion.features.clip import MODALITIES

StandIn = Literal["network", "zeros", "noise", "other"]
STAND_INS: tuple[str, ...] = get_args(StandIn)
TITLES = {
    "network": "what the network has for it",
    "zeros": "zeros",
    "noise": "noise",
    "other": "another clip's",
}


@dataclass(frozen=True)
class ModalityRemoval:
    """Take modalities away from clips, and put something in their place.

    ``network`` is what the network itself has for a modality that was not recorded, such as a
    learned vector: clips are as ``modalities=[...]`` of ``eval`` gives them. Of the others the
    network does not know that they are none: ``zeros`` in the place of the input, ``noise`` that is
    normal, with mean and deviation of the training clips, number by number, or what belongs to
    another clip of the split, ``other``.
    """

    modalities: tuple[str, ...]
    stand_in: str = "network"
    seed: int = 0

    def __call__(self, clips: Clips, data: FaceAudioDataModule) -> Clips:
        """Change some clips."""
        for modality in self.modalities:
            if self.stand_in == "network":
                clips = _drop_modality(clips, modality, data)
            elif self.stand_in == "other":
                donors = find_donors(data, modality, self.seed)
                others = read_clips(data, donors[clips.row.numpy()])
                clips = exchange_modality(clips, others, modality, data)
            else:
                clips = self._replace_input(clips, modality, data)
        return clips

    def _replace_input(self, clips: Clips, modality: str, data: FaceAudioDataModule) -> Clips:
        for name in list_modality_streams(modality, data):
            values = torch.zeros_like(clips.streams[name])
            if self.stand_in == "noise":
                values = _draw_noise(clips, name, data, self.seed)
            clips = clips.with_stream(name, values)
        return clips


def _drop_modality(clips: Clips, modality: str, data: FaceAudioDataModule) -> Clips:
    """Make clips what they are in a store without the modality: zeros of length one."""
    gone = torch.zeros_like(clips.has_face)
    for name in list_modality_streams(modality, data):
        values = torch.zeros_like(clips.streams[name])
        if name in clips.lengths:
            time = 1 + bool(data.store.streams[name].layers)
            values = values.narrow(time, 0, 1)
            lengths = clips.lengths | {name: torch.ones_like(clips.lengths[name])}
            clips = clips._replace(lengths=lengths)
        clips = clips.with_stream(name, values)
    if modality == "face":
        unknown = torch.full_like(clips.box, torch.nan)
        return clips._replace(has_face=gone, all_have_face=False, box=unknown)
    return clips._replace(has_audio=gone)


def find_donors(data: FaceAudioDataModule, modality: str, seed: int) -> Int64[np.ndarray, "rows"]:
    """Find another clip of the split that has the modality, for each row of the index."""
    store, rows = data.store, data.splits.rows(data.eval_split)
    has = (store.has_face if modality == "face" else store.has_audio)[rows]
    # What one modality draws is not what the other does.
    random = np.random.default_rng([seed, MODALITIES.index(modality)])
    donors = np.arange(len(store))
    donors[rows[has]] = rotate_rows(rows[has], random)
    if has.any():
        donors[rows[~has]] = random.choice(rows[has], np.count_nonzero(~has))
    return donors


def rotate_rows(
    rows: Int64[np.ndarray, "clips"],
    random: np.random.Generator,
    labels: Shaped[np.ndarray, "clips *outputs"] | None = None,
) -> Int64[np.ndarray, "clips"]:
    """Find another clip for each clip: the next one in a random ring, so that each is of one.

    With ``labels``, it is the next that has another label; a clip without such another is its own.
    """
    ring = random.permutation(len(rows))
    found = np.arange(len(rows))
    if labels is None:
        found[ring] = np.roll(ring, -1)
        return rows[found]

    flat, left = labels.reshape(len(labels), -1), np.ones(len(rows), bool)
    for step in range(1, len(rows)):
        others = np.roll(ring, -step)
        fitting = (flat[others] != flat[ring]).any(axis=1) & left[ring]
        found[ring[fitting]] = others[fitting]
        left[ring[fitting]] = False
        if not left.any():
            break
    return rows[found]


def _draw_noise(
    clips: Clips, name: str, data: FaceAudioDataModule, seed: int
) -> Shaped[Tensor, "batch *item"]:
    """Draw noise like a stream; each clip has a seed of its own, so that batches do not matter."""
    like, stream = clips.streams[name], data.store.streams[name]
    draws = [
        np.random.default_rng([seed, row]).standard_normal(like.shape[1:], np.float32)
        for row in clips.row.tolist()
    ]
    noise, unit = torch.from_numpy(np.stack(draws)), UNITS.get(like.dtype, 1)

    described = data.description["streams"][name]
    if described.get("mean"):
        mean, std = torch.tensor(described["mean"]), torch.tensor(described["std"])
        if stream.kind in ("pictures", "maps"):  # [channels], before rows and columns
            mean, std = mean[:, None, None], std[:, None, None]
        elif stream.layers and stream.kind == "sequence":  # [layers, features], around the steps
            mean, std = mean[:, None], std[:, None]
    else:  # of a waveform: those of the clip itself
        own = like.float().flatten(1) / unit
        beside = [1] * (like.ndim - 1)
        mean, std = (part.view(-1, *beside) for part in (own.mean(dim=1), own.std(dim=1)))

    noise = (noise * std + mean) * unit
    if unit == 1:
        return _keep_padding(noise.to(like.dtype), clips, name, stream.layers)
    limits = torch.iinfo(like.dtype)
    whole = noise.round().clamp(limits.min, limits.max).to(like.dtype)
    return _keep_padding(whole, clips, name, stream.layers)


def _keep_padding(
    noise: Shaped[Tensor, "batch *item"], clips: Clips, name: str, layers: int
) -> Shaped[Tensor, "batch *item"]:
    """Leave the padding of a sequence at zero."""
    if name not in clips.lengths:
        return noise
    time = 1 + bool(layers)
    steps = torch.arange(noise.shape[time])
    beside: Sequence[int] = [1] * (noise.ndim - time - 1)
    known = (steps < clips.lengths[name][:, None]).view(len(noise), *[1] * (time - 1), -1, *beside)
    return noise * known
