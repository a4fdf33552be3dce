"""Augmentation of training clips, drawn for each clip of a batch on its device."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from avfusion.data.batch import Clips

NUM_MFCC_BLOCKS = 3  # coefficients, their differences, and the differences of those


class FaceAugmentation:
    """Move, enlarge, mirror and recolor the pictures of a clip, all of them alike.

    ``shift`` is the largest move in fractions of the picture, ``crop`` the largest part of its side
    that is cut away, ``flip`` the probability of a mirror image, ``color`` the largest relative
    change of brightness, contrast and each channel's strength. The box moves along. ``stream``
    names the pictures; networks that do not read them get theirs as they are.
    """

    def __init__(
        self,
        shift: float = 0.05,
        crop: float = 0.15,
        flip: float = 0.5,
        color: float = 0.2,
        stream: str = "frames",
    ) -> None:
        for name, value in (("shift", shift), ("crop", crop), ("flip", flip), ("color", color)):
            if not 0 <= value <= 1:
                raise ValueError(f"data.augmentation.face.{name} must lie in [0, 1], got {value}.")

        self.stream = stream
        self.shift = shift
        self.crop = crop
        self.flip = flip
        self.color = color

    def __call__(self, clips: Clips) -> Clips:
        """Clips with other pictures and boxes."""
        pictures = clips.streams[self.stream]
        batch, device = len(pictures), pictures.device
        side = 1 - self.crop * torch.rand(batch, device=device)
        move = self.shift * (2 * torch.rand(batch, 2, device=device) - 1)
        mirrored = torch.rand(batch, device=device) < self.flip
        face = self.recolor(apply_geometry(pictures, side, move, mirrored))
        moved = clips._replace(box=move_box(clips.box, side, move, mirrored))

        return moved.with_stream(self.stream, face)

    def recolor(
        self, face: Float[Tensor, "batch pictures 3 height width"]
    ) -> Float[Tensor, "batch pictures 3 height width"]:
        """Change contrast, brightness and the strength of each channel."""
        mean = face.mean(dim=(1, 2, 3, 4), keepdim=True)
        contrast, brightness, channels = (self.factor(face, count) for count in (1, 1, 3))
        return (((face - mean) * contrast + mean * brightness) * channels).clamp(0, 1)

    def factor(self, face: Tensor, channels: int) -> Float[Tensor, "batch 1 channels 1 1"]:
        """Draw relative changes around one."""
        change = 2 * torch.rand(len(face), 1, channels, 1, 1, device=face.device) - 1
        return 1 + self.color * change


def apply_geometry(
    face: Float[Tensor, "batch pictures 3 height width"],
    side: Float[Tensor, "batch"],
    move: Float[Tensor, "batch 2"],
    mirrored: Bool[Tensor, "batch"],
) -> Float[Tensor, "batch pictures 3 height width"]:
    """Crop and move each picture; what lies outside repeats the border."""
    batch, pictures, _, height, width = face.shape
    theta = torch.zeros(batch, 2, 3, device=face.device)
    theta[:, 0, 0] = torch.where(mirrored, -side, side)
    theta[:, 1, 1] = side
    theta[:, :, 2] = 2 * move
    theta = theta.repeat_interleave(pictures, dim=0)
    grid = F.affine_grid(theta, [len(theta), 3, height, width], align_corners=False)
    seen = F.grid_sample(face.flatten(0, 1), grid, padding_mode="border", align_corners=False)

    return seen.unflatten(0, (batch, pictures))


def move_box(
    box: Float[Tensor, "batch 4"],
    side: Float[Tensor, "batch"],
    move: Float[Tensor, "batch 2"],
    mirrored: Bool[Tensor, "batch"],
) -> Float[Tensor, "batch 4"]:
    """Move a box into the crop."""
    corners = (box.view(-1, 2, 2) - 0.5 - move[:, None]) / side[:, None, None] + 0.5
    flipped = torch.stack([1 - corners[:, :, 0].flip(1), corners[:, :, 1]], dim=-1)
    return torch.where(mirrored[:, None, None], flipped, corners).flatten(1)


class AudioAugmentation:
    """Hide stretches of time and bands of coefficients, and add noise.

    SpecAugment (Park et al., 2019, https://arxiv.org/abs/1904.08779) on MFCC: masks hold the clip's
    own mean; a band is hidden in the coefficients and in their differences alike. ``time`` and
    ``band`` are the largest parts of the true frames and of the coefficients that are hidden;
    ``noise`` is the standard deviation of Gaussian noise, in those of the clip's features.
    ``blocks`` is how many parts a frame has in which the same band is hidden: by default the three
    of MFCC with two differences, which features of another class have to name themselves.
    ``stream`` names the frames; networks that do not read them get theirs as they are.
    """

    def __init__(
        self,
        time: float = 0.2,
        band: float = 0.2,
        noise: float = 0.1,
        blocks: int | None = None,
        stream: str = "mfcc",
    ) -> None:
        for name, value in (("time", time), ("band", band), ("noise", noise)):
            if not 0 <= value <= 1:
                raise ValueError(f"data.augmentation.audio.{name} must lie in [0, 1], got {value}.")

        if blocks is not None and blocks < 1:
            raise ValueError(f"data.augmentation.audio.blocks must be at least 1, got {blocks}.")
        self.stream = stream
        self.time = time
        self.band = band
        self.noise = noise
        self.blocks = blocks

    def __call__(self, clips: Clips) -> Clips:
        """Clips with other audio frames; padding stays zero, and layers change alike."""
        audio, length = clips.streams[self.stream], clips.lengths[self.stream]
        layers, (frames, features) = (1,) * (audio.ndim - 3), audio.shape[-2:]
        count = length.view(-1, *layers, 1, 1)
        true = torch.arange(frames, device=audio.device)[:, None] < count
        mean = audio.sum(-2, keepdim=True) / count
        deviation = (((audio - mean) ** 2 * true).sum(-2, keepdim=True) / count).sqrt()

        hidden = draw_stretches(length, self.time, frames).view(-1, *layers, frames, 1)
        blocks = self.blocks or NUM_MFCC_BLOCKS
        coefficients = torch.full_like(length, features // blocks)
        band = draw_stretches(coefficients, self.band, features // blocks).repeat(1, blocks)
        hidden = hidden | band.view(-1, *layers, 1, blocks * (features // blocks))
        noisy = audio + self.noise * deviation * torch.randn_like(audio)

        return clips.with_stream(self.stream, torch.where(hidden, mean, noisy) * true)


def draw_stretches(length: Tensor, max_fraction: float, size: int) -> Bool[Tensor, "batch size"]:
    """Mark, in each row, a random stretch of at most a part ``max_fraction`` of its ``length``."""
    wide = torch.rand(len(length), device=length.device) * max_fraction * length
    start = torch.rand(len(length), device=length.device) * (length - wide)
    middle = torch.arange(size, device=length.device) + 0.5
    return (middle >= start[:, None]) & (middle < (start + wide)[:, None])
