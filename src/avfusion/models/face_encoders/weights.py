"""Files of pretrained weights."""

from pathlib import Path

import torch
from torch import Tensor


def read_weights(path: str) -> dict[str, Tensor]:
    """Read a .safetensors or .pth file as tensors by name; nothing in it is run."""
    file = Path(path)
    if not file.is_file():
        raise FileNotFoundError(
            f"No weights at {path}: pretrained must be none, hub or a .safetensors or .pth file."
        )

    try:
        if file.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(file)
        weights = torch.load(file, map_location="cpu", weights_only=True)
        return dict(weights.get("state_dict", weights))
    except Exception as error:  # of any kind, where a file is something else
        raise ValueError(
            f"{path} holds more than weights, or none: save a state_dict there."
        ) from error
