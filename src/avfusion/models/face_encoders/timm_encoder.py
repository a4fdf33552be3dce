"""Networks of timm as face encoders."""

from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from avfusion.messages import join_items
from avfusion.models.face_encoders.freezing import freeze_stages, set_eval_mode
from avfusion.models.face_encoders.weights import read_weights
from avfusion.models.layers.normalize import Normalize

INIT_SEED = 0x715  # no file of weights is made with it, unless on purpose


class TimmEncoder(nn.Module):
    """Encode pictures by a network of timm, up to its deepest map of ``reduction`` pixels per cell.

    Wightman, 2019, https://github.com/huggingface/pytorch-image-models. With a reduction of 16,
    vgg16 ends with conv5, before the last pooling: [512, 14, 14] at 224 pixels. ``pretrained`` is
    none, hub (fetched by timm, or from its cache) or a .safetensors or .pth file; ``freeze`` is
    all, none or how many of the stages that timm lists. Pictures are normalized as the network's
    own data were, and resized to ``size`` pixels, if given or if the network knows but one size.
    """

    def __init__(
        self,
        name: str,
        pretrained: str = "none",
        reduction: int = 16,
        freeze: str | int = "none",
        size: int | None = None,
        stream: str = "frames",
    ) -> None:
        super().__init__()
        self.stream = stream
        stages = _list_stages(name, reduction)
        self.channels: int = stages[-1]["num_chs"]
        timm = import_timm(name)
        make = partial(timm.create_model, name, features_only=True, out_indices=(len(stages) - 1,))
        self.network = load_network(make, name, pretrained)

        settings: Any = self.network.pretrained_cfg
        self.normalize = Normalize(settings["mean"], settings["std"])
        fixed = settings.get("fixed_input_size", False)
        self.size = settings["input_size"][-1] if fixed and size is None else size
        self.channels_last = getattr(self.network, "output_fmt", "NCHW") == "NHWC"

        _freeze_unused(self.network, self.size or 64)
        self.frozen = freeze_stages(self.network, [stage["module"] for stage in stages], freeze)

    def forward(
        self, face: Float[Tensor, "batch pictures 3 height width"]
    ) -> Float[Tensor, "batch channels pictures rows columns"]:
        """Encode each picture as a map."""
        pictures = face.flatten(0, 1)
        if self.size is not None and pictures.shape[-2:] != (self.size, self.size):
            size = (self.size, self.size)
            pictures = F.interpolate(pictures, size, mode="bilinear", antialias=True)

        (maps,) = self.network(self.normalize(pictures.movedim(1, -1)).movedim(-1, 1))
        maps = maps.movedim(-1, 1) if self.channels_last else maps
        return maps.unflatten(0, face.shape[:2]).transpose(1, 2)

    def train(self, mode: bool = True) -> "TimmEncoder":
        """Change to training or evaluation mode, but for what is frozen."""
        super().train(mode)
        set_eval_mode(self.frozen)
        return self


def import_timm(name: str) -> Any:
    """Import timm, and refuse a network that it does not have."""
    try:
        import timm  # takes seconds, and is not needed otherwise
    except ImportError as error:
        raise ValueError(f"{name} needs timm: pip install -e '.[encoders]'") from error
    if not timm.is_model(name):  # what leads elsewhere, such as hf-hub:..., is none
        raise ValueError(f"timm has no network {name!r}: timm.list_models() lists them.")
    return timm


def _list_stages(name: str, reduction: int) -> list[dict[str, Any]]:
    """List timm's information on the stages of a network, up to the last of this reduction."""
    timm = import_timm(name)
    with torch.device("meta"):  # the structure alone
        network: Any = timm.create_model(name, features_only=True)
    stages = network.feature_info.info
    known = [stage["reduction"] for stage in stages]
    if reduction not in known:
        raise ValueError(
            f"reduction must be one of {sorted(set(known))} for {name}, got {reduction}."
        )

    return list(stages[: len(known) - known[::-1].index(reduction)])


def _freeze_unused(network: nn.Module, size: int) -> None:
    """Freeze the layers behind the map: some networks keep them, and DDP would wait for them."""
    network.eval()
    network(torch.zeros(1, 3, size, size))[0].sum().backward()
    for parameter in network.parameters():
        parameter.requires_grad_(parameter.grad is not None)
        parameter.grad = None
    network.train()


def load_network(make: partial[nn.Module], name: str, pretrained: str) -> nn.Module:
    """Make a network of timm with weights from nowhere (none), the hub or a file."""
    if pretrained == "none":
        return make()
    if pretrained != "hub":
        return _load_from_file(make, name, pretrained)

    try:
        return make(pretrained=True)
    except Exception as error:  # of whatever library fetches them
        raise ValueError(
            f"The weights of {name} cannot be fetched ({error}): set pretrained to a "
            ".safetensors or .pth file that holds them, or to none."
        ) from error


def _load_from_file(make: partial[nn.Module], name: str, path: str) -> nn.Module:
    """Build a network with the weights of a file, all of them.

    timm says nothing of weights that a file lacks: they are still those of a twin without a file.
    """
    overlay = {"state_dict": read_weights(path)}
    twin = _build_seeded(make)
    try:
        network = _build_seeded(make, pretrained=True, pretrained_cfg_overlay=overlay)
    except Exception as error:
        raise ValueError(f"{path} does not fit {name}: {error}") from error

    for part in network.modules():  # do not hold on to them
        getattr(part, "pretrained_cfg", {}).pop("state_dict", None)

    missing = [
        key
        for key, value in twin.named_parameters()
        if value.ndim > 1 and torch.equal(value, network.get_parameter(key))
    ]
    if missing:
        raise ValueError(f"{path} does not fit {name}: it lacks {join_items(missing, 5)}.")
    return network


def _build_seeded(make: partial[nn.Module], **options: Any) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(INIT_SEED)
        return make(**options)
