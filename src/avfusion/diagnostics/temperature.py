"""Temperature scaling: one number that makes a network as sure as it is right.

Guo et al., 2017, https://arxiv.org/abs/1706.04599. Logits are divided by a temperature that has the
smallest negative logarithm of the probability of what is true, on the validation clips. Decisions
stay the same. The file lies beside the checkpoint that it belongs to.
"""

import json
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped
from scipy.optimize import minimize_scalar
from torch import nn
from torch.utils.hooks import RemovableHandle

from avfusion.diagnostics.class_predictions import predict_classes
from avfusion.files import atomic_write, hash_file
from avfusion.models.networks.scores import Scores
from avfusion.targets import Target

FILE_NAME = "temperature.json"
TEMPERATURE_RANGE = (0.05, 20.0)


def fit_temperature(
    target: Target,
    outputs: Float[np.ndarray, "clips outputs"],
    targets: Shaped[np.ndarray, "clips *outputs"],
) -> float:
    """Fit the temperature to clips whose labels are known; it stays within ``TEMPERATURE_RANGE``.

    Where all of them are answered rightly, none is too low: it is 1, as nothing is known of it.
    """
    if predict_classes(target, outputs, targets).right.all():
        return 1.0

    def nll(logarithm: float) -> float:
        scaled = outputs.astype(np.float64) / np.exp(logarithm)
        return float(predict_classes(target, scaled, targets).nll.mean())

    low, high = np.log(TEMPERATURE_RANGE)
    found = minimize_scalar(nll, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def write_temperature(checkpoint: Path, temperature: float, clips: int) -> Path:
    """Write the temperature of a checkpoint beside it, with how many clips it was fitted to."""
    path = checkpoint.with_name(FILE_NAME)
    content = {
        "temperature": temperature,
        "fitted_to": f"{clips} validation clips",
        "checkpoint": checkpoint.name,
        "sha256": hash_file(checkpoint),
    }
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
    return path


def read_temperature(checkpoint: Path) -> float:
    """Read the temperature of a checkpoint.

    Raises:
        FileNotFoundError: None was fitted.
        ValueError: It was fitted to another checkpoint, or the file is broken.
    """
    path = checkpoint.with_name(FILE_NAME)
    folder = checkpoint.parent.parent
    command = f"fit it with python src/diagnose.py ckpt_path={folder}"
    if not path.is_file():
        raise FileNotFoundError(f"There is no temperature at {path}: {command}")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        temperature, digest = float(content["temperature"]), content["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} cannot be read: {command}") from error
    if not temperature > 0:
        raise ValueError(f"{path} holds a temperature of {temperature}: {command}")
    if digest != hash_file(checkpoint):
        raise ValueError(f"{path} is of another checkpoint than {checkpoint}: {command}")
    return temperature


def scale_outputs(network: nn.Module, temperature: float) -> RemovableHandle:
    """Let a network divide its outputs by a temperature, until the handle is removed."""

    def divide(_: nn.Module, given: object, scores: Scores) -> Scores:
        return scores._replace(logits=scores.logits / temperature)

    return network.register_forward_hook(divide)
